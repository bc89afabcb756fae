//! Upstream's rate limit for calls: rejected ones count too (docs/wire.md section 8).

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::RateLimit;

/// A bucket that refused calls go on emptying, down to as much below nothing as it holds.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    level: Mutex<(f64, Instant)>,
}

/// What the limiter says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    /// Calls left.
    pub(super) remaining: u64,
    /// Whole seconds until a call is allowed, or until the bucket is full.
    pub(super) reset: u64,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, level: Mutex::new((f64::from(limit.burst), Instant::now())) }
    }

    pub(super) fn call(&self) -> Verdict {
        let burst = f64::from(self.limit.burst);
        let mut state = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(state.1).as_secs_f64() * self.limit.per_second;
        let level = (state.0 + gained).min(burst) - 1.0;
        *state = (level.max(-burst), now);
        let goal = if level < 0.0 { 1.0 } else { burst };
        Verdict {
            allowed: level >= 0.0,
            remaining: whole(level),
            reset: whole(((goal - state.0) / self.limit.per_second).ceil()),
        }
    }
}

/// Bucket levels are far below 2⁵³ and the fraction is not wanted; below zero is zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(n: f64) -> u64 {
    n as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refused_calls_count_too() {
        let limiter = Limiter::new(RateLimit { per_second: 1.0, burst: 2 });
        let allowed = |limiter: &Limiter| limiter.call().allowed;
        assert_eq!([allowed(&limiter), allowed(&limiter), allowed(&limiter)], [true, true, false]);
        assert_eq!(limiter.call(), Verdict { allowed: false, remaining: 0, reset: 3 });
        // Two were refused: after two seconds one is still owed.
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!limiter.call().allowed);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(limiter.call().allowed);
    }
}
