//! What upstream does not have: what of it is asked for, and what clients are told.

use std::time::Duration;

use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox};
use cheesewire::xmlrpc::Value;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Relay, call, get, get_with, sandbox, until};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// Every question has its own poll.
const POLLED: &str = "index.unknown_poll_age=1ms";
/// Polls come only as questions cause them.
const RARELY: &str = "follow.interval=1d";
/// An answer of upstream's may take for ever.
const ENDLESS_UPSTREAM: [&str; 2] = ["upstream.read_timeout=1d", "upstream.answer_timeout=1d"];

/// A relay that has heard upstream's changelog to its end.
async fn following(sandbox: &Sandbox, settings: &[&str]) -> Relay {
    let relay = Relay::start(&sandbox.url(), settings).await;
    until("upstream is never heard", async || {
        call(&relay.url, "changelog", &[Value::Int(4_000_000_000 / 2)]).await.is_ok()
    })
    .await;
    sandbox.forget_requests();
    relay
}

/// A relay that has heard upstream's changelog and believes it no longer.
async fn following_what_was_heard_long_ago(sandbox: &Sandbox, settings: &[&str]) -> Relay {
    // No question waits for that: such an answer is too old before it is looked at.
    let relay = Relay::start(&sandbox.url(), &[settings, &["follow.head_lifetime=1ms"]].concat()).await;
    until("upstream is never heard", async || {
        let state = get(&relay.at("readyz")).await.json();
        state["upstream"]["seconds_since_success"].is_u64() && get(&relay.at("simple/")).await.status == 200
    })
    .await;
    sandbox.forget_requests();
    relay
}

/// A relay that has compared upstream's listings.
async fn comparing(sandbox: &Sandbox, settings: &[&str]) -> Relay {
    let settings = [&["follow.source=listings", "follow.listing_interval=1d"], settings].concat();
    let relay = Relay::start(&sandbox.url(), &settings).await;
    until("there is no list", async || get(&relay.at("simple/")).await.status == 200).await;
    let compared = Value::from(sandbox.last_serial().0);
    until("nothing is compared", async || {
        call(&relay.url, "changelog_since_serial", std::slice::from_ref(&compared)).await.is_ok()
    })
    .await;
    sandbox.forget_requests();
    relay
}

impl Relay {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The status of a project's page.
    async fn page(&self, name: &str) -> u16 {
        get(&self.at(&format!("simple/{name}/"))).await.status
    }
}

/// Requests that may name a project: all but those of polls.
fn named(sandbox: &Sandbox) -> u64 {
    let seen = sandbox.requests();
    let polls = ["changelog_last_serial", "changelog_since_serial"];
    seen.total() - polls.iter().map(|method| seen.method(method)).sum::<u64>()
}

/// Asks for a project at one of the doors; tells whether that says that there is none.
async fn is_denied(relay: &Relay, name: &str, door: usize) -> bool {
    let there = async |method: Method, path: String, accept: &str| -> bool {
        get_with(method, &relay.at(&path), &[("accept", accept)]).await.unwrap().status != 404
    };
    let empty = async |method: &str, more: Option<&str>| {
        let params: Vec<Value> = [name].into_iter().chain(more).map(Value::from).collect();
        let answer = call(&relay.url, method, &params).await.unwrap();
        answer == Value::Array(vec![]) || answer == Value::Struct(vec![])
    };
    match door {
        0 => !there(Method::GET, format!("simple/{name}/"), "*/*").await,
        1 => !there(Method::GET, format!("simple/{name}/"), JSON).await,
        2 => !there(Method::HEAD, format!("simple/{name}/"), "*/*").await,
        3 => !there(Method::GET, format!("pypi/{name}/json"), "*/*").await,
        4 => !there(Method::GET, format!("pypi/{name}/1.0/json"), "*/*").await,
        5 => !there(Method::GET, format!("pypi/{name}"), "*/*").await,
        6 => !there(Method::GET, format!("packages/aa/bb/{name}-1.0.tar.gz"), "*/*").await,
        7 => !there(Method::GET, format!("integrity/{name}/1.0/{name}-1.0.zip/provenance"), "*/*").await,
        8 => empty("package_releases", None).await,
        9 => empty("package_roles", None).await,
        10 => empty("release_urls", Some("1.0")).await,
        _ => empty("release_data", Some("1.0")).await,
    }
}

const DOORS: usize = 12;

#[tokio::test]
async fn where_the_changelog_is_followed_four_thousand_unknown_names_cost_upstream_nothing() {
    let sandbox = sandbox().await;
    // No poll is due: the last one was the first.
    let relay = following(&sandbox, &[RARELY, "index.unknown_poll_age=1d", "follow.head_lifetime=1d"]).await;
    let asked = stream::iter(0..3_600).map(|n| {
        let relay = &relay;
        async move { (n, is_denied(relay, &format!("private-{n}"), n % DOORS).await) }
    });
    let denied: Vec<_> = asked.buffer_unordered(32).collect().await;
    assert_eq!(denied.iter().find(|(_, denied)| !denied), None);
    for bulk in 0..4 {
        let one = |n: usize| {
            let name = Value::from(format!("bulk-{bulk}-{n}").as_str());
            let (method, params) = if n.is_multiple_of(2) {
                ("package_roles", vec![name])
            } else {
                ("release_urls", vec![name, "1.0".into()])
            };
            let params = Value::Array(params);
            Value::Struct(vec![("methodName".into(), method.into()), ("params".into(), params)])
        };
        let all = call(&relay.url, "system.multicall", &[(0..100).map(one).collect()]).await.unwrap();
        let nothing = Value::Array(vec![Value::Array(vec![])]);
        assert!(all.as_array().unwrap().iter().all(|answer| *answer == nothing), "{all:?}");
    }
    assert_eq!(sandbox.requests().total(), 0, "{:?}", sandbox.requests().last().next());
}

#[tokio::test]
async fn a_project_that_was_published_a_moment_ago_is_there_at_every_door_and_one_poll_tells_of_it() {
    let sandbox = sandbox().await;
    let relay = following(&sandbox, &[RARELY, POLLED]).await;
    for door in 0..DOORS {
        let name = format!("fresh-{door}");
        assert!(is_denied(&relay, &name, door).await, "{door}");
        assert_eq!(named(&sandbox), 0, "{door}");
        sandbox.publish(Publication::new(&name, "1.0")).await.unwrap();
        if door == 6 || door == 7 {
            // Their own addresses nobody could guess.
            let address = relay.at(&format!("simple/{name}/"));
            let page = get_with(Method::GET, &address, &[("accept", JSON)]).await.unwrap();
            assert_eq!(page.json()["files"].as_array().unwrap().len(), 2, "{door}");
        } else {
            assert!(!is_denied(&relay, &name, door).await || door == 9, "{door}");
        }
        sandbox.forget_requests();
    }
}

#[tokio::test]
async fn a_file_of_a_project_that_was_published_a_moment_ago_is_there() {
    for listings in [false, true] {
        let sandbox = sandbox().await;
        let relay = if listings {
            comparing(&sandbox, &[]).await
        } else {
            following(&sandbox, &[RARELY, POLLED]).await
        };
        sandbox.publish(Publication::new("fresh", "1.0")).await.unwrap();
        let project = sandbox.project("fresh").unwrap();
        let path = project.files().next().unwrap().1.file.path.to_string();
        assert_eq!(get(&relay.at(&format!("packages/{path}"))).await.status, 200, "{listings}");
    }
}

#[tokio::test]
async fn while_polls_do_not_come_back_unknown_names_wait_once_and_are_denied_as_long_as_upstream_was_heard() {
    let sandbox = sandbox().await;
    let settings = [&ENDLESS_UPSTREAM[..], &[RARELY, POLLED, "index.unknown_wait=1s"]].concat();
    let heard = following(&sandbox, &[&settings[..], &["follow.head_lifetime=1d"]].concat()).await;
    let not_heard = following_what_was_heard_long_ago(&sandbox, &settings).await;
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Delay { millis: 3_600_000 })).unwrap();
    sandbox.publish(Publication::new("fresh", "1.0")).await.unwrap();
    sandbox.forget_requests();
    // A wait for each would be an hour.
    let asked = async {
        for n in 0..3_600 {
            assert_eq!(heard.page(&format!("private-{n}")).await, 404);
        }
    };
    tokio::time::timeout(Duration::from_mins(30), asked).await.unwrap();
    assert_eq!(named(&sandbox), 0);
    assert_eq!((not_heard.page("fresh").await, not_heard.page("private").await), (200, 404));
    assert_eq!(named(&sandbox), 2);
}

/// 503, and back soon: never "there is none", which sends an installer to its other index.
fn is_not_denied(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    // pip waits so long five times.
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_name_that_upstream_cannot_be_asked_for_is_never_said_not_to_be_there() {
    let sandbox = sandbox().await;
    let relays = [
        following_what_was_heard_long_ago(&sandbox, &[RARELY, POLLED]).await,
        comparing(&sandbox, &[]).await,
        // It has no list of projects.
        Relay::start(&sandbox.url(), &["follow.enabled=false"]).await,
    ];
    // A poll that ended well this moment would make upstream heard.
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 503 })).unwrap();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 503 })).unwrap();
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 500 })).unwrap();
    for relay in &relays {
        for path in
            ["simple/private/", "pypi/private/json", "pypi/private/1.0/json", "packages/a/private-1.0.zip"]
        {
            is_not_denied(&get(&relay.at(path)).await);
        }
        for method in ["package_releases", "package_roles"] {
            let fault = call(&relay.url, method, &[Value::from("private")]).await.unwrap_err();
            assert_eq!(fault.code, -32403, "{fault}");
        }
    }
}

#[tokio::test]
async fn where_listings_are_compared_a_name_is_asked_for_once_and_a_new_project_is_there() {
    let sandbox = sandbox().await;
    let relay = comparing(&sandbox, &["index.absent_max_age=1d"]).await;
    sandbox.publish(Publication::new("fresh", "1.0")).await.unwrap();
    assert_eq!(relay.page("fresh").await, 200);
    sandbox.forget_requests();
    for _ in 0..20 {
        assert_eq!(relay.page("private").await, 404);
    }
    assert_eq!(sandbox.requests().total(), 1);
}

#[tokio::test]
async fn names_that_the_listing_lacks_have_a_budget_and_others_do_not() {
    let sandbox = sandbox().await;
    let budget = ["index.unknown_per_second=0.001", "index.unknown_burst=3", "index.unknown_waiting=0"];
    let relay = comparing(&sandbox, &budget).await;
    for n in 0..3 {
        assert_eq!(relay.page(&format!("private-{n}")).await, 404);
    }
    for n in 3..50 {
        is_not_denied(&get(&relay.at(&format!("simple/private-{n}/"))).await);
    }
    assert_eq!(sandbox.requests().total(), 3);
    // What was asked for is remembered, and what is listed needs no budget.
    assert_eq!((relay.page("private-1").await, relay.page("wire-core").await), (404, 200));
}

#[tokio::test]
async fn a_project_in_quarantine_is_not_denied() {
    let sandbox = sandbox().await;
    let relay = following(&sandbox, &[RARELY, POLLED]).await;
    sandbox
        .change(Change::Quarantine { name: "wire-core".to_owned(), version: None, cleared: false })
        .await
        .unwrap();
    assert_eq!(relay.page("some-other").await, 404, "a poll tells of it");
    let page = get_with(Method::GET, &relay.at("simple/wire-core/"), &[("accept", JSON)]).await.unwrap();
    assert_eq!((page.status, &page.json()["project-status"]["status"]), (200, &json!("quarantined")));
}

#[tokio::test]
async fn a_project_whose_page_is_kept_is_not_denied_though_nobody_told_of_it() {
    let sandbox = sandbox().await;
    let rows: Vec<_> = (sandbox.listed().iter().filter(|project| project.name != "wire-top"))
        .map(|project| json!({"name": project.name, "_last-serial": project.last_serial}))
        .collect();
    let meta = json!({"api-version": "1.4", "_last-serial": sandbox.last_serial()});
    let body = json!({"meta": meta, "projects": rows}).to_string();
    let headers = [("content-type".to_owned(), JSON.to_owned())].into();
    let listing = Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body });
    sandbox.faults().add(listing).unwrap();
    let relay = comparing(&sandbox, &[]).await;
    assert_eq!(relay.page("wire-top").await, 200);
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &["follow.source=changelog"]).await;
    until("upstream is never heard", async || relay.page("private").await == 404).await;
    sandbox.forget_requests();
    assert_eq!(relay.page("private").await, 404);
    assert_eq!(named(&sandbox), 0);
    assert_eq!(get(&relay.at("pypi/wire-top/json")).await.status, 200);
    assert_eq!(get(&relay.at("pypi/wire-top/1.0/json")).await.status, 404);
}

#[tokio::test]
async fn a_version_that_only_an_old_document_lacks_is_not_said_not_to_be_there() {
    let sandbox = sandbox().await;
    let relay = comparing(&sandbox, &["index.json_max_age=1ms"]).await;
    let version = async || get(&relay.at("pypi/wire-top/9.9/json")).await;
    assert_eq!(version().await.status, 404);
    let fault = Fault::on(Route::Json, Effect::Status { code: 503 });
    sandbox.faults().add(fault).unwrap();
    until("the document is not old", async || version().await.status != 404).await;
    is_not_denied(&version().await);
}

#[tokio::test]
async fn two_thousand_unknown_versions_cost_one_document() {
    for listings in [false, true] {
        let sandbox = sandbox().await;
        let relay =
            if listings { comparing(&sandbox, &[]).await } else { following(&sandbox, &[RARELY]).await };
        let asked = stream::iter(0..2_000).map(|n| {
            let relay = &relay;
            async move {
                let version = format!("77.{n}");
                if n % 2 == 0 {
                    return get(&relay.at(&format!("pypi/wire-core/{version}/json"))).await.status == 404;
                }
                let method = if n % 4 == 1 { "release_urls" } else { "release_data" };
                let params = [Value::from("wire-core"), Value::from(version.as_str())];
                let answer = call(&relay.url, method, &params).await.unwrap();
                answer == Value::Array(vec![]) || answer == Value::Struct(vec![])
            }
        });
        assert!(asked.buffer_unordered(32).all(|denied| async move { denied }).await);
        let seen = sandbox.requests();
        assert_eq!((seen.route(Route::Json), seen.route(Route::Page)), (1, 0), "{listings}");
        // Those that are there have their own documents, in whatever spelling.
        let version = sandbox.project("wire-core").unwrap().releases[0].version.clone();
        for spelled in [version.clone(), format!("v{version}")] {
            let answer = get(&relay.at(&format!("pypi/wire-core/{spelled}/json"))).await;
            assert_eq!((answer.status, &answer.json()["info"]["version"]), (200, &json!(version)));
        }
    }
}
