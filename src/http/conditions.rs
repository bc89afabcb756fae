//! Conditions of requests that pages, documents and feeds have in common.

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;

/// `If-None-Match` names this validator; weakly compared, as for GET it must be.
pub(super) fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}
