//! Answers beside the documents that they are made of: odd documents, and what upstream's own methods gave.

use cheesewire::sandbox::{Change, Effect, Fault, Publication, Role, Route, Sandbox};
use cheesewire::xmlrpc::{Fault as RpcFault, Value, encode_call};
use serde_json::json;

use crate::support::{Relay, call, get, post, sandbox, until};

const NAME: &str = "wire-top";

async fn pair() -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.enabled=false"]).await;
    (sandbox, relay)
}

/// The project's JSON document is from now on upstream's with a change.
async fn document(sandbox: &Sandbox, change: impl FnOnce(&mut serde_json::Value)) {
    let mut document = get(&format!("{}pypi/{NAME}/json", sandbox.url())).await.json();
    change(&mut document);
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    let answer = Effect::Answer { status: 200, headers, body: document.to_string() };
    sandbox.faults().add(Fault::on(Route::Json, answer).path(format!("/pypi/{NAME}/json"))).unwrap();
}

async fn releases(relay: &Relay, all: bool) -> Value {
    call(&relay.url, "package_releases", &[NAME.into(), all.into()]).await.unwrap()
}

async fn yank_all(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let versions: Vec<String> =
        sandbox.project(name).unwrap().releases.iter().map(|release| release.version.clone()).collect();
    for version in versions.clone() {
        let reason = Some(String::new());
        sandbox.change(Change::Yank { name: name.to_owned(), version, reason }).await.unwrap();
    }
    versions
}

#[tokio::test]
async fn a_project_of_yanked_releases_has_no_latest_one() {
    let (sandbox, relay) = pair().await;
    let all = yank_all(&sandbox, NAME).await;
    assert_eq!(releases(&relay, false).await, Value::Array(vec![]));
    assert_eq!(releases(&relay, true).await.as_array().unwrap().len(), all.len());
    // Nor where its document is made of its page.
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 404 })).unwrap();
    let relay = Relay::start(&sandbox.url(), &["follow.enabled=false"]).await;
    assert_eq!(releases(&relay, false).await, Value::Array(vec![]));
    assert_eq!(releases(&relay, true).await.as_array().unwrap().len(), all.len());
}

#[tokio::test]
async fn a_document_without_releases_hides_none() {
    let all = |of: &Sandbox| {
        let project = of.project(NAME).unwrap();
        let mut versions: Vec<&str> = project.shown().map(|release| release.version.as_str()).collect();
        cheesewire::model::newest_first(&mut versions, |version| version);
        versions.into_iter().collect::<Value>()
    };
    for (member, listed) in
        [(None, None), (Some(json!({})), None), (None, Some(json!(["1.0", "2.0", "3.0"])))]
    {
        let (sandbox, relay) = pair().await;
        document(&sandbox, |document| {
            match &member {
                Some(member) => document["releases"] = member.clone(),
                None => drop(document.as_object_mut().unwrap().remove("releases")),
            }
            if let Some(listed) = &listed {
                document["versions"] = listed.clone();
            }
        })
        .await;
        assert_eq!(releases(&relay, false).await, Value::from_iter(["2.0"]));
        let expected = if listed.is_some() { Value::from_iter(["3.0", "2.0", "1.0"]) } else { all(&sandbox) };
        assert_eq!(releases(&relay, true).await, expected, "{member:?} {listed:?}");
        // An older release, and one in another spelling, is its own document's.
        let old = sandbox.project(NAME).unwrap().releases[0].version.clone();
        for spelling in [old.clone(), format!("v{old}.0")] {
            let urls =
                call(&relay.url, "release_urls", &[NAME.into(), spelling.as_str().into()]).await.unwrap();
            assert!(!urls.as_array().unwrap().is_empty(), "{spelling}");
        }
    }
}

#[tokio::test]
async fn roles_are_sorted_without_case_as_upstreams_are() {
    let (sandbox, relay) = pair().await;
    for user in ["Zoe", "adam", "Bea"] {
        let role = Role { role: "Owner".to_owned(), user: user.to_owned() };
        sandbox.change(Change::AddRole { name: NAME.to_owned(), role }).await.unwrap();
    }
    // Upstream may have them in any order in its document.
    document(&sandbox, |document| document["ownership"]["roles"].as_array_mut().unwrap().reverse()).await;
    let upstreams = call(&sandbox.url(), "package_roles", &[NAME.into()]).await.unwrap();
    assert_eq!(call(&relay.url, "package_roles", &[NAME.into()]).await, Ok(upstreams.clone()));
    let users: Vec<&str> = upstreams
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair.as_array().unwrap()[1].as_str().unwrap())
        .collect();
    let places = ["adam", "Bea", "Zoe"].map(|user| users.iter().position(|other| *other == user));
    assert!(places.is_sorted() && places[0].is_some(), "{users:?}");
}

#[tokio::test]
async fn times_are_spelled_as_in_our_json() {
    let (sandbox, relay) = pair().await;
    let times = ["2026-01-31T23:59:59Z", "2026-01-31T23:59:59.000100Z"];
    document(&sandbox, |document| {
        let files = document["releases"]["2.0"].as_array_mut().unwrap();
        for (file, time) in files.iter_mut().zip(times) {
            file["upload_time_iso_8601"] = time.into();
        }
    })
    .await;
    let ours = get(&format!("{}pypi/{NAME}/json", relay.url)).await.json();
    let urls = call(&relay.url, "release_urls", &[NAME.into(), "2.0".into()]).await.unwrap();
    for ((file, object), time) in
        urls.as_array().unwrap().iter().zip(ours["releases"]["2.0"].as_array().unwrap()).zip(times)
    {
        assert_eq!(file.get("upload_time_iso_8601"), Some(&Value::from(time)));
        assert_eq!(object["upload_time_iso_8601"], time);
        assert_eq!(file.get("upload_time"), Some(&Value::DateTime("20260131T23:59:59".to_owned())));
    }
}

#[tokio::test]
async fn a_file_of_three_gib_hides_no_release_and_downloads_are_not_those_that_upstream_states() {
    let (sandbox, relay) = pair().await;
    document(&sandbox, |document| {
        document["releases"]["2.0"][0]["size"] = json!(3_u64 << 30);
        document["info"]["downloads"]["last_day"] = json!(1_u64 << 31);
    })
    .await;
    let params = [Value::from(NAME), "2.0".into()];
    let answer = post(&format!("{}pypi", relay.url), encode_call("release_urls", &params).unwrap()).await;
    assert!(
        answer.text().contains("<name>size</name><value><i8>3221225472</i8></value>"),
        "{}",
        answer.text()
    );
    let alone = call(&relay.url, "release_urls", &params).await.unwrap();
    assert_eq!(alone.as_array().unwrap()[0].get("size"), Some(&Value::Int(3 << 30)));
    let inside = |method: &str| {
        let members = [("methodName", method.into()), ("params", Value::Array(params.to_vec()))];
        Value::Struct(members.map(|(name, value)| (name.to_owned(), value)).into())
    };
    let both = Value::Array(vec![inside("release_urls"), inside("release_data")]);
    let both = call(&relay.url, "system.multicall", &[both]).await.unwrap();
    let [urls, data] = both.as_array().unwrap() else { panic!("{both:?}") };
    assert_eq!(urls.as_array().unwrap()[0], alone);
    let data = &data.as_array().unwrap()[0];
    assert_eq!(data.get("downloads").unwrap().get("last_day"), Some(&Value::Int(0)));
    assert_eq!(&call(&relay.url, "release_data", &params).await.unwrap(), data);
}

#[tokio::test]
async fn a_fault_for_an_unknown_method_names_it_and_the_nearest() {
    let (_sandbox, relay) = pair().await;
    let expected = "server error; requested method not found: \"relase_urls\"; the nearest is release_urls";
    let expected = RpcFault { code: -32601, string: expected.to_owned() };
    assert_eq!(call(&relay.url, "relase_urls", &[]).await, Err(expected.clone()));
    assert_eq!(call(&relay.url, "system.methodHelp", &["relase_urls".into()]).await, Err(expected.clone()));
    let inside = Value::Struct(vec![("methodName".to_owned(), "relase_urls".into())]);
    let several = call(&relay.url, "system.multicall", &[Value::Array(vec![inside])]).await.unwrap();
    assert_eq!(several.as_array().unwrap()[0].get("faultString"), Some(&expected.string.into()));
    // What a client makes up does no harm where it is shown.
    let odd = call(&relay.url, &format!("\u{1b}[2J<&>{}", "é".repeat(100_000)), &[]).await.unwrap_err();
    assert!(odd.string.starts_with("server error; requested method not found: \"[2J<&>éé"), "{odd}");
    assert!(odd.string.len() < 200, "{odd}");
}

#[tokio::test]
async fn updated_releases_leave_out_what_is_gone_and_take_back_what_returns() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.interval=20ms"]).await;
    let events = sandbox.events_after(cheesewire::model::Serial(0), usize::MAX);
    let since = events.iter().map(|event| event.time).max().unwrap() + 1;
    let updated = async |expected: &[[&str; 2]]| {
        let expected: Value = expected.iter().map(|pair| pair.iter().copied().collect::<Value>()).collect();
        until(&format!("the answer never is {expected:?}"), async || {
            call(&relay.url, "updated_releases", &[since.into()]).await.as_ref() == Ok(&expected)
        })
        .await;
    };
    let publish = async |name: &str, version: &str| {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    };
    let quarantine = async |version: Option<&str>, cleared: bool| {
        let (name, version) = ("Cellar".to_owned(), version.map(str::to_owned));
        sandbox.change(Change::Quarantine { name, version, cleared }).await.unwrap();
    };
    publish("Cellar", "1.0").await;
    publish("Cellar", "2.0").await;
    publish("larder", "1.0").await;
    updated(&[["larder", "1.0"], ["Cellar", "2.0"], ["Cellar", "1.0"]]).await;
    let remove = Change::RemoveRelease { name: "Cellar".to_owned(), version: "2.0".to_owned() };
    sandbox.change(remove).await.unwrap();
    updated(&[["larder", "1.0"], ["Cellar", "1.0"]]).await;
    sandbox.change(Change::RemoveProject { name: "larder".to_owned() }).await.unwrap();
    updated(&[["Cellar", "1.0"]]).await;
    publish("larder", "1.0").await;
    updated(&[["larder", "1.0"], ["Cellar", "1.0"]]).await;
    for version in [None, Some("1.0")] {
        quarantine(version, false).await;
        updated(&[["larder", "1.0"]]).await;
        quarantine(version, true).await;
        updated(&[["larder", "1.0"], ["Cellar", "1.0"]]).await;
    }
    // That they changed stays news.
    let changed = call(&relay.url, "changed_packages", &[since.into()]).await;
    assert_eq!(changed, Ok(Value::from_iter(["Cellar", "larder"])));
}
