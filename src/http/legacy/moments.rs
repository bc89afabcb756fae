//! `/last-modified`, `/daytime`, `/serial` and `/mirrors` (PEP 381).
//!
//! The old reader of the first two calls `recv(1200)` once and takes the last line of what it got, so head and body are
//! small and leave in one write: they are whole before the head is written.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::html;

use crate::http::origin::Origins;
use crate::http::people;
use crate::model::Stamp;
use crate::rpc::OldAddresses;

/// When to come back for what is not known before the first poll; that takes seconds.
const FIRST_POLL: &str = "5";

#[derive(Clone)]
struct Shared {
    old: OldAddresses,
    origins: Arc<Origins>,
}

pub(super) fn routes(old: OldAddresses, origins: Origins) -> Router {
    Router::new()
        .route("/last-modified", get(last_modified))
        .route("/daytime", get(daytime))
        .route("/serial", get(serial))
        .route("/mirrors", get(mirrors))
        .with_state(Shared { old, origins: Arc::new(origins) })
}

async fn last_modified(State(shared): State<Shared>) -> Response {
    shared.old.last_modified().map_or_else(not_yet, |stamp| text(line(stamp)))
}

async fn daytime(State(shared): State<Shared>) -> Response {
    text(line(shared.old.now()))
}

async fn serial(State(shared): State<Shared>) -> Response {
    shared.old.last_serial().map_or_else(not_yet, |serial| text(serial.to_string()))
}

/// A page for people: the relay knows of no mirrors of its own.
async fn mirrors(State(shared): State<Shared>, request: Parts) -> Response {
    let link = |path| html! { a href=(shared.origins.link(&request, path)) { (path) } };
    let content = html! {
        p {
            "This relay keeps no list of mirrors. It is itself a mirror of a Python package index: " (link("/last-modified"))
            " says when it was last up to date, " (link("/serverkey")) " has the key that its pages are signed with, and the \
             index is at " (link("/simple/")) "."
        }
    };
    people::page("Mirrors", &content)
}

/// The one form that the old reader takes: `20260131T23:59:59` and a newline.
fn line(stamp: Stamp) -> String {
    stamp.xmlrpc() + "\n"
}

fn text(body: String) -> Response {
    ([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], body).into_response()
}

fn not_yet() -> Response {
    let reason = "upstream was not heard yet\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, FIRST_POLL)], reason).into_response()
}
