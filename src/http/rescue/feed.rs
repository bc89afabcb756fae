//! Refusals and failures of the feed, and refusals of searches.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use crate::rpc::FeedError;
use crate::xmlrpc::whole_seconds;

/// When to come back for a place: subscribers stay long, and slow ones are cut after some 30 s.
const PLACE: Duration = Duration::from_secs(30);

impl IntoResponse for FeedError {
    fn into_response(self) -> Response {
        match &self {
            Self::Full(_) => {
                tracing::error!(reason = %self, "503 for the feed");
                later(&self, PLACE)
            }
            Self::NotYet { retry, .. } | Self::NoHead { retry, .. } => {
                tracing::error!(reason = %self, "503 for the feed");
                later(&self, *retry)
            }
            Self::Journal(_) => {
                tracing::error!(reason = %self, "500 for the feed");
                (StatusCode::INTERNAL_SERVER_ERROR, "the relay failed\n").into_response()
            }
        }
    }
}

/// Of a client that has its share of the places.
pub(in crate::http) fn too_many_feeds(most: usize) -> Response {
    let reason =
        format!("you have {most} feeds open, the most that one client may (clients.feeds_at_once)\n");
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, whole_seconds(PLACE))], reason).into_response()
}

/// Of a client that has made its calls.
pub(in crate::http) fn too_many_searches(retry: Duration) -> Response {
    let seconds = whole_seconds(retry);
    let reason = format!("too many searches; come back in {seconds} s\n");
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], reason).into_response()
}

fn later(reason: &FeedError, retry: Duration) -> Response {
    let retry = [(RETRY_AFTER, whole_seconds(retry))];
    (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{reason}\n")).into_response()
}
