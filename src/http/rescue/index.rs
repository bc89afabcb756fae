//! Refusals and failures of the index's routes.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::index::{IndexError, Side};
use crate::xmlrpc::whole_seconds;

/// An error as clients of the JSON API read it: an object with a `message` (docs/wire.md section 8).
#[derive(Debug)]
pub(in super::super) struct InJson(IndexError);

impl From<IndexError> for InJson {
    fn from(error: IndexError) -> Self {
        Self(error)
    }
}

impl IntoResponse for InJson {
    fn into_response(self) -> Response {
        respond(&self.0, |status, message| {
            let body = serde_json::json!({ "message": message }).to_string();
            (status, [(CONTENT_TYPE, "application/json")], body).into_response()
        })
    }
}

impl IntoResponse for IndexError {
    fn into_response(self) -> Response {
        respond(&self, |status, reason| {
            (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], reason + "\n").into_response()
        })
    }
}

fn respond(error: &IndexError, answer: impl Fn(StatusCode, String) -> Response) -> Response {
    match error.side() {
        Side::Client => {
            tracing::debug!(reason = %error, "404 for the index");
            answer(StatusCode::NOT_FOUND, error.to_string())
        }
        Side::UpstreamDown(retry) => {
            tracing::error!(reason = %error, "503 for the index");
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry)));
            response
        }
        Side::UpstreamBroken => {
            tracing::error!(reason = %error, "502 for the index");
            answer(StatusCode::BAD_GATEWAY, error.to_string())
        }
        Side::NotImported => {
            // As a cache that was told to ask nobody (RFC 9111 section 5.2.1.7). 404 would say that it is not there, and mirrors
            // delete what is not; pip asks four times more after a 502 or 503.
            tracing::info!(reason = %error, "504 for the index");
            answer(StatusCode::GATEWAY_TIMEOUT, error.to_string())
        }
        Side::Ours => {
            tracing::error!(reason = %error, "500 for the index");
            answer(StatusCode::INTERNAL_SERVER_ERROR, "the relay failed".to_owned())
        }
    }
}
