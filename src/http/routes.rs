//! The table of routes, and what is answered where there is none.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use tower::layer::layer_fn;
use tower::{Service as _, service_fn};

use super::cors::Cors;
use super::origin::Origins;

/// A request that no route took; one label, or a scanner would fill the metrics.
pub(super) const UNMATCHED: &str = "other";

/// All routes: those that web pages may read too, and the others. Each answer has the route that took its request among its
/// extensions, if one did.
pub(super) fn all(read: Router, others: Router, origins: &Origins, cors: &Cors) -> Router {
    let elsewhere = {
        let origins = origins.clone();
        move |request| async move { elsewhere(&origins, &request) }
    };
    // With their own answer to other methods, which includes `OPTIONS`.
    let read = cors.around(read.method_not_allowed_fallback(other_method));
    others.merge(read).fallback(elsewhere).method_not_allowed_fallback(other_method).layer(layer_fn(
        |mut inner: Route| {
            service_fn(move |request: Request| {
                let route = request.extensions().get::<MatchedPath>().cloned();
                let answering = inner.call(request);
                async move {
                    let mut response = answering.await?;
                    if let Some(route) = route {
                        response.extensions_mut().insert(route);
                    }
                    Ok::<_, Infallible>(response)
                }
            })
        },
    ))
}

/// A path that nobody answers.
fn elsewhere(origins: &Origins, request: &axum::http::request::Parts) -> Response {
    purge(&request.method).unwrap_or_else(|| {
        let simple = origins.link(request, "/simple/");
        (StatusCode::NOT_FOUND, format!("nothing is here; the index is at {simple}\n")).into_response()
    })
}

/// A path that is answered, but not to this method.
async fn other_method(method: Method) -> Response {
    purge(&method)
        .unwrap_or_else(|| (StatusCode::METHOD_NOT_ALLOWED, "not with this method\n").into_response())
}

/// bandersnatch 3 to 6 purges what it has read, on any path, and stops at any answer but 200 (docs/wire.md
/// section 7).
fn purge(method: &Method) -> Option<Response> {
    (method.as_str() == "PURGE").then(|| StatusCode::OK.into_response())
}
