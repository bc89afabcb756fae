//! The list of all projects.

use std::time::Duration;

use cheesewire::index::IndexSettings;
use cheesewire::sandbox::Route;
use reqwest::Method;
use serde_json::json;

use super::quick;
use crate::support::{IndexRelay, get, get_with, sandbox};

/// The longest wait for a list that does not come.
const WAIT: Duration = Duration::from_millis(300);
const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

#[tokio::test]
async fn the_list_is_the_journals_in_both_forms() {
    let sandbox = sandbox().await;
    let mut relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.answer_wants();
    let url = relay.url("/simple/");
    let answers = futures_util::future::join_all((0..20).map(|_| get_with(Method::GET, &url, &[JSON]))).await;
    assert_eq!(sandbox.requests().route(Route::Listing), 1);
    let projects: Vec<_> = sandbox
        .listed()
        .iter()
        .map(|project| json!({"_last-serial": project.last_serial, "name": project.name}))
        .collect();
    let serial = sandbox.last_serial();
    let expected = json!({"meta": {"_last-serial": serial, "api-version": "1.4"}, "projects": projects});
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("content-type"), JSON.1);
        assert_eq!(answer.header("x-pypi-last-serial"), serial.to_string());
        let again = get_with(Method::GET, &url, &[JSON, ("if-none-match", answer.header("etag"))]).await;
        assert_eq!(again.unwrap().status, 304);
    }
    let html = get(&url).await;
    assert!(html.text().contains("<a href=\"registered-spelling-x/\">Registered.Spelling_x</a><br/>"));
    assert_eq!(html.text().matches("<a ").count(), sandbox.listed().len());
    let bare = get(&relay.url("/simple")).await;
    assert_eq!((bare.status, bare.header("location")), (301, "/simple/"));
}

#[tokio::test]
async fn without_a_list_and_without_upstream_clients_are_told_to_come_back() {
    let sandbox = sandbox().await;
    let mut relay = IndexRelay::start(&sandbox.url(), IndexSettings { deadline: WAIT, ..quick() }).await;
    sandbox.pause().await.unwrap();
    relay.answer_wants();
    let answer = get(&relay.url("/simple/")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn an_old_list_goes_out_while_upstream_is_down() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), IndexSettings { deadline: WAIT, ..quick() }).await;
    relay.seed().await;
    sandbox.pause().await.unwrap();
    // Nobody keeps the journal current, so the list counts as old at once.
    let answer = get(&relay.url("/simple/")).await;
    assert_eq!((answer.status, answer.text().matches("<a ").count()), (200, sandbox.listed().len()));
}
