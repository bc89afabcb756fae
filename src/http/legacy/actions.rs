//! `/pypi?:action=…`: what PyPI's first server was asked for by a parameter. Without it, the page that says what this is; at
//! `/`, and to browsers, the status page.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::VARY;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use maud::html;

use super::{classifiers, doap, feeds};
use crate::http::index::Documents;
use crate::http::negotiate;
use crate::http::origin::Origins;
use crate::http::people;
use crate::http::push::{self, Push};
use crate::http::query::{Doubled, Query};
use crate::http::rpc::ADDRESSES;
use crate::http::status::StatusPages;
use crate::model::ProjectName;
use crate::rpc::OldAddresses;

#[derive(Clone)]
struct Shared {
    old: OldAddresses,
    documents: Documents,
    push: Push,
    pages: StatusPages,
    origins: Arc<Origins>,
}

/// On all addresses of calls, to others than a POST.
pub(super) fn routes(
    old: OldAddresses,
    documents: Documents,
    push: Push,
    pages: StatusPages,
    origins: Origins,
) -> Router {
    // POST does not come here; with it in the route, a 405 says in `Allow` that it may.
    let other = || get(answer).post(answer);
    let routes = ADDRESSES.iter().fold(Router::new(), |router, address| router.route(address, other()));
    routes.with_state(Shared { old, documents, push, pages, origins: Arc::new(origins) })
}

async fn answer(State(shared): State<Shared>, request: Parts) -> Response<Body> {
    let query = Query::read(request.uri.query());
    match query.one(":action") {
        Ok(None) if request.uri.path() == "/" => start(&shared, &request).await,
        Ok(None) => about(&shared.origins, &request),
        Ok(Some(action)) => match act(&shared, action, &query, &request).await {
            Ok(response) => response,
            Err(doubled) => refused(&doubled.to_string()),
        },
        Err(doubled) => refused(&doubled.to_string()),
    }
}

async fn act(
    shared: &Shared,
    action: &str,
    query: &Query,
    request: &Parts,
) -> Result<Response<Body>, Doubled> {
    let Shared { old, documents, push, pages: _, origins } = shared;
    Ok(match action {
        "list_classifiers" => classifiers::answer(old).await,
        "rss" => feeds::updates(old, origins, request).await,
        "packages_rss" => feeds::packages(old, origins, request).await,
        "json" | "doap" => {
            let (name, version) = (query.one("name")?, query.one("version")?);
            let Some(name) = name else { return Ok(refused("name is missing")) };
            // An empty field of a form.
            let version = version.filter(|version| !version.is_empty());
            match (action, ProjectName::parse(name)) {
                ("json", _) => documents.answer(name, version, request).await.into_response(),
                (_, Ok(name)) => doap::answer(old, &name, version).await,
                (_, Err(_)) => doap::unknown(),
            }
        }
        "gae_file" => push::question(push, &request.method, query.one("host")?, query.one("secret")?),
        _ => {
            let simple = origins.link(request, "/simple/");
            let none = format!(
                "no such :action is here, but list_classifiers, json, doap, rss and packages_rss; calls come by POST, files \
                 are at {simple}\n"
            );
            (StatusCode::NOT_FOUND, none).into_response()
        }
    })
}

fn refused(reason: &str) -> Response<Body> {
    (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response()
}

/// A browser gets the status page, a program what it always got.
async fn start(shared: &Shared, request: &Parts) -> Response<Body> {
    let mut response = if negotiate::prefers_html(&request.headers) {
        shared.pages.start(request).await
    } else {
        about(&shared.origins, request)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// A bare GET is not a call; it gets a page for people.
fn about(origins: &Origins, request: &Parts) -> Response<Body> {
    let simple = origins.link(request, "/simple/");
    let content = html! {
        p {
            "This is a relay of a Python package index. Programs send XML-RPC calls to this address by POST; pip takes "
            a href=(simple) { (simple) } " as its index."
        }
    };
    people::page("cheesewire", &content)
}
