//! Pages for people with a browser: `/`, `/search/`, `/project/NAME/`. Programs get at `/` what they always got
//! (`legacy/actions.rs`).
//!
//! Whatever is put into a page is escaped by the template, and a page runs nothing but the one script that is its own.

mod events;
mod inputs;
mod layout;
mod project;
mod search;
mod shared;
mod start;
mod state;
mod usage;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub use inputs::{Ask, KeptFiles, Removals, StatusInputs};
pub(super) use layout::SEARCH;
pub(super) use shared::StatusPages;

use super::admin::Admin;
use super::feed;
use super::origin::Origins;
use crate::index::Index;
use crate::rpc::Rpc;
use layout::PROJECT;
use shared::Inner;

/// Whether a page for browsers is at this path, or what its live part asks.
pub(super) fn is_shown_at(path: &str) -> bool {
    path == "/"
        || path == feed::PATH
        || path.strip_prefix(SEARCH.trim_end_matches('/')).is_some_and(|rest| matches!(rest, "" | "/"))
        || path.starts_with(PROJECT)
}

impl StatusPages {
    pub(super) fn new(inputs: StatusInputs, admin: Admin, rpc: Rpc, index: Index, origins: Origins) -> Self {
        Self(Arc::new(Inner { inputs, admin, rpc, index, origins }))
    }

    /// The page at `/`.
    pub(super) async fn start(&self, request: &Parts) -> Response {
        start::answer(&self.0, request).await
    }

    /// The routes of the other pages. GET and HEAD only.
    pub(super) fn routes(self) -> Router {
        Router::new()
            .route(SEARCH.trim_end_matches('/'), get(with_slash))
            .route(SEARCH, get(search::answer))
            .route("/project/{name}", get(with_slash))
            .route("/project/{name}/", get(project::answer))
            .with_state(self)
    }
}

/// 301 to the same path with a `/`, and the same query.
async fn with_slash(State(pages): State<StatusPages>, request: Parts) -> Response {
    let path = format!("{}/", request.uri.path());
    let query = request.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let to = pages.0.origins.link(&request, &path) + &query;
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, to)]).into_response()
}
