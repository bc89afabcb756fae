//! History: everything that happened before the first listing, fetched when upstream has nothing else to do for us.
//!
//! The oldest gap first: the question is "what came after this serial", so an answer grows what is known upwards, each
//! page is full, and who loops from the beginning finds it first. Newest first would have to guess where pages
//! begin. Each page is kept together with its range, so there is nothing to resume: after a kill the oldest gap is
//! where it was.

use tokio::time::sleep;

use super::FollowError;
use super::follower::Follower;
use super::poll::{wait_after, waits};
use crate::journal::Gap;
use crate::metric;
use crate::model::Serial;

impl Follower {
    /// Fills gaps until it is dropped.
    pub(super) async fn fill_for_ever(&self) {
        let mut head = self.journal.watch_last_serial();
        let mut waits = waits(&self.settings);
        loop {
            // Before the first listing there is no head to reach. The sender lives as long as our journal.
            let Some(upto) = head.wait_for(Option::is_some).await.ok().and_then(|head| *head) else { return };
            head.mark_unchanged();
            let filled = match self.journal.oldest_gap(upto).await {
                Ok(Some(gap)) => self.fill(gap).await,
                Ok(None) => {
                    self.missing(0);
                    // News come without gaps; a gap opens only if polls skip something.
                    if head.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(error) => Err(error.into()),
            };
            match filled {
                Ok(()) => waits = self::waits(&self.settings),
                Err(error) => {
                    let wait = wait_after(&error, &mut waits, &self.settings);
                    tracing::warn!(%error, wait_seconds = wait.as_secs_f64(), "history cannot be fetched");
                    self.status.send_modify(|status| status.history_error = Some(error.reason()));
                    sleep(wait).await;
                }
            }
        }
    }

    async fn fill(&self, gap: Gap) -> Result<(), FollowError> {
        self.missing(gap.missing);
        if let Some(error) = self.no_calls() {
            return Err(error);
        }
        if self.fetch_page(gap.after).await? {
            return Ok(());
        }
        let last = self.named_last_serial().await?;
        if last < gap.upto {
            return Err(FollowError::Lost { since: gap.after, last });
        }
        if !self.fetch_page(gap.after).await? {
            return Err(FollowError::Withheld { since: gap.after, last });
        }
        Ok(())
    }

    /// Whether upstream had rows.
    async fn fetch_page(&self, since: Serial) -> Result<bool, FollowError> {
        let slice = self.upstream.changelog_when_idle(since).await;
        Ok(self.keep_news(slice, since, None).await?.is_some())
    }

    fn missing(&self, serials: i64) {
        // Serials stay far below 2⁵³, where a double still counts by one.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(metric::FOLLOW_HISTORY_MISSING_SERIALS).set(serials as f64);
        self.status.send_modify(|status| {
            status.history_missing = Some(serials);
            status.history_error = None;
        });
    }
}
