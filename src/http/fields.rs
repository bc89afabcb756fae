//! Header fields that are not in HTTP's own list, and values that several routes have.

use axum::http::{HeaderName, HeaderValue};

/// Where a file's answer comes from.
pub(super) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The serial that an answer is as new as: bandersnatch 1.0 takes no file without.
pub(super) const X_LAST_SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");

/// How long caches on the way may keep a page: as upstream's (docs/wire.md section 8).
pub(super) const PAGE_AGE: &str = "max-age=600";
/// The same for a JSON document.
pub(super) const JSON_AGE: &str = "max-age=900";
/// What goes out is older than it should be, because upstream fails.
pub(super) const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");
