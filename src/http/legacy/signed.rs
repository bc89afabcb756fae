//! `/serverkey` and `/serversig/NAME/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, VARY, WARNING};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::http::fields::{PAGE_AGE, STALE, X_LAST_SERIAL};
use crate::http::negotiate;
use crate::http::origin::Origins;
use crate::index::{IndexError, PageSignature, SignatureError, Signatures};
use crate::model::ProjectName;

#[derive(Clone)]
struct Shared {
    signatures: Signatures,
    origins: Arc<Origins>,
}

/// `/serversig` and `/serversig/` are no addresses: pep381client, which asks for the latter beside the list of projects, would
/// take any other answer than an error for a signature, and write it where its folder is.
pub(super) fn routes(signatures: Signatures, origins: Origins) -> Router {
    Router::new()
        .route("/serverkey", get(key))
        .route("/serversig/{name}", get(with_slash))
        .route("/serversig/{name}/", get(signature))
        .with_state(Shared { signatures, origins: Arc::new(origins) })
}

async fn key(State(shared): State<Shared>) -> Result<Response, SignatureError> {
    let key = shared.signatures.public_key()?;
    Ok(([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, PAGE_AGE)], key).into_response())
}

/// 301 to the same path with a `/`, in the client's spelling, as pages have it.
async fn with_slash(State(shared): State<Shared>, request: Parts) -> Response {
    // A path of two slashes would lead to another host.
    let path = format!("/{}/", request.uri.path().trim_matches('/'));
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, shared.origins.link(&request, &path))]).into_response()
}

async fn signature(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Parts,
) -> Result<Response, SignatureError> {
    let Ok(name) = ProjectName::parse(&name) else { return Err(IndexError::NoSuchProject.into()) };
    let (agent, origin) = (negotiate::agent(&request.headers), shared.origins.of(&request));
    let PageSignature { der, last_serial, stale } = shared.signatures.of_page(&name, agent, &origin).await?;
    let age = if stale { "no-cache" } else { PAGE_AGE };
    let fields = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, age), (VARY, "User-Agent")];
    let mut response = (fields, der).into_response();
    if let Some(serial) = last_serial {
        response.headers_mut().insert(X_LAST_SERIAL, serial.0.into());
    }
    if stale {
        response.headers_mut().insert(WARNING, STALE);
    }
    Ok(response)
}
