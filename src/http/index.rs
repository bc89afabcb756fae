//! `/simple/`, the JSON API and provenances over HTTP (docs/wire.md section 7).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VARY, WARNING,
};
use axum::http::request::Parts;
use axum::http::response::Builder;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::fields::X_LAST_SERIAL;
use super::origin::Origins;
use super::rescue::InJson;
use super::{negotiate, pieces};
use crate::index::{Compressed, Index, IndexError, Rendered, RootListing};
use crate::model::{ProjectName, Serial};

/// How long caches on the way may keep a page: as upstream's (docs/wire.md section 8).
const PAGE_AGE: &str = "max-age=600";
/// The same for a JSON document.
const JSON_AGE: &str = "max-age=900";

#[derive(Clone)]
struct Shared {
    index: Index,
    origins: Arc<Origins>,
}

/// The routes of the index. GET and HEAD only.
pub fn routes(index: Index, origins: Origins) -> Router {
    Router::new()
        .route("/simple", get(with_slash))
        .route("/simple/", get(root))
        .route("/simple/{name}", get(with_slash))
        .route("/simple/{name}/", get(page))
        .route("/pypi/{name}", get(about))
        .route("/pypi/{name}/", get(about))
        .route("/pypi/{name}/json", get(json))
        .route("/pypi/{name}/json/", get(json))
        .route("/pypi/{name}/{version}/json", get(json_of_release))
        .route("/pypi/{name}/{version}/json/", get(json_of_release))
        .route("/integrity/{name}/{version}/{file}/provenance", get(provenance))
        .with_state(Shared { index, origins: Arc::new(origins) })
}

/// 301 to the same path with a `/`, in the client's spelling.
async fn with_slash(State(shared): State<Shared>, request: Parts) -> Response {
    // A path of two slashes would lead to another host.
    let path = format!("/{}/", request.uri.path().trim_matches('/'));
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, shared.origins.link(&request, &path))]).into_response()
}

async fn root(State(shared): State<Shared>, request: Parts) -> Result<Response, IndexError> {
    let form = negotiate::form(&request.headers);
    let RootListing { last_serial, etag, body } = shared.index.root(form).await?;
    let head = head(last_serial, &etag, PAGE_AGE, "Accept", false);
    if matches(&request.headers, &etag) {
        return Ok(finish(head.status(StatusCode::NOT_MODIFIED), Body::empty()));
    }
    Ok(finish(head.header(CONTENT_TYPE, form.content_type()), Body::from_stream(body)))
}

async fn page(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Parts,
) -> Result<Response, IndexError> {
    let Ok(name) = ProjectName::parse(&name) else { return Err(IndexError::NoSuchProject) };
    let form = negotiate::form(&request.headers);
    let origin = shared.origins.of(&request);
    let rendered = shared.index.rendered_page(&name, form, &origin).await?;
    answer(&shared.index, &request, rendered, PAGE_AGE, "Accept, Accept-Encoding").await
}

/// What a browser, and a client that only wants to know whether there is such a project, gets: where its page is.
async fn about(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Parts,
) -> Result<Response, IndexError> {
    let Ok(name) = ProjectName::parse(&name) else { return Err(IndexError::NoSuchProject) };
    shared.index.page(&name).await?;
    // A normalised name has no character that HTML knows.
    let link = |path: String| shared.origins.link(&request, &path).replace('&', "&amp;");
    let (files, document) = (link(format!("/simple/{name}/")), link(format!("/pypi/{name}/json")));
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{name}</title></head><body>\n<h1>{name}</h1>\n\
         <p><a href=\"{files}\">Its files</a>, <a href=\"{document}\">what is known of it</a></p>\n\
         </body></html>\n"
    );
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, PAGE_AGE)], page).into_response())
}

async fn json(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Parts,
) -> Result<Response, InJson> {
    Ok(document(&shared, &name, None, &request).await?)
}

async fn json_of_release(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
    request: Parts,
) -> Result<Response, InJson> {
    Ok(document(&shared, &name, Some(&version), &request).await?)
}

async fn document(
    shared: &Shared,
    name: &str,
    version: Option<&str>,
    request: &Parts,
) -> Result<Response, IndexError> {
    let Ok(name) = ProjectName::parse(name) else { return Err(IndexError::NoSuchProject) };
    let origin = shared.origins.of(request);
    let rendered = shared.index.rendered_json(&name, version, &origin).await?;
    answer(&shared.index, request, rendered, JSON_AGE, "Accept-Encoding").await
}

async fn provenance(
    State(shared): State<Shared>,
    Path((name, _version, _file)): Path<(String, String, String)>,
    request: Parts,
) -> Result<Response, IndexError> {
    let Ok(name) = ProjectName::parse(&name) else { return Err(IndexError::NoSuchProject) };
    let body = shared.index.provenance(&name, request.uri.path()).await?;
    Ok(([(CONTENT_TYPE, "application/vnd.pypi.integrity.v1+json")], body).into_response())
}

/// The bytes, compressed for who reads that, or 304.
async fn answer(
    index: &Index,
    request: &Parts,
    rendered: Rendered,
    age: &str,
    vary: &str,
) -> Result<Response, IndexError> {
    let coded = if negotiate::gzip(&request.headers) { index.compressed(&rendered).await? } else { None };
    // Other bytes need another strong validator.
    let mut etag = rendered.etag();
    if coded.is_some() {
        etag.pop();
        etag.push_str("-gzip\"");
    }
    let head = head(rendered.last_serial, &etag, age, vary, rendered.stale);
    if matches(&request.headers, &etag) {
        return Ok(finish(head.status(StatusCode::NOT_MODIFIED), Body::empty()));
    }
    let head = head.header(CONTENT_TYPE, rendered.content_type);
    let gzip = |head: Builder| head.header(CONTENT_ENCODING, "gzip");
    Ok(match coded {
        Some(Compressed::Whole(body)) => finish(gzip(head), body.into()),
        Some(Compressed::Streamed(rest)) => finish(gzip(head), pieces::compressing(rest)),
        None => finish(head, pieces::body(rendered.pieces())),
    })
}

/// What a 200 and its 304 have in common.
fn head(serial: Option<Serial>, etag: &str, age: &str, vary: &str, stale: bool) -> Builder {
    let mut head = Response::builder().header(ETAG, etag).header(VARY, vary);
    head = head.header(CACHE_CONTROL, if stale { "no-cache" } else { age });
    if let Some(serial) = serial {
        head = head.header(X_LAST_SERIAL, serial.0);
    }
    if stale {
        head = head.header(WARNING, "110 - \"Response is Stale\"");
    }
    head
}

fn finish(head: Builder, body: Body) -> Response {
    // Every field is ASCII text of ours or a number.
    head.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// `If-None-Match` names this validator; weakly compared, as for GET it must be.
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}
