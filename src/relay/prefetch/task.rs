//! The task: looks through what is announced, works off the queue, waits.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::PrefetchSettings;
use super::attempt::{Budget, Outcome};
use crate::index::IndexError;
use crate::journal::Queued;
use crate::metric;
use crate::relay::{Relay, RelayError};

/// The longest pause without news: a new day has a new budget.
const LOOK: Duration = Duration::from_mins(1);

impl Relay {
    /// Fetches in advance what the rules want, until cancelled. Without rules it does nothing, and what waits from
    /// earlier stays.
    pub async fn prefetch_for_ever(&self, settings: PrefetchSettings, cancelled: CancellationToken) {
        if settings.rules.is_empty() {
            return;
        }
        let mut serial = self.journal.watch_last_serial();
        loop {
            let pause = match cancelled.run_until_cancelled(self.prefetch(&settings)).await {
                None => return,
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    warn!(%error, "nothing is fetched in advance");
                    LOOK
                }
            };
            let news = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // An error means that the journal is gone, and so are we soon.
                    _ = serial.changed() => {}
                }
            };
            if cancelled.run_until_cancelled(news).await.is_none() {
                return;
            }
        }
    }

    /// Works off what is due; returns how long nothing will be.
    async fn prefetch(&self, settings: &PrefetchSettings) -> Result<Duration, RelayError> {
        let queue = self.journal.prefetch_queue();
        let budget = Budget::default();
        loop {
            self.look_through(settings).await?;
            let spent = queue.spend(0).await?;
            let left = settings.bytes_a_day.saturating_sub(spent);
            if left == 0 {
                return Ok(LOOK);
            }
            budget.set(left);
            let at_once = settings.at_once.max(1);
            let (due, next) = queue.due(at_once * 8).await?;
            if due.is_empty() {
                return Ok(next.map_or(LOOK, |seconds| Duration::from_secs(seconds).min(LOOK)));
            }
            let tries = due.into_iter().map(|queued| self.try_once(queued, settings, &budget));
            let ends: Vec<_> = stream::iter(tries).buffer_unordered(at_once).collect().await;
            let ends = ends.into_iter().collect::<Result<Vec<Outcome>, RelayError>>()?;
            if ends.iter().all(|end| *end == Outcome::Spent) {
                return Ok(LOOK);
            }
        }
    }

    /// Puts what is newly announced and wanted in the queue.
    async fn look_through(&self, settings: &PrefetchSettings) -> Result<(), RelayError> {
        let queue = self.journal.prefetch_queue();
        while let Some((mut files, upto)) = queue.announced().await? {
            files.retain(|file| settings.rules.want(&file.project, &file.filename));
            let left_out = queue.note(files, upto, settings.queue).await?;
            if left_out > 0 {
                warn!(
                    left_out,
                    "more files are announced than may wait: raise prefetch.queue or narrow prefetch.rules"
                );
                count("left_out", left_out as u64);
            }
        }
        Ok(())
    }

    /// One attempt and what follows from it. Only our own failures are errors: one file stops no other.
    async fn try_once(
        &self,
        queued: Queued,
        settings: &PrefetchSettings,
        budget: &Budget,
    ) -> Result<Outcome, RelayError> {
        let queue = self.journal.prefetch_queue();
        let tried = self.attempt(&queued, settings, budget).await;
        let (outcome, failure) = match tried {
            Ok(outcome) => (outcome, None),
            Err(error @ RelayError::Index(IndexError::Journal(_))) => return Err(error),
            Err(error) => (Outcome::Later, Some(error)),
        };
        let (project, filename) = (&queued.file.project, &queued.file.filename);
        count(outcome.word(), 1);
        match outcome {
            Outcome::Fetched => info!(%project, filename, "fetched in advance"),
            Outcome::There | Outcome::Unwanted | Outcome::Gone => {
                debug!(%project, filename, ?outcome, "not fetched in advance");
            }
            Outcome::Spent => return Ok(outcome),
            Outcome::Later => {
                let attempts = queued.attempts.saturating_add(1);
                let reason = failure.as_ref().map_or_else(String::new, ToString::to_string);
                if attempts < settings.attempts {
                    let wait = settings.wait(attempts).as_secs().max(1);
                    debug!(%project, filename, attempts, wait, reason, "tried in advance, again later");
                    queue.put_off(queued.id, attempts, wait).await?;
                    return Ok(outcome);
                }
                warn!(%project, filename, attempts, reason, "given up fetching in advance");
                count("given_up", 1);
                self.give_up(&queued, failure.as_ref()).await;
            }
        }
        queue.end(queued.id).await?;
        Ok(outcome)
    }
}

fn count(outcome: &'static str, files: u64) {
    metrics::counter!(metric::PREFETCH_FILES_TOTAL, "outcome" => outcome).increment(files);
}
