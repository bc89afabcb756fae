//! Counts every request by route and status, and logs it at debug.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{Request, Response};
use axum::middleware::Next;
use metrics::{Counter, Histogram};

/// A request that no route took; one label, or a scanner would fill the metrics.
const UNMATCHED: &str = "other";

/// The counters by route and status, looked up once each: by name it takes longer than answering from memory.
/// There are as many as routes and statuses.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed(Arc<RwLock<HashMap<u16, HashMap<String, Of>>>>);

#[derive(Clone)]
struct Of {
    requests: Counter,
    first_byte: Histogram,
}

impl std::fmt::Debug for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Of")
    }
}

impl Observed {
    fn of(&self, route: &str, status: u16) -> Of {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = seen.get(&status).and_then(|routes| routes.get(route)) {
            return of.clone();
        }
        drop(seen);
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        let of = Of {
            requests: metrics::counter!("cheesewire_http_requests_total", &labels),
            first_byte: metrics::histogram!("cheesewire_http_first_byte_seconds", "route" => route.to_owned()),
        };
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.entry(status).or_default().entry(route.to_owned()).or_insert(of).clone()
    }
}

pub(super) async fn observe(
    State(observed): State<Observed>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let head =
        tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), request.uri().clone()));
    let response = next.run(request).await;
    let status = response.status();
    let elapsed = started.elapsed();
    let of = observed.of(route.as_ref().map_or(UNMATCHED, MatchedPath::as_str), status.as_u16());
    of.requests.increment(1);
    of.first_byte.record(elapsed.as_secs_f64());
    if let Some((method, uri)) = head {
        tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
    }
    response
}
