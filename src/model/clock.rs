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
        assert!(Clock::system().unix() > 1_700_000_000);
    }
}
