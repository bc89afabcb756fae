//! Pages and documents that are large, or take much memory: they are bounded, and keep nobody else waiting.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get as route;
use cheesewire::index::IndexSettings;
use cheesewire::model::Clock;
use cheesewire::upstream::{Upstream, UpstreamSettings};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;

use super::quick;
use crate::support::scripted::serve;
use crate::support::{IndexRelay, get, within};

const JSON: [(&str, &str); 1] = [("content-type", "application/vnd.pypi.simple.v1+json")];
const MIB: usize = 1 << 20;
/// More than sockets hold on their way: what was sent before the last of it was read.
const SOCKETS: usize = 16 * MIB;

/// A page with one file and so many bytes more.
fn page(name: &str, bytes: usize) -> String {
    let file = format!(r#"{{"filename":"{name}-1.zip","url":"{name}-1.zip","hashes":{{}}}}"#);
    format!(r#"{{"meta":{{"api-version":"1.0"}},"files":[{file}],"x":"{}"}}"#, "x".repeat(bytes))
}

#[tokio::test]
async fn a_large_page_does_not_wait_for_one_of_the_largest() {
    let (sent, was_sent) = oneshot::channel();
    let mut sent = Some(sent);
    let last = SOCKETS / MIB + 5;
    // Its end never comes, and nothing says how long it is.
    let endless = stream::iter(0..=last).map(move |at| {
        if let Some(sent) = sent.take_if(|_| at == last) {
            sent.send(()).unwrap();
        }
        Ok::<_, Infallible>(Bytes::from(vec![b' '; MIB]))
    });
    let endless = Mutex::new(Some(Body::from_stream(endless.chain(stream::pending()))));
    let stuck = Arc::new(endless);
    let stuck = async move || (JSON, stuck.lock().unwrap().take().unwrap());
    let chunked = async || {
        let page = Bytes::from(page("chunked", 2 * MIB));
        (JSON, Body::from_stream(stream::iter([Ok::<_, Infallible>(page)])))
    };
    let router = Router::new()
        .route("/simple/stuck/", route(stuck))
        .route("/simple/small/", route(async || (JSON, page("small", 10))))
        .route("/simple/large/", route(async || (JSON, page("large", 2 * MIB))))
        .route("/simple/chunked/", route(chunked));
    let long = Duration::from_hours(1);
    let settings =
        UpstreamSettings { retries: 0, read_timeout: long, ..UpstreamSettings::new(serve(router).await) };
    let settings = UpstreamSettings { answer_timeout: long, ..settings };
    let deadline = IndexSettings { deadline: Duration::from_mins(1), ..quick() };
    let relay = IndexRelay::over(Upstream::new(settings).unwrap(), deadline, &Clock::system()).await;
    let stuck = relay.url("/simple/stuck/");
    tokio::spawn(async move { get(&stuck).await });
    within("the largest page has room", was_sent).await.unwrap();
    for name in ["small", "large", "chunked"] {
        assert_eq!(get(&relay.url(&format!("/simple/{name}/"))).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn what_would_take_too_much_memory_is_refused_and_names_the_setting() {
    let files = |count: usize| {
        let files = (0..count).map(|at| format!(r#"{{"filename":"a-{at}.zip","url":"a-{at}.zip"}}"#));
        let files = files.collect::<Vec<_>>().join(",");
        format!(r#"{{"meta":{{"api-version":"1.0"}},"files":[{files}]}}"#)
    };
    let links = |count: usize| {
        (0..count).map(|at| format!("<a href=a-{at}.zip>a-{at}.zip</a>")).collect::<Vec<_>>().concat()
    };
    let document = |count: usize| {
        format!(r#"{{"info":{{"version":"1"}},"urls":[],"releases":{{}},"x":[{}0]}}"#, "[],".repeat(count))
    };
    let html = [("content-type", "text/html")];
    let json = [("content-type", "application/json")];
    let (few, many) = (100, 20_000);
    let mut router = Router::new();
    for (size, count) in [("few", few), ("many", many)] {
        let (page, list, document) = (files(count), links(count), document(count));
        router = router
            .route(&format!("/simple/{size}-files/"), route(async move || (JSON, page.clone())))
            .route(&format!("/simple/{size}-links/"), route(async move || (html, list.clone())))
            .route(&format!("/pypi/{size}/json"), route(async move || (json, document.clone())));
    }
    let base = serve(router).await;
    let settings = UpstreamSettings { retries: 0, document_memory: MIB, ..UpstreamSettings::new(base) };
    let upstream = Upstream::new(settings).unwrap();
    let relay = IndexRelay::over(
        upstream,
        IndexSettings { deadline: Duration::from_mins(2), ..quick() },
        &Clock::system(),
    )
    .await;
    for (few, many) in [
        ("/simple/few-files/", "/simple/many-files/"),
        ("/simple/few-links/", "/simple/many-links/"),
        ("/pypi/few/json", "/pypi/many/json"),
    ] {
        assert_eq!(get(&relay.url(few)).await.status, 200, "{few}");
        let refused = get(&relay.url(many)).await;
        assert_eq!(refused.status, 502, "{many}");
        assert!(refused.text().contains("upstream.document_memory"), "{}", refused.text());
    }
}
