//! Failures of reports of downloads.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::stats::StatsError;

/// When it is worth coming back after a failure that may pass, in seconds.
const RETRY: u64 = 60;

impl IntoResponse for StatsError {
    fn into_response(self) -> Response {
        tracing::error!(error = %self, "a report of downloads failed");
        let passes = match self {
            Self::Full { .. } | Self::Sqlite { .. } | Self::Report(_) | Self::Stopped => true,
            Self::File { .. }
            | Self::None { .. }
            | Self::Broken { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Collecting { .. }
            | Self::Output(_)
            | Self::Lost => false,
        };
        if !passes {
            return (StatusCode::INTERNAL_SERVER_ERROR, "the relay failed\n").into_response();
        }
        let retry = [(RETRY_AFTER, HeaderValue::from(RETRY))];
        (StatusCode::SERVICE_UNAVAILABLE, retry, "reports cannot be made just now\n").into_response()
    }
}
