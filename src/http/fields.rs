//! Header fields that are not in HTTP's own list.

use axum::http::HeaderName;

/// Where a file's answer comes from.
pub(super) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The serial that an answer is as new as: bandersnatch 1.0 takes no file without.
pub(super) const X_LAST_SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");
