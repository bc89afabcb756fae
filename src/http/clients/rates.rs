//! How many things a second somebody may do.

use std::convert::Infallible;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::bounded::{Bounded, by_count};

/// The rates of those that were seen lately.
pub(in crate::http) struct Rates<K> {
    quota: Quota,
    burst: u32,
    seen: Bounded<K, Arc<DefaultDirectRateLimiter>>,
    clock: DefaultClock,
}

/// The rate of one of them. Clones are the same.
#[derive(Clone)]
pub(in crate::http) struct Rate {
    limiter: Arc<DefaultDirectRateLimiter>,
    burst: u32,
    clock: DefaultClock,
}

impl<K: Eq + Hash + Clone> Rates<K> {
    /// So many a second, `burst` at once after a rest, for as many as are `remembered`. `None`: the rate is none.
    pub(in crate::http) fn new(per_second: f64, burst: u32, remembered: u64) -> Option<Self> {
        let (quota, burst) = quota(per_second, burst)?;
        Some(Self { quota, burst, seen: by_count(remembered), clock: DefaultClock::default() })
    }

    /// The rate of one.
    pub(in crate::http) fn of(&self, whose: &K) -> Rate {
        let begin = || Ok::<_, Infallible>(Arc::new(RateLimiter::direct(self.quota)));
        let Ok(limiter) = self.seen.get_or_insert_with(whose, begin);
        Rate { limiter, burst: self.burst, clock: self.clock.clone() }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.seen.len()
    }
}

impl Rate {
    /// One that stands alone.
    pub(in crate::http) fn new(per_second: f64, burst: u32) -> Option<Self> {
        let (quota, burst) = quota(per_second, burst)?;
        let limiter = Arc::new(RateLimiter::direct(quota));
        Some(Self { limiter, burst, clock: DefaultClock::default() })
    }

    /// Takes so many, or as many as may be at once if they are more; if they are too many now, tells when it is worth coming back.
    pub(in crate::http) fn charge(&self, many: u32) -> Result<(), Duration> {
        let many = NonZeroU32::new(many.min(self.burst)).unwrap_or(NonZeroU32::MIN);
        // No more than the burst is asked for, so it is never too many for ever.
        match self.limiter.check_n(many) {
            Ok(Err(until)) => Err(until.wait_time_from(self.clock.now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

/// The configuration bounds the rate; a period of nothing would be no limit.
fn quota(per_second: f64, burst: u32) -> Option<(Quota, u32)> {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let period = Duration::try_from_secs_f64(1.0 / per_second).ok()?;
    Some((Quota::with_period(period)?.allow_burst(burst), burst.get()))
}
