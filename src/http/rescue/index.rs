//! Refusals and failures of the index's routes.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::index::{IndexError, Side};
use crate::xmlrpc::whole_seconds;

impl IntoResponse for IndexError {
    fn into_response(self) -> Response {
        match self.side() {
            Side::Client => {
                tracing::debug!(reason = %self, "404 for the index");
                answer(StatusCode::NOT_FOUND, self.to_string())
            }
            Side::UpstreamDown(retry) => {
                tracing::error!(reason = %self, "503 for the index");
                let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, self.to_string());
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry)));
                response
            }
            Side::UpstreamBroken => {
                tracing::error!(reason = %self, "502 for the index");
                answer(StatusCode::BAD_GATEWAY, self.to_string())
            }
            Side::Ours => {
                tracing::error!(reason = %self, "500 for the index");
                answer(StatusCode::INTERNAL_SERVER_ERROR, "the relay failed".to_owned())
            }
        }
    }
}

fn answer(status: StatusCode, reason: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], reason + "\n").into_response()
}
