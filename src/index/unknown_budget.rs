//! What names that upstream may not have may cost it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

use super::error::SHORT;
use super::{IndexError, IndexSettings};
use crate::metric;

/// What names that are not in the project table may cost upstream.
pub(super) struct Unknown {
    /// How many may be asked for now; `None` where the settings give no rate.
    budget: Option<DefaultDirectRateLimiter>,
    /// Room for those that wait for it.
    waiting: Semaphore,
}

impl Unknown {
    pub(super) fn new(settings: &IndexSettings) -> Self {
        let period = Duration::try_from_secs_f64(1.0 / settings.unknown_per_second).ok();
        let quota = period.and_then(Quota::with_period);
        let burst = NonZeroU32::new(settings.unknown_burst).unwrap_or(NonZeroU32::MIN);
        Self {
            budget: quota.map(|quota| RateLimiter::direct(quota.allow_burst(burst))),
            waiting: Semaphore::new(settings.unknown_waiting.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Waits for the budget.
    pub(super) async fn turn(&self) -> Result<(), IndexError> {
        let Some(budget) = &self.budget else { return Ok(()) };
        if budget.check().is_ok() {
            return Ok(());
        }
        let _room = self.waiting.try_acquire().map_err(|_| {
            metrics::counter!(metric::INDEX_UNKNOWN_TOTAL, "outcome" => "refused").increment(1);
            IndexError::NotYet { retry: SHORT }
        })?;
        budget.until_ready().await;
        Ok(())
    }
}
