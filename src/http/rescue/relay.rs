//! Refusals and failures of the files' routes. Each closes the connection: old installers do not read the
//! body of an error, and would take it for the next answer.

use std::fmt::Display;

use axum::http::header::{CONNECTION, CONTENT_RANGE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tracing::{debug, error};

use crate::http::fields::X_CACHE;
use crate::index::{IndexError, TombstoneKind};
use crate::relay::{FetchError, RelayError};
use crate::xmlrpc::whole_seconds;

impl IntoResponse for RelayError {
    fn into_response(self) -> Response {
        match self {
            Self::Index(cause) => closed(cause),
            Self::Gone(tombstone) => {
                let status = match tombstone.kind {
                    TombstoneKind::Removed | TombstoneKind::Quarantined => StatusCode::GONE,
                    TombstoneKind::Absent => StatusCode::NOT_FOUND,
                };
                debug!(reason = tombstone.reason, "{status} for a file");
                closed((status, [(X_CACHE, "tombstone")], text(&tombstone.reason)))
            }
            // A file that upstream does not give is answered as a page that it does not give.
            Self::Fetch(FetchError::Upstream(cause)) => closed(IndexError::Upstream(cause)),
            Self::Fetch(
                cause @ (FetchError::Digest { .. } | FetchError::Size { .. } | FetchError::TooLarge(_)),
            ) => {
                error!(%cause, "502 for a file");
                refused(StatusCode::BAD_GATEWAY, &cause)
            }
            Self::Fetch(cause @ (FetchError::Unsent | FetchError::NoDigest | FetchError::OtherBytes)) => {
                error!(%cause, "502 for a file");
                refused(StatusCode::BAD_GATEWAY, &cause)
            }
            Self::Fetch(cause @ FetchError::Deleted) => {
                debug!(%cause, "404 for a file");
                refused(StatusCode::NOT_FOUND, &cause)
            }
            Self::Fetch(FetchError::Awaited { retry }) => {
                debug!(?retry, "503 for a file that is to be brought");
                let retry = [(RETRY_AFTER, whole_seconds(retry))];
                closed((StatusCode::SERVICE_UNAVAILABLE, retry, text(&self)))
            }
            Self::Busy | Self::Fetch(FetchError::Slow | FetchError::Cut | FetchError::Unkept(_)) => {
                error!(cause = %self, "503 for a file");
                let retry = if matches!(self, Self::Busy) { "1" } else { "5" };
                closed((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, retry)], text(&self)))
            }
            Self::Fetch(FetchError::Lost) | Self::Disk(_) => {
                error!(cause = %self, "500 for a file");
                refused(StatusCode::INTERNAL_SERVER_ERROR, &"the relay failed")
            }
        }
    }
}

/// 400: the path is none, for this reason.
pub(in crate::http) fn bad_path(reason: &dyn Display) -> Response {
    debug!(%reason, "400 for a file");
    refused(StatusCode::BAD_REQUEST, reason)
}

/// 416: the file has no such bytes.
pub(in crate::http) fn unsatisfiable(size: Option<u64>) -> Response {
    debug!("416 for a file");
    let size = size.map(|size| [(CONTENT_RANGE, format!("bytes */{size}"))]);
    closed((StatusCode::RANGE_NOT_SATISFIABLE, size, text(&"the file has no such bytes")))
}

fn refused(status: StatusCode, reason: &dyn Display) -> Response {
    closed((status, text(reason)))
}

fn text(reason: &dyn Display) -> String {
    format!("{reason}\n")
}

fn closed(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
