//! Refusals and failures of signatures.

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use crate::index::SignatureError;
use crate::signing::Unsigned;

/// When to come back while the key is made, in seconds: that takes some.
const MADE: &str = "10";
/// When to come back for a key that cannot be read or kept: somebody has to do something.
const MENDED: &str = "60";

impl IntoResponse for SignatureError {
    fn into_response(self) -> Response {
        match self {
            Self::Index(error) => error.into_response(),
            Self::Key(reason) => {
                tracing::debug!(%reason, "no signature");
                let text = format!("{reason}\n");
                match reason {
                    Unsigned::Disabled => (StatusCode::NOT_FOUND, text).into_response(),
                    Unsigned::NotYet => later(MADE, text),
                    Unsigned::Broken => later(MENDED, text),
                    Unsigned::Lost => {
                        (StatusCode::INTERNAL_SERVER_ERROR, "the relay failed\n").into_response()
                    }
                }
            }
        }
    }
}

fn later(retry: &'static str, text: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, retry)], text).into_response()
}
