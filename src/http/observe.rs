//! Counts every request by route and status, and logs it at debug.

use std::time::Instant;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use axum::middleware::Next;

/// A request that no route took; one label, or a scanner would fill the metrics.
const UNMATCHED: &str = "other";

pub(super) async fn observe(request: Request<Body>, next: Next) -> Response<Body> {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let head =
        tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), request.uri().clone()));
    let response = next.run(request).await;
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let status = response.status();
    let elapsed = started.elapsed();
    metrics::counter!("cheesewire_http_requests_total", "route" => route.clone(), "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!("cheesewire_http_first_byte_seconds", "route" => route).record(elapsed.as_secs_f64());
    if let Some((method, uri)) = head {
        tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
    }
    response
}
