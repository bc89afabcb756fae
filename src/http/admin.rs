//! For who runs it: is it alive, is it ready, what does it count.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio_util::sync::CancellationToken;

use super::clients::Client;

/// What the admin pages tell; the parts are named by the composition root.
#[derive(Clone)]
pub struct Admin {
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Looks at the state: for people and for probes that look closer.
    pub state: Look,
    /// Set once the order to stop has come.
    pub stopping: CancellationToken,
}

/// Looks at the state of the relay.
pub type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Readiness> + Send>> + Send + Sync>;

/// Whether the relay should get requests, and what is known of its state.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Why it should not; empty: it should.
    pub unready: Vec<String>,
    /// A JSON object. Anybody may read it: it names no path and no address with a password.
    pub state: serde_json::Value,
}

impl Admin {
    /// The state as it is now, and whether requests should come.
    pub(super) async fn readiness(&self) -> Readiness {
        let mut readiness = (self.state)().await;
        if self.stopping.is_cancelled() {
            readiness.unready.push("the relay stops".to_owned());
        }
        readiness
    }
}

pub(super) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// 200 while requests are taken and answered right; 503 once the order to stop has come, or for a reason in the body, so
/// that a balancer looks elsewhere.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let Readiness { unready, mut state } = admin.readiness().await;
    let status = if unready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    state["ready"] = unready.is_empty().into();
    state["unready"] = unready.into();
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")], format!("{state}\n"))
}

/// For this machine, for who comes by a listener for it, and for administrators.
async fn metrics(State(admin): State<Admin>, client: Option<Extension<Client>>) -> Response {
    if !client.is_some_and(|Extension(client)| client.may_observe()) {
        let text = "metrics are for this machine, for listeners with ?admin (http.listen), and for tokens of the scope admin\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")],
        (admin.metrics)(),
    )
        .into_response()
}
