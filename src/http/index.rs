//! `/simple/`, the JSON API and provenances over HTTP (docs/wire.md section 7).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, LOCATION, VARY, WARNING};
use axum::http::request::Parts;
use axum::http::response::Builder;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::conditions::matches;
use super::cors::Cors;
use super::fields::{JSON_AGE, PAGE_AGE, STALE, X_LAST_SERIAL};
use super::origin::Origins;
use super::query::Query;
use super::rescue::InJson;
use super::{jsonp, negotiate, people, pieces};
use crate::index::{Compressed, Form, Index, IndexError, Rendered, RootListing};
use crate::model::{ProjectName, Serial};

#[derive(Clone)]
struct Shared {
    index: Index,
    origins: Arc<Origins>,
    documents: Documents,
}

/// What answers for documents of the JSON API, at their own address and at older ones.
#[derive(Clone)]
pub(super) struct Documents {
    index: Index,
    origins: Arc<Origins>,
    cors: Arc<Cors>,
}

/// The routes of the index. GET and HEAD only.
pub fn routes(index: Index, origins: Origins) -> Router {
    let documents = Documents::new(index.clone(), origins.clone(), Cors::default());
    routes_with(index, origins, documents)
}

/// The same with documents that others answer for as well.
pub(super) fn routes_with(index: Index, origins: Origins, documents: Documents) -> Router {
    Router::new()
        .route("/simple", get(with_slash))
        .route("/simple/", get(root))
        .route("/simple/{name}", get(with_slash))
        .route("/simple/{name}/", get(page))
        .route("/pypi/{name}", get(about))
        .route("/pypi/{name}/", get(about))
        .route("/pypi/{name}/{version}", get(about_release))
        .route("/pypi/{name}/{version}/", get(about_release))
        .route("/pypi/{name}/json", get(json))
        .route("/pypi/{name}/json/", get(json))
        .route("/pypi/{name}/{version}/json", get(json_of_release))
        .route("/pypi/{name}/{version}/json/", get(json_of_release))
        .route("/integrity/{name}/{version}/{file}/provenance", get(provenance))
        .with_state(Shared { index, origins: Arc::new(origins), documents })
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
    let (form, vary) = match negotiate::form(&request.headers) {
        Form::Json => (Form::Json, "Accept, Accept-Encoding"),
        // Some programs get other links.
        Form::Html | Form::Md5Html => {
            (shared.index.html_for(negotiate::agent(&request.headers)), "Accept, Accept-Encoding, User-Agent")
        }
    };
    let origin = shared.origins.of(&request);
    let rendered = shared.index.rendered_page(&name, form, &origin).await?;
    answer(&shared.index, &request, rendered, PAGE_AGE, vary).await
}

async fn about(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Parts,
) -> Result<Response, IndexError> {
    page_for_people(&shared, &name, None, &request).await
}

async fn about_release(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
    request: Parts,
) -> Result<Response, IndexError> {
    page_for_people(&shared, &name, Some(&version), &request).await
}

/// What a browser, and a client that only wants to know whether there is such a project, gets.
async fn page_for_people(
    shared: &Shared,
    name: &str,
    version: Option<&str>,
    request: &Parts,
) -> Result<Response, IndexError> {
    let Ok(name) = ProjectName::parse(name) else { return Err(IndexError::NoSuchProject) };
    let about = shared.index.about(&name, version, &shared.origins.of(request)).await?;
    let link = |path: String| shared.origins.link(request, &path);
    let more = [
        (link(format!("/simple/{name}/")), "all files"),
        (link(format!("/pypi/{name}/json")), "what is known of it"),
        (link(format!("/rss/project/{name}/releases.xml")), "its releases as a feed"),
    ];
    Ok(([(CACHE_CONTROL, PAGE_AGE)], people::about(&about, &more)).into_response())
}

async fn json(State(shared): State<Shared>, Path(name): Path<String>, request: Parts) -> Response {
    shared.documents.answer(&name, None, &request).await.into_response()
}

async fn json_of_release(
    State(shared): State<Shared>,
    Path((name, version)): Path<(String, String)>,
    request: Parts,
) -> Response {
    shared.documents.answer(&name, Some(&version), &request).await.into_response()
}

impl Documents {
    pub(super) fn new(index: Index, origins: Origins, cors: Cors) -> Self {
        Self { index, origins: Arc::new(origins), cors: Arc::new(cors) }
    }

    /// A project's document, or that of one release; with `callback` in the query as a script.
    pub(super) async fn answer(
        &self,
        name: &str,
        version: Option<&str>,
        request: &Parts,
    ) -> Result<Response, InJson> {
        let callback = match jsonp::callback(&Query::read(request.uri.query()), &self.cors) {
            Ok(callback) => callback,
            Err(refusal) => return Ok(refusal.respond()),
        };
        let Ok(name) = ProjectName::parse(name) else { return Err(IndexError::NoSuchProject.into()) };
        let origin = self.origins.of(request);
        let rendered = self.index.rendered_json(&name, version, &origin).await?;
        if let Some(function) = callback {
            return Ok(jsonp::respond(function, rendered.pieces(), JSON_AGE).await);
        }
        Ok(answer(&self.index, request, rendered, JSON_AGE, "Accept-Encoding").await?)
    }
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
        head = head.header(WARNING, STALE);
    }
    head
}

fn finish(head: Builder, body: Body) -> Response {
    // Every field is ASCII text of ours or a number.
    head.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
