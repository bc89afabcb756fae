//! `?deadline=9`, on a request's path and behind a listener's address.

use std::time::Duration;

/// How long the caller wants to wait, in seconds, such as `9` or `2.5`; `None` if the query does not say.
pub(super) fn deadline(query: Option<&str>) -> Result<Option<Duration>, ()> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or("").as_bytes());
    let Some((_, text)) = pairs.into_iter().find(|(key, _)| key == "deadline") else { return Ok(None) };
    let seconds: f64 = text.parse().map_err(|_| ())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| ())?;
    if duration.is_zero() { Err(()) } else { Ok(Some(duration)) }
}
