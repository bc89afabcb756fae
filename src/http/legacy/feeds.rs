//! Feeds: `/rss/updates.xml`, `/rss/packages.xml`, `/rss/project/NAME/releases.xml`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;

use crate::http::conditions::matches;
use crate::http::origin::Origins;
use crate::index::IndexError;
use crate::model::ProjectName;
use crate::rpc::{FeedDocument, OldAddresses};

/// How long caches on the way may keep a feed: the newest are what it is for.
const AGE: &str = "max-age=60";

#[derive(Clone)]
struct Shared {
    old: OldAddresses,
    origins: Arc<Origins>,
}

pub(super) fn routes(old: OldAddresses, origins: Origins) -> Router {
    let newest = |State(shared): State<Shared>, request: Parts| async move {
        updates(&shared.old, &shared.origins, &request).await
    };
    let projects = |State(shared): State<Shared>, request: Parts| async move {
        packages(&shared.old, &shared.origins, &request).await
    };
    Router::new()
        .route("/rss/updates.xml", get(newest))
        .route("/rss/packages.xml", get(projects))
        .route("/rss/project/{name}/releases.xml", get(releases))
        .with_state(Shared { old, origins: Arc::new(origins) })
}

pub(super) async fn updates(old: &OldAddresses, origins: &Origins, request: &Parts) -> Response<Body> {
    answer(request, old.newest_releases(&origins.of(request)).await)
}

pub(super) async fn packages(old: &OldAddresses, origins: &Origins, request: &Parts) -> Response<Body> {
    answer(request, old.newest_projects(&origins.of(request)).await)
}

async fn releases(State(shared): State<Shared>, Path(name): Path<String>, request: Parts) -> Response<Body> {
    let feed = match ProjectName::parse(&name) {
        Ok(name) => shared.old.releases_of(&name, &shared.origins.of(&request)).await,
        Err(_) => Err(IndexError::NoSuchProject),
    };
    answer(&request, feed)
}

fn answer(request: &Parts, feed: Result<FeedDocument, IndexError>) -> Response<Body> {
    let FeedDocument { body, etag } = match feed {
        Ok(feed) => feed,
        Err(error) => return error.into_response(),
    };
    let known = matches(&request.headers, &etag);
    let fields = [(ETAG, etag), (CACHE_CONTROL, AGE.to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, [(CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
}
