//! The first search for something waits for the documents of what it hits, and for nothing that cannot come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use axum::routing::get as on_get;
use cheesewire::index::IndexSettings;
use cheesewire::model::ProjectName;
use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox};
use cheesewire::xmlrpc::Value;
use serde_json::json;

use crate::support::{self, IndexRelay, Relay, call, sandbox, scripted, until, within};

/// No answer is waited for so long: who waits for the deadline fails.
const ENDLESS: &str = "rpc.deadline=1h";

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[&["follow.interval=20ms"], settings].concat()).await;
    (sandbox, relay)
}

/// As pip asks: name, version and summary of each hit.
async fn pip(relay: &Relay, text: &str) -> Vec<[String; 3]> {
    let terms = Value::from_iter([text]);
    let spec = Value::Struct(vec![("name".to_owned(), terms.clone()), ("summary".to_owned(), terms)]);
    let params = [spec, "or".into()];
    let answer = call(&relay.url, "search", &params);
    let hits = within("the search waits for its deadline", answer).await.unwrap();
    let text = |hit: &Value, member| hit.get(member).unwrap().as_str().unwrap().to_owned();
    let hit = |hit: &Value| ["name", "version", "summary"].map(|member| text(hit, member));
    hits.as_array().unwrap().iter().map(hit).collect()
}

fn known(hits: &[[String; 3]]) -> usize {
    hits.iter().filter(|[_, version, summary]| version != "0" && !summary.is_empty()).count()
}

#[tokio::test]
async fn the_first_pip_search_knows_versions_and_summaries() {
    let (sandbox, relay) = pair(&[ENDLESS]).await;
    let hits = pip(&relay, "chain").await;
    assert_eq!((hits.len(), known(&hits)), (4, 4), "{hits:?}");
    assert_eq!(sandbox.requests().route(Route::Json), 4);
    // Texts that came with them are found, and nobody is asked again.
    sandbox.forget_requests();
    assert_eq!(pip(&relay, "chain").await, hits);
    assert_eq!(known(&pip(&relay, "links").await), 4);
    assert_eq!(sandbox.requests().route(Route::Json), 0);
}

#[tokio::test]
async fn searches_at_once_for_the_same_read_each_document_once() {
    let (sandbox, relay) =
        pair(&[ENDLESS, "search.documents_burst=4", "search.documents_per_second=0.001"]).await;
    let searches = (0..10).map(|_| pip(&relay, "chain"));
    for hits in futures_util::future::join_all(searches).await {
        assert_eq!(known(&hits), 4, "{hits:?}");
    }
    assert_eq!(sandbox.requests().route(Route::Json), 4);
}

#[tokio::test]
async fn who_wants_a_document_that_another_has_had_read_meanwhile_asks_nobody() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), IndexSettings::default()).await;
    relay.seed().await;
    let asked = async || {
        relay.index.learn_now([ProjectName::parse("wire-top").unwrap()], support::ENDLESS).await;
        sandbox.requests().route(Route::Json)
    };
    assert_eq!((asked().await, asked().await), (1, 1));
    // What it told is old once something happened.
    let before = sandbox.last_serial();
    let after = sandbox.publish(Publication::new("wire-top", "77.0")).await.unwrap();
    relay.journal.append(sandbox.events_after(before, 100), before, after).await.unwrap();
    assert_eq!((asked().await, asked().await), (2, 2));
}

#[tokio::test]
async fn only_the_first_unknown_hits_are_waited_for_and_the_next_search_has_the_others() {
    let (sandbox, relay) = pair(&[ENDLESS, "search.learn_hits=3"]).await;
    let first = pip(&relay, "chain").await;
    assert_eq!((first.len(), known(&first), sandbox.requests().route(Route::Json)), (4, 3, 3), "{first:?}");
    // pip 24.1 and newer parse the version of every hit, and an empty one is none.
    assert!(first.iter().any(|[_, version, _]| version == "0"), "{first:?}");
    assert_eq!(known(&pip(&relay, "chain").await), 4);
    assert_eq!(sandbox.requests().path("/pypi/wire-top/json"), 0, "nobody has found it");
}

#[tokio::test]
async fn beyond_the_budget_documents_are_neither_waited_for_nor_fetched_at_once() {
    let (sandbox, relay) =
        pair(&[ENDLESS, "search.documents_burst=2", "search.documents_per_second=0.001"]).await;
    for _ in 0..3 {
        // The queue reads one when it is idle.
        let hits = pip(&relay, "chain").await;
        assert!((2..=3).contains(&known(&hits)), "{hits:?}");
    }
    assert!(sandbox.requests().route(Route::Json) <= 3);
}

#[tokio::test]
async fn what_the_budget_had_no_room_for_is_read_afterwards() {
    let settings = ["search.documents_burst=1", "search.documents_per_second=500"];
    let (_sandbox, relay) = pair(&[&[ENDLESS][..], &settings].concat()).await;
    until("they stay unknown", async || known(&pip(&relay, "chain").await) == 4).await;
}

#[tokio::test]
async fn slow_documents_do_not_hold_the_answer_beyond_its_deadline_and_come_later() {
    let (sandbox, relay) = pair(&["rpc.deadline=3s"]).await;
    // The deadline of a call that waits for the first listing is another test's.
    until("there is no listing", async || call(&relay.url, "list_packages", &[]).await.is_ok()).await;
    let slow = Effect::Delay { millis: 3_600_000 };
    sandbox.faults().add(Fault::on(Route::Json, slow).path("chain-a")).unwrap();
    let hits = pip(&relay, "chain").await;
    assert_eq!(hits.len(), 4, "names are there in any case");
    sandbox.faults().clear();
    until("it stays unknown", async || known(&pip(&relay, "chain").await) == 4).await;
}

#[tokio::test]
async fn while_upstream_fails_names_come_without_waiting_and_it_is_left_alone() {
    for effect in [Effect::Status { code: 503 }, Effect::Reset, Effect::Status { code: 429 }] {
        let (sandbox, relay) = pair(&[ENDLESS, "search.documents_at_once=1"]).await;
        sandbox.faults().add(Fault::on(Route::Json, effect.clone())).unwrap();
        for _ in 0..3 {
            let hits = pip(&relay, "chain").await;
            assert_eq!((hits.len(), known(&hits)), (4, 0), "{effect:?}");
        }
        // The first of a search that waited, and what the queue tried once.
        let asked = sandbox.requests().route(Route::Json);
        assert!(asked <= 3, "{asked} documents were asked for: {effect:?}");
    }
}

#[tokio::test]
async fn a_verdict_on_one_document_is_remembered_and_its_page_tells_versions() {
    let html = Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), "text/html".to_owned())].into(),
        body: "no JSON".to_owned(),
    };
    for effect in [Effect::Status { code: 404 }, Effect::Status { code: 403 }, html] {
        let (sandbox, relay) = pair(&[ENDLESS]).await;
        sandbox.faults().add(Fault::on(Route::Json, effect.clone())).unwrap();
        let latest = |name: &str| sandbox.project(name).unwrap().latest().unwrap().version.clone();
        let hits = pip(&relay, "chain").await;
        assert_eq!(hits.len(), 4);
        for [name, version, summary] in &hits {
            assert_eq!((version, summary.as_str()), (&latest(name), ""), "{effect:?}");
        }
        sandbox.forget_requests();
        assert_eq!(pip(&relay, "chain").await, hits);
        assert_eq!(sandbox.requests().route(Route::Json), 0, "{effect:?}");
    }
}

#[tokio::test]
async fn a_search_takes_few_of_upstreams_places() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let names: Vec<String> = (0..12).map(|n| format!("few-{n}")).collect();
    let projects: Vec<_> = names.iter().map(|name| json!({"name": name, "_last-serial": 5})).collect();
    let listing =
        json!({"meta": {"api-version": "1.4", "_last-serial": 5}, "projects": projects}).to_string();
    let listing = move || {
        let listing = listing.clone();
        async move { ([("content-type", "application/vnd.pypi.simple.v1+json")], listing) }
    };
    let (here, seen) = (now.clone(), most.clone());
    let document = move |Path(name): Path<String>| async move {
        seen.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // As long as the others need to come, if they may.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        here.fetch_sub(1, Ordering::SeqCst);
        let document = json!({"info": {"name": name, "version": "1", "summary": "s"}, "last_serial": 5,
            "releases": {"1": []}, "urls": []});
        ([("content-type", "application/json")], document.to_string()).into_response()
    };
    let router =
        Router::new().route("/simple/", on_get(listing)).route("/pypi/{name}/json", on_get(document));
    let url = scripted::serve(router).await;
    let relay = Relay::start(url.as_str(), &[ENDLESS, "search.documents_at_once=3"]).await;
    let hits = pip(&relay, "few").await;
    assert_eq!((hits.len(), known(&hits)), (12, 12));
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
}

#[tokio::test]
async fn before_a_document_comes_the_version_is_the_latest_that_history_tells() {
    let sandbox = sandbox().await;
    let publish = async |name: &str, version: &str| {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    };
    // The last event is about an old line; the highest was taken back; one is a pre-release.
    for version in ["1.0", "1.10", "3.0", "2.0rc1", "1.9.1"] {
        publish("history-tells", version).await;
    }
    let remove =
        cheesewire::sandbox::Change::RemoveRelease { name: "history-tells".into(), version: "3.0".into() };
    sandbox.change(remove).await.unwrap();
    let role = cheesewire::sandbox::Role { role: "Owner".to_owned(), user: "zoe".to_owned() };
    sandbox
        .change(cheesewire::sandbox::Change::AddRole { name: "history-tells".into(), role })
        .await
        .unwrap();
    let settings = ["follow.history=all", "follow.interval=20ms", "search.learn_hits=0"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    until("history does not tell it", async || {
        let hits = pip(&relay, "history-tells").await;
        hits.len() == 1 && hits[0][1] == "1.10"
    })
    .await;
    // Asked for by version it is found as well.
    let spec = ["name", "version"].into_iter().zip(["history-tells", "1.9.1"]);
    let spec = Value::Struct(spec.map(|(field, value)| (field.to_owned(), value.into())).collect());
    let hits = call(&relay.url, "search", &[spec]).await.unwrap();
    assert_eq!(hits.as_array().unwrap().len(), 1, "{hits:?}");
    // What happens from now on counts too.
    publish("history-tells", "1.11").await;
    until("the new release is not told", async || pip(&relay, "history-tells").await[0][1] == "1.11").await;
}
