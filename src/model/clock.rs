//! The one clock by which kept things expire, days turn and answers go stale.
//!
//! Only wall-clock time that is compared over restarts or with other machines comes from here. Waits and deadlines
//! inside one run use tokio's monotonic clock, which tests pause.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells what time it is. Clones tell the same time.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// Whether it is the system's.
    pub fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// A clock that stands still until [`Clock::set`] moves it, for tests. `unix`: seconds since 1970.
    pub fn standing_at(unix: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(unix.saturating_mul(1000)))))
    }

    /// Sets a clock made by [`Clock::standing_at`], and all of its clones, to a moment in seconds since 1970. The system's
    /// clock cannot be set: that changes nothing.
    pub fn set(&self, unix: i64) {
        if let Some(set) = &self.0 {
            set.store(unix.saturating_mul(1000), Ordering::Relaxed);
        }
    }

    /// Seconds since 1970, rounded down; below 0 before.
    pub fn unix(&self) -> i64 {
        self.unix_millis().div_euclid(1000)
    }

    /// The same moment as files have it, to the millisecond.
    pub fn system_time(&self) -> SystemTime {
        Self::moment(self.unix_millis())
    }

    /// A moment in milliseconds since 1970 as files have it.
    pub fn moment(millis: i64) -> SystemTime {
        let distance = Duration::from_millis(millis.unsigned_abs());
        let moment =
            if millis < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        moment.unwrap_or(UNIX_EPOCH)
    }

    /// Milliseconds since 1970; below 0 before.
    pub fn unix_millis(&self) -> i64 {
        match &self.0 {
            Some(set) => set.load(Ordering::Relaxed),
            None => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => millis(since),
                Err(before) => -millis(before.duration()),
            },
        }
    }
}

/// Whether what was noted at `since` is younger than `lifetime` at `now`, both in Unix seconds. What was noted in the
/// future is not: the clock was ahead then and came back, and nobody knows how old it is.
pub fn is_younger(since: i64, now: i64, lifetime: Duration) -> bool {
    now.checked_sub(since).and_then(|age| u64::try_from(age).ok()).is_some_and(|age| age < lifetime.as_secs())
}

/// Whether two moments, in Unix seconds, are less than `most` apart. For what may be used although it is old: a clock
/// that was corrected by a second should not take that away, one that was wrong by days makes its age unknown.
pub fn is_near(then: i64, now: i64, most: Duration) -> bool {
    now.abs_diff(then) < most.as_secs()
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0.is_some() { "set" } else { "system" };
        write!(f, "Clock({kind}, {})", self.unix())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_set_clock_tell_the_same_time_also_before_1970() {
        let clock = Clock::standing_at(1_000);
        let other = clock.clone();
        clock.set(-1);
        assert_eq!((other.unix(), other.unix_millis()), (-1, -1000));
        assert_eq!(other.system_time(), UNIX_EPOCH - Duration::from_secs(1));
        assert!(Clock::system().unix() > 1_700_000_000);
    }

    #[test]
    fn what_was_noted_in_the_future_is_old() {
        let minute = Duration::from_mins(1);
        for (since, young) in
            [(100, true), (41, true), (40, false), (101, false), (i64::MAX, false), (i64::MIN, false)]
        {
            assert_eq!(is_younger(since, 100, minute), young, "{since}");
        }
    }

    #[test]
    fn a_second_in_the_future_is_near_and_a_month_is_not() {
        let minute = Duration::from_mins(1);
        for (then, near) in
            [(100, true), (101, true), (159, true), (160, false), (41, true), (40, false), (i64::MIN, false)]
        {
            assert_eq!(is_near(then, 100, minute), near, "{then}");
        }
    }
}
