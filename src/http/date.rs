//! `Date`, by our clock.

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::http::HeaderValue;

use crate::model::Clock;

thread_local! {
    /// The last second that was written on this thread: writing one takes longer than the rest of a short answer's head.
    static WRITTEN: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The highest second that the system's clock has told. hyper has one like it in each thread.
static HIGHEST: Highest = Highest(AtomicI64::new(i64::MIN));

/// Writes `Date`.
#[derive(Debug, Clone)]
pub(super) struct Dates(Clock);

impl Dates {
    /// Of a connection that begins: hyper looks at the clock now.
    pub(super) fn new(clock: &Clock) -> Self {
        let dates = Self(clock.clone());
        dates.unless_hyper_writes_it();
        dates
    }

    /// The present second, whatever was the last one written: a clock that was ahead comes back.
    pub(super) fn now(&self) -> HeaderValue {
        of(self.second().0)
    }

    /// The same for a short answer, or nothing where hyper, which writes `Date` if there is none, writes this second:
    /// to add a field and write it takes a fiftieth of such an answer's time. hyper stays at the highest second that
    /// it has seen, and knows nothing of a clock that was set.
    pub(super) fn unless_hyper_writes_it(&self) -> Option<HeaderValue> {
        let (now, is_of_hyper) = self.second();
        (!is_of_hyper).then(|| of(now))
    }

    /// The present second, and whether hyper tells it too.
    fn second(&self) -> (i64, bool) {
        let now = self.0.unix();
        (now, self.0.is_system() && HIGHEST.is_reached(now))
    }
}

struct Highest(AtomicI64);

impl Highest {
    /// Whether there was no second after this one. Written once a second: each answer looks at it.
    fn is_reached(&self, now: i64) -> bool {
        let highest = self.0.load(Ordering::Relaxed);
        if now > highest {
            self.0.fetch_max(now, Ordering::Relaxed);
        }
        now >= highest
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
            assert_eq!(dates.unless_hyper_writes_it().unwrap(), written);
        }
    }

    #[test]
    fn hyper_writes_the_second_of_a_system_clock_that_did_not_go_back() {
        let highest = Highest(AtomicI64::new(i64::MIN));
        for (now, is_reached) in
            [(-3, true), (100, true), (100, true), (99, false), (100, true), (101, true), (100, false)]
        {
            assert_eq!(highest.is_reached(now), is_reached, "{now}");
        }
        // The clock of a machine that runs this test may go back, but not for long.
        let dates = Dates::new(&Clock::system());
        assert!((0..1_000_000).any(|_| dates.unless_hyper_writes_it().is_none()));
    }
}
