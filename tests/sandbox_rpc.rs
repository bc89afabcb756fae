//! The sandbox's journal and its XML-RPC methods are as docs/wire.md sections 3, 6 and 8 say.

use std::collections::HashMap;

use cheesewire::model::Serial;
use cheesewire::sandbox::{RateLimit, Sandbox, SandboxSettings, XmlRpc};
use cheesewire::xmlrpc::Value;
use reqwest::Method;

use crate::support::{call, get, get_with, post, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

#[tokio::test]
async fn journal_listing_and_documents_agree_on_serials() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let rows = call(&base, "changelog_since_serial", &[Value::Int(0)]).await.unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 5_000, "{}", rows.len());
    let mut last = HashMap::new();
    let mut removed = HashMap::new();
    for row in rows {
        let row = row.as_array().unwrap();
        let name = row[0].as_str().unwrap();
        last.insert(name, row[4].as_int().unwrap());
        removed.insert(
            name,
            matches!(row[3].as_str(), Some("remove project" | "remove")) && row[1] == Value::Nil,
        );
    }
    last.retain(|name, _| !removed[name]);
    let listed = call(&base, "list_packages_with_serial", &[]).await.unwrap();
    let Value::Struct(listed) = listed else { panic!() };
    let listed: HashMap<_, _> =
        listed.iter().map(|(name, serial)| (name.as_str(), serial.as_int().unwrap())).collect();
    assert_eq!(listed, last);
    let simple = get_with(Method::GET, &format!("{base}simple/"), &[JSON]).await.unwrap().json();
    for project in simple["projects"].as_array().unwrap() {
        assert_eq!(project["_last-serial"], listed[project["name"].as_str().unwrap()]);
    }
    assert_eq!(simple["meta"]["_last-serial"], sandbox.last_serial().0);
    let document = get(&format!("{base}pypi/wire-top/json")).await.json();
    assert_eq!(document["last_serial"], listed["wire-top"]);
    assert_eq!(document["info"]["requires_dist"][0], "wire-left");
}

#[tokio::test]
async fn the_journal_has_every_kind_of_action_and_times_that_repeat_and_step_back() {
    let sandbox = sandbox().await;
    let events = sandbox.events_after(Serial(0), 100_000);
    let starts = [
        "create",
        "new release",
        "add source file ",
        "add py3 file ",
        "remove file ",
        "remove release",
        "remove project",
        "yank release",
        "unyank release",
        "add Owner ",
        "remove Owner ",
        "change Owner ",
        "invite Maintainer ",
        "revoke_invite Maintainer ",
        "accepted Maintainer ",
        "project quarantined",
        "project quarantine cleared",
        "release quarantined",
        "release quarantine cleared",
        "docupdate",
        "rename from ",
    ];
    for start in starts {
        assert!(events.iter().any(|event| event.action.starts_with(start)), "{start}");
    }
    let bare = |has_version: bool| {
        events.iter().any(|event| event.action == "remove" && event.version.is_some() == has_version)
    };
    assert!(bare(true) && bare(false));
    let mut equal =
        events.windows(3).filter(|three| three[0].time == three[1].time && three[1].time == three[2].time);
    assert!(equal.nth(10).is_some());
    assert!(events.windows(2).filter(|pair| pair[0].time > pair[1].time).count() > 10);
    assert!(events.windows(2).all(|pair| pair[0].serial < pair[1].serial));
    assert!(events.windows(2).any(|pair| pair[0].serial.0 + 1 < pair[1].serial.0));
    assert!(sandbox.last_serial().0 < 1 << 31);
    let again = crate::support::sandbox().await;
    assert_eq!(again.events_after(Serial(0), 100_000), events);
}

#[tokio::test]
async fn six_methods_live_and_the_rest_refuse_in_todays_words() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let fault = |method: &'static str, params: Vec<Value>| {
        let base = base.clone();
        async move { call(&base, method, &params).await.unwrap_err().to_string() }
    };
    assert!(fault("changelog", vec![Value::Int(0)]).await.starts_with("ValueError: "));
    for method in ["list_packages", "release_urls", "search", "top_packages", "package_hosting_mode"] {
        let text = fault(method, vec![]).await;
        assert!(text.starts_with("RuntimeError: ") && text.ends_with("(-32500)"), "{method}: {text}");
    }
    assert_eq!(
        fault("system.listMethods", vec![]).await,
        "server error; requested method not found (-32601)"
    );
    let since = "changelog_since_serial";
    assert_eq!(fault(since, vec![]).await, "client error; serial: Missing required argument (-32602)");
    assert_eq!(
        fault(since, vec![Value::Int(1), Value::Int(2), Value::Int(3)]).await,
        "client error; 1: Unexpected positional argument; 2: Unexpected positional argument (-32602)"
    );
    assert_eq!(
        fault(since, vec!["x".into()]).await,
        "client error; serial: Input should be a valid integer (-32602)"
    );
    assert_eq!(post(&format!("{base}pypi"), "<x>").await.text().matches("-32700").count(), 1);
    let json = |value: Value| value.to_json();
    let roles = json(call(&base, "package_roles", &["Many.Hands".into()]).await.unwrap());
    assert_eq!(
        roles,
        serde_json::json!([
            ["Owner", "alice"],
            ["Owner", "zoe"],
            ["Maintainer", "bob"],
            ["Maintainer", "carol"]
        ])
    );
    let of_bob = json(call(&base, "user_packages", &["bob".into()]).await.unwrap());
    assert_eq!(of_bob[0], serde_json::json!(["Owner", "chain-a"]));
    assert_eq!(of_bob.as_array().unwrap().last().unwrap(), &serde_json::json!(["Maintainer", "many-hands"]));
    let wanted: Value = ["Topic :: Utilities", "Programming Language :: Python :: 3"].into_iter().collect();
    let found = json(call(&base, "browse", &[wanted]).await.unwrap());
    assert_eq!(found, serde_json::json!([["dairy-tools", "1.0"], ["every-field", "1.0"]]));
}

#[tokio::test]
async fn a_changelog_page_ends_at_its_limit_and_a_slow_method_is_slow() {
    let delay = std::time::Duration::from_millis(200);
    let delays = vec![("changelog_since_serial".to_owned(), delay)];
    let settings = SandboxSettings { changelog_rows: 10, delays, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let start = std::time::Instant::now();
    let page = call(&sandbox.url(), "changelog_since_serial", &[Value::Int(0)]).await.unwrap();
    assert!(start.elapsed() >= delay);
    let rows = page.as_array().unwrap();
    assert_eq!(rows.len(), 10);
    assert_eq!(
        rows[9].as_array().unwrap()[4].as_int(),
        Some(sandbox.events_after(Serial(0), 10)[9].serial.0)
    );
    let last = call(&sandbox.url(), "changelog_last_serial", &[]).await.unwrap().as_int().unwrap();
    let none = call(&sandbox.url(), "changelog_since_serial", &[Value::Int(last)]).await.unwrap();
    assert_eq!(none, Value::Array(Vec::new()));
}

#[tokio::test]
async fn over_the_rate_limit_is_a_fault_with_status_200() {
    let rate_limit = Some(RateLimit { per_second: 0.01, burst: 1 });
    let sandbox = Sandbox::start(SandboxSettings { rate_limit, ..SandboxSettings::default() }).await.unwrap();
    let body = "<methodCall><methodName>changelog_last_serial</methodName></methodCall>";
    let url = format!("{}pypi", sandbox.url());
    let first = post(&url, body).await;
    assert!(
        first.header("ratelimit").starts_with("\"xmlrpc.client\";r=0;t="),
        "{}",
        first.header("ratelimit")
    );
    assert!(!first.text().contains("fault"));
    let second = post(&url, body).await;
    assert_eq!((second.status, second.header("retry-after")), (200, ""));
    let text = "HTTPTooManyRequests: The action could not be performed because there were too many requests by \
                the client. Limit may reset in ";
    assert!(second.text().contains(text), "{}", second.text());
    assert_eq!(sandbox.requests().method("changelog_last_serial"), 2);
}

#[tokio::test]
async fn xml_rpc_can_be_switched_off_and_on() {
    let sandbox = sandbox().await;
    let url = format!("{}pypi", sandbox.url());
    let body = "<methodCall><methodName>changelog_last_serial</methodName></methodCall>";
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    assert_eq!(post(&url, body).await.status, 405);
    sandbox.set_xmlrpc(XmlRpc::Removed);
    assert!(post(&url, body).await.text().contains("RuntimeError: "));
    sandbox.set_xmlrpc(XmlRpc::Live);
    assert!(!post(&url, body).await.text().contains("fault"));
}
