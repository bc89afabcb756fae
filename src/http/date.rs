//! `Date`, by our clock.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use axum::http::HeaderValue;

use crate::model::Clock;

thread_local! {
    /// The last second that was written on this thread: writing one takes longer than the rest of a short answer's head.
    static WRITTEN: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Writes `Date`.
#[derive(Debug, Clone)]
pub(super) struct Dates(Clock);

impl Dates {
    pub(super) fn new(clock: &Clock) -> Self {
        Self(clock.clone())
    }

    /// The present second, whatever was the last one written: a clock that was ahead comes back.
    pub(super) fn now(&self) -> HeaderValue {
        of(self.0.unix())
    }
}

/// A moment in seconds since 1970.
pub(super) fn of(second: i64) -> HeaderValue {
    WRITTEN.with_borrow_mut(|written| match written {
        Some((known, value)) if *known == second => value.clone(),
        _ => {
            let value = write(second);
            *written = Some((second, value.clone()));
            value
        }
    })
}

fn write(second: i64) -> HeaderValue {
    // No calendar of HTTP has years before 1970 or beyond 9999.
    let second = Duration::from_secs(u64::try_from(second).unwrap_or(0).min(253_402_300_799));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + second);
    // Letters, digits, spaces, a comma, colons: always a value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_comes_back() {
        let clock = Clock::standing_at(784_111_777);
        let dates = Dates::new(&clock);
        assert_eq!(dates.now(), "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.set(784_111_777 + 30 * 86_400);
        assert_eq!(dates.now(), "Tue, 06 Dec 1994 08:49:37 GMT");
        clock.set(784_111_777);
        assert_eq!(dates.now(), "Sun, 06 Nov 1994 08:49:37 GMT");
        for (odd, written) in
            [(-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT")]
        {
            clock.set(odd);
            assert_eq!(dates.now(), written);
        }
    }
}
