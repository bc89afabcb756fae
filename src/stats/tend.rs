//! What statistics do for as long as the relay runs: counts are written, and days that are over are sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::past::Past;
use super::seal::{Sealed, seal};
use super::{Day, Stats, StatsError, days};
use crate::metric;

/// Until a day whose sealing failed is tried again: the disk may be full.
const AGAIN: Duration = Duration::from_mins(1);
/// How often the clock is looked at at most.
const SHORTEST: Duration = Duration::from_millis(10);

impl Stats {
    /// Does it until `stop`. The last counts are to be written after that, by [`Stats::flush`].
    pub async fn tend(&self, stop: CancellationToken) {
        tokio::join!(self.flush_until(&stop), self.seal_until(&stop));
    }

    async fn flush_until(&self, stop: &CancellationToken) {
        let mut ticks = ticks(self.settings().flush);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // It is told of, and tried again.
            let _ = self.flush().await;
        }
    }

    async fn seal_until(&self, stop: &CancellationToken) {
        let settings = self.settings();
        let mut past = Past::new(settings.seal_after);
        let mut ticks = ticks(settings.flush.min(settings.seal_after));
        let mut wait = None;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            past.is(self.today(), now);
            if wait.is_some_and(|until| now < until) {
                continue;
            }
            wait = match self.seal_due(&past, now, stop).await {
                Ok(()) => {
                    self.state_mut().seal_error = None;
                    None
                }
                Err(_) if stop.is_cancelled() => return,
                Err(error) => {
                    tracing::error!(%error, "a day cannot be sealed; it is tried again in a minute");
                    self.state_mut().seal_error = Some(error.reason());
                    Some(now + AGAIN)
                }
            };
        }
    }

    async fn seal_due(&self, past: &Past, now: Instant, stop: &CancellationToken) -> Result<(), StatsError> {
        let unsealed = self.database().read(days::unsealed).await?;
        let due: Vec<Day> = unsealed.iter().copied().filter(|day| past.has(*day, now)).collect();
        self.state_mut().oldest_unsealed = unsealed.iter().copied().find(|day| !due.contains(day));
        for day in due {
            self.seal(day, stop).await?;
        }
        Ok(())
    }

    async fn seal(&self, day: Day, stop: &CancellationToken) -> Result<(), StatsError> {
        let ended = Arc::new(AtomicBool::new(false));
        let (database, told) = (self.database().clone(), ended.clone());
        let sealing =
            spawn_blocking(move || {
                seal(&database, day, |_| {
                    if told.load(Ordering::Relaxed) { Err(StatsError::Stopped) } else { Ok(()) }
                })
            });
        let mut sealing = std::pin::pin!(sealing);
        let sealed = tokio::select! {
            sealed = &mut sealing => sealed,
            () = stop.cancelled() => {
                // It goes on after the next start.
                ended.store(true, Ordering::Relaxed);
                sealing.await
            }
        };
        if let Some(Sealed { bytes, steps, longest_step }) = sealed.map_err(|_| StatsError::Lost)?? {
            metrics::counter!(metric::STATS_SEALED_DAYS_TOTAL).increment(1);
            tracing::info!(%day, bytes, steps, longest_step_seconds = longest_step.as_secs_f64(), "a day is sealed");
        }
        Ok(())
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(SHORTEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
