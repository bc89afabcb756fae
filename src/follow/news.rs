//! Polls that questions by time cause.
//!
//! Who asks by time asks once a run, and should get what upstream has now, not what it had at the last poll. So a
//! question has upstream polled, one poll for all who wait. At most half of what upstream may be asked goes into such
//! polls: the rest is for regular ones, for what callers need, and for history.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::FollowError;
use super::follower::Follower;
use crate::journal::{Polls, QuestionStart};

/// The pause after a failure that names none, where nobody polls: about as long as a caller waits before it asks again.
const PAUSE: Duration = Duration::from_secs(1);

/// What polls that questions cause may ask of upstream.
pub(super) struct Budget {
    /// What one call takes.
    pace: Duration,
    /// A question caused the poll that runs, or that ran last.
    caused: bool,
    /// When the next one may begin.
    next: Instant,
}

impl Budget {
    pub(super) fn new(pace: Duration) -> Self {
        Self { pace, caused: false, next: Instant::now() }
    }

    /// A poll took so many calls.
    pub(super) fn spend(&mut self, calls: u32) {
        if self.caused {
            self.next = self.next.max(Instant::now()) + 2 * calls * self.pace;
        }
    }

    /// Waits for the time of the next poll, or until a question wants one and may have it.
    pub(super) async fn pause(&mut self, interval: Duration, polls: &Polls) {
        self.caused = tokio::select! {
            () = sleep(interval) => false,
            () = self.wanted(polls) => true,
        };
    }

    async fn wanted(&self, polls: &Polls) {
        polls.wanted().await;
        sleep_until(self.next).await;
    }
}

impl Follower {
    /// Where nobody polls: asks for upstream's last serial when a question by time wants to know it, until it is
    /// dropped. What came up to there is fetched as answers need it.
    pub(super) async fn hear_for_ever(&self) {
        let polls = self.journal.polls();
        let mut budget = Budget::new(self.upstream.pace());
        loop {
            budget.wanted(polls).await;
            budget.caused = true;
            let poll = polls.begin();
            let heard = self.hear_changelog().await;
            budget.spend(1);
            match heard {
                // Its listing is asked for as before, not for this.
                Ok(()) | Err(FollowError::NoCalls { .. }) => poll.ended(None),
                Err(error) => {
                    tracing::warn!(%error, "upstream's last serial could not be had for a question by time");
                    let pause = error.retry_after().unwrap_or(PAUSE);
                    poll.ended(Some(pause));
                    sleep(pause).await;
                    polls.try_again();
                }
            }
        }
    }

    async fn hear_changelog(&self) -> Result<(), FollowError> {
        if let Some(error) = self.no_calls() {
            return Err(error);
        }
        let asked = QuestionStart::now(self.journal.clock());
        let last = self.hear_all(self.named_last_serial().await?).await?;
        self.journal.heard_last_serial(last).await?;
        self.caught_up(asked).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::News;

    #[tokio::test(start_paused = true)]
    async fn questions_that_never_end_cause_polls_for_half_of_the_calls_and_regular_ones_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let journal =
            crate::journal::Journal::open(folder.path(), crate::journal::JournalSettings::default());
        let journal = journal.await.unwrap();
        let polls = journal.polls();
        polls.come_by(News::Changelog);
        let begun = Instant::now();
        let mut calls = 0;
        let follower = async {
            let mut budget = Budget::new(Duration::from_secs(1));
            while begun.elapsed() < Duration::from_secs(1000) {
                // Each second poll brings something.
                let its = 1 + calls % 2;
                polls.begin().ended(None);
                budget.spend(its);
                calls += its;
                budget.pause(Duration::from_mins(1), polls).await;
            }
        };
        let client = async {
            loop {
                polls.recent(Duration::from_secs(1)).await;
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = follower => {}
            () = client => {}
        }
        assert!((450..=520).contains(&calls), "{calls}");
    }
}
