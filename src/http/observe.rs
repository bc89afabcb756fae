//! Counts every request by route and status, and logs it at debug.

use std::time::Instant;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::middleware::Next;
use metrics::{Counter, Histogram, SharedString};

/// A request that no route took; one label, or a scanner would fill the metrics.
const UNMATCHED: &str = "other";

/// What counts the requests on one route.
pub(super) struct Meter {
    route: SharedString,
    /// Looked up when it is made, for routes where that would take as long as the answer.
    ok: Counter,
    first_byte: Histogram,
}

impl Meter {
    pub(super) fn new(route: impl Into<SharedString>) -> Self {
        let route = route.into();
        let ok = counter(route.clone(), StatusCode::OK);
        let first_byte = metrics::histogram!("cheesewire_http_first_byte_seconds", "route" => route.clone());
        Self { route, ok, first_byte }
    }

    /// Counts an answer; `head` is logged.
    pub(super) fn count(&self, status: StatusCode, started: Instant, head: Option<(Method, Uri)>) {
        let elapsed = started.elapsed();
        match status {
            StatusCode::OK => self.ok.increment(1),
            _ => counter(self.route.clone(), status).increment(1),
        }
        self.first_byte.record(elapsed.as_secs_f64());
        if let Some((method, uri)) = head {
            tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
        }
    }
}

fn counter(route: SharedString, status: StatusCode) -> Counter {
    metrics::counter!("cheesewire_http_requests_total", "route" => route, "status" => status.as_str().to_owned())
}

/// Counts what the router answers.
pub(super) async fn observe(request: Request<Body>, next: Next) -> Response<Body> {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let head =
        tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), request.uri().clone()));
    let response = next.run(request).await;
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    Meter::new(route).count(response.status(), started, head);
    response
}
