//! The pages while upstream is down, and what they must not tell.

use cheesewire::sandbox::{Effect, Fault, Route};

use super::{page, page_with, pair};
use crate::support::{Relay, get, until};

/// Nothing listens there, and what is before the host is secret.
const NOWHERE: &str = "http://user:hunter2@127.0.0.1:1/";

#[tokio::test]
async fn before_anything_is_known_each_page_says_so_with_the_status_of_its_programs_answer() {
    let relay = Relay::start(NOWHERE, &["rpc.deadline=300ms", "follow.shortest_wait=20ms"]).await;
    let start = "not since the relay was started";
    until("it never fails", async || page(&relay, "").await.text().contains("Last failure")).await;
    let text = page(&relay, "").await.text().to_owned();
    for text_of_it in [start, "not known yet", "Ready: requests are answered.", "data-most=\"100\""] {
        assert!(text.contains(text_of_it), "{text_of_it}: {text}");
    }
    let search = page(&relay, "search/?q=wire").await;
    assert_eq!((search.status, search.header("retry-after").is_empty()), (503, false), "{}", search.text());
    assert!(search.text().contains("<h1>Search</h1>"), "{}", search.text());
    let project = page(&relay, "project/wire-core/").await;
    let simple = get(&format!("{}simple/wire-core/", relay.url)).await;
    assert_eq!((project.status, simple.status), (503, 503), "{}", project.text());
    assert!(!project.header("retry-after").is_empty());
    assert!(project.text().contains("the index cannot be asked just now"), "{}", project.text());
    let folder = relay.folder().display().to_string();
    for page in [&text, search.text(), project.text()] {
        assert!(!page.contains("hunter2") && !page.contains(&folder), "{page}");
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    }
}

#[tokio::test]
async fn nothing_that_upstream_says_of_its_failure_is_markup() {
    const FAULT: &str = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>\
        <member><name>faultString</name><value><string>&lt;script&gt;alert(1)&lt;/script&gt;</string></value></member>\
        </struct></value></fault></methodResponse>";
    let answer = |kind: &str, body: &str| Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), kind.to_owned())].into(),
        body: body.to_owned(),
    };
    let (sandbox, relay) = pair(&[]).await;
    sandbox.faults().add(Fault::on(Route::Rpc, answer("text/xml", FAULT))).unwrap();
    sandbox.faults().add(Fault::on(Route::Page, answer("image/<script>", "<script>"))).unwrap();
    let text = page_with(&relay, "", "&lt;script&gt;alert(1)").await;
    let project = page_with(&relay, "project/wire-core/", "Not to be had").await;
    for page in [text.split("<script>\"use strict\"").next().unwrap(), &project] {
        assert!(!page.contains("<script"), "{page}");
    }
}

#[tokio::test]
async fn a_project_whose_document_fails_is_shown_without_its_summary() {
    let (sandbox, relay) = pair(&[]).await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 503 })).unwrap();
    let without = page(&relay, "project/wire-core/").await;
    assert_eq!((without.status, without.header("warning")), (200, ""));
    assert!(without.text().contains("<h1>wire-core</h1><table"), "{}", without.text());
}

#[tokio::test]
async fn while_upstream_fails_what_is_kept_is_shown_and_marked() {
    let (sandbox, relay) = pair(&["index.page_max_age=1ms"]).await;
    let fresh = page(&relay, "project/wire-core/").await;
    assert_eq!((fresh.status, fresh.header("warning")), (200, ""));
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 503 })).unwrap();
    page_with(&relay, "project/wire-core/", "The index fails or is slow just now").await;
    let stale = page(&relay, "project/wire-core/").await;
    assert_eq!(
        (stale.status, stale.header("warning")),
        (200, "110 - \"Response is Stale\""),
        "{}",
        stale.text()
    );
}

#[tokio::test]
async fn no_page_names_a_place_of_this_machine() {
    let (_sandbox, relay) = pair(&[]).await;
    let folder = relay.folder().display().to_string();
    for path in ["", "search/?q=wire", "project/wire-core/", "project/none/"] {
        let text = page(&relay, path).await.text().to_owned();
        assert!(!text.contains(&folder) && !text.contains("sqlite"), "{path}: {text}");
    }
}
