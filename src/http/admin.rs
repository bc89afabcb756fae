//! For who runs it: is it alive, is it ready, what does it count.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

/// What the admin pages tell; the parts are named by the composition root.
#[derive(Clone)]
pub struct Admin {
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What is known of the state: for people and for probes that look closer.
    pub state: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Set once the order to stop has come.
    pub stopping: CancellationToken,
}

pub(super) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// 200 while requests are taken; 503 once the order to stop has come, so that a balancer looks elsewhere.
/// An upstream that is down does not make the relay unready: what is kept is served.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let stopping = admin.stopping.is_cancelled();
    let status = if stopping { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut state = (admin.state)();
    state["ready"] = (!stopping).into();
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")], format!("{state}\n"))
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")],
        (admin.metrics)(),
    )
}
