//! Polls: from the serial up to which the projects are right, again and again.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::follower::Follower;
use super::news::Budget;
use super::{FollowError, FollowSettings};
use crate::journal::{Position, QuestionStart};
use crate::metric;
use crate::model::Serial;
use crate::upstream::UpstreamError;

/// How far a poll came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    /// There is nothing more for now.
    Current,
    /// There is more.
    More,
}

impl Follower {
    /// Polls until it is dropped.
    pub(super) async fn poll_for_ever(&self) {
        let mut waits = waits(&self.settings);
        let mut current_at = Instant::now();
        let (mut named, mut compared) = (None, false);
        let mut budget = Budget::new(self.upstream.pace());
        let mut running = None;
        loop {
            // Until there is nothing more it is one poll, for who waits for it.
            let poll = running.take().unwrap_or_else(|| self.journal.polls().begin());
            let before = self.journal.last_serial();
            let polled = self.poll(&mut named, &mut compared).await;
            // Upstream names its last serial; if that is another one, it is asked for what came.
            let more = !matches!(polled, Ok(Polled::Current)) || self.journal.last_serial() != before;
            budget.spend(if more { 2 } else { 1 });
            let outcome = match &polled {
                Ok(Polled::Current) => "current",
                Ok(Polled::More) => "more",
                Err(error) => error.outcome(),
            };
            metrics::counter!(metric::FOLLOW_POLLS_TOTAL, "outcome" => outcome).increment(1);
            if matches!(polled, Ok(Polled::Current)) {
                current_at = Instant::now();
            }
            metrics::gauge!(metric::FOLLOW_LAG_SECONDS).set(current_at.elapsed().as_secs_f64());
            match polled {
                Ok(more) => {
                    match more {
                        Polled::Current => poll.ended(None),
                        Polled::More => running = Some(poll),
                    }
                    self.status.send_modify(|status| {
                        status.succeeded();
                        status.current = more == Polled::Current;
                    });
                    waits = self::waits(&self.settings);
                    if more == Polled::Current {
                        if compared {
                            sleep(self.settings.listing_interval).await;
                        } else {
                            budget.pause(self.settings.interval, self.journal.polls()).await;
                        }
                    }
                }
                Err(error) => {
                    let wait = wait_after(&error, &mut waits, &self.settings);
                    poll.ended(Some(wait));
                    if error.needs_a_hand() {
                        tracing::error!(%error, wait_seconds = wait.as_secs_f64(), "the journal cannot be kept");
                    } else {
                        tracing::warn!(%error, wait_seconds = wait.as_secs_f64(), "following upstream failed");
                    }
                    self.status.send_modify(|status| status.failed(&error.reason()));
                    sleep(wait).await;
                }
            }
        }
    }

    /// `named`: how far a poll that found more had to go. `compared`: whether listings were compared.
    async fn poll(&self, named: &mut Option<Serial>, compared: &mut bool) -> Result<Polled, FollowError> {
        *compared = false;
        let Some(position) = self.journal.position() else {
            self.list().await?;
            // The listing may be half an hour old.
            return Ok(Polled::More);
        };
        let polled = if self.news_by_listings().await? {
            Err(FollowError::NoCalls { retry: Duration::ZERO })
        } else {
            self.poll_changelog(position, named).await
        };
        match polled {
            Err(FollowError::NoCalls { .. }) => {
                *compared = true;
                self.compare(position).await
            }
            Ok(Polled::Current) if self.settling.load(Ordering::Relaxed) => self.settle().await,
            polled => polled,
        }
    }

    pub(super) async fn compare(&self, position: Position) -> Result<Polled, FollowError> {
        let asked = QuestionStart::now(self.journal.clock());
        self.journal.number_above_told().await?;
        let settling = self.settling.load(Ordering::Relaxed);
        if settling {
            self.settle_lost().await?;
        }
        let polled = self.compare_listings(self.journal.position().unwrap_or(position)).await?;
        if polled == Polled::Current {
            if settling {
                self.settling.store(self.journal.relisting_owed().await?, Ordering::Relaxed);
            }
            if self.untold().is_none() {
                self.caught_up(asked).await?;
            }
        }
        Ok(polled)
    }

    /// Tells what follows from a restored upstream besides its new events, which are told.
    pub(super) async fn settle(&self) -> Result<Polled, FollowError> {
        self.settle_lost().await?;
        let Some(position) = self.journal.position() else { return Ok(Polled::More) };
        if self.journal.relisting_owed().await? {
            let mut relisted = self.relisted.lock().await;
            if relisted.is_none_or(|at| at.elapsed() >= self.settings.listing_interval) {
                *relisted = Some(Instant::now());
                *self.listed.lock().await = None;
                return self.compare(position).await;
            }
            return Err(FollowError::Unsettled);
        }
        self.settling.store(false, Ordering::Relaxed);
        Ok(Polled::More)
    }

    /// One slice. Only upstream's last serial says where its changelog ends: it may cut a slice anywhere (docs/wire.md
    /// section 6), so a short one is no end. It is asked for first: on most polls nothing has happened, and that is
    /// all.
    async fn poll_changelog(
        &self,
        position: Position,
        named: &mut Option<Serial>,
    ) -> Result<Polled, FollowError> {
        let since = position.theirs;
        let on_the_way = named.take().filter(|&upto| upto > since);
        let asked = QuestionStart::now(self.journal.clock());
        let (upto, doubt) = match on_the_way {
            Some(upto) => (upto, None),
            None => match self.named_last_serial().await {
                Err(FollowError::Leap { said, most, retry }) => {
                    // What is plausible is kept all the same.
                    (most, Some(FollowError::Leap { said, most, retry }))
                }
                named => (named?, None),
            },
        };
        if upto < since {
            let polled = self.fell_back(since, upto, true).await?;
            if polled == Polled::Current {
                self.caught_up_unless_settling(asked).await;
            }
            return Ok(polled);
        }
        if doubt.is_none() {
            self.not_behind(since, upto).await?;
        }
        if upto == since {
            // Whether its changelog is there again, only the changelog says.
            if self.calls_were_gone() {
                let slice = self.upstream.changelog_since(since).await;
                self.keep_news(slice, since, Some(upto)).await?;
            }
            self.caught_up_unless_settling(asked).await;
            return Ok(Polled::Current);
        }
        let Some(slice) = self.rows_after(since, true).await? else { return Ok(Polled::More) };
        let kept = self.keep_news(Ok(slice), since, Some(upto)).await?;
        if let Some(doubt) = doubt {
            return Err(doubt);
        }
        let Some(last) = kept else {
            self.withheld(since, upto)?;
            self.caught_up_unless_settling(asked).await;
            return Ok(Polled::Current);
        };
        if last < upto {
            *named = Some(upto);
        } else if on_the_way.is_none() {
            self.caught_up_unless_settling(asked).await;
            return Ok(Polled::Current);
        }
        // The last serial was named some slices ago.
        Ok(Polled::More)
    }

    /// Upstream names `last` as its last serial, yet tells of nothing after `since`. One of several servers that lags
    /// does that, so it is an error at first. If it stays so for [`super::FollowSettings::calls_doubt`] there is nothing:
    /// a row that was taken back, or one that a relay upstream could not pass on.
    pub(super) fn withheld(&self, since: Serial, last: Serial) -> Result<(), FollowError> {
        let now = Instant::now();
        let first = {
            let mut withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
            match *withheld {
                Some((known, first)) if known == (since, last) => first,
                Some(_) | None => {
                    *withheld = Some(((since, last), now));
                    now
                }
            }
        };
        if now - first < self.settings.calls_doubt {
            return Err(FollowError::Withheld { since, last });
        }
        tracing::debug!(%since, %last, "upstream repeatedly returned no events up to its last serial; accepting that");
        Ok(())
    }

    /// Says it once when upstream falls behind us, and once when it no longer is.
    pub(super) fn tell_if_behind(&self, ours: Serial, theirs: Serial) {
        let behind = (theirs < ours).then_some(theirs);
        let news = self.status.send_if_modified(|status| {
            let news = status.upstream_behind.is_some() != behind.is_some();
            status.upstream_behind = behind;
            news
        });
        if news && behind.is_some() {
            tracing::warn!(%ours, %theirs, "upstream's last serial went back; ours stays");
            metrics::gauge!(metric::FOLLOW_UPSTREAM_BEHIND).set(1.0);
        } else if news {
            tracing::info!(%ours, %theirs, "upstream's last serial is no longer behind ours");
            metrics::gauge!(metric::FOLLOW_UPSTREAM_BEHIND).set(0.0);
        }
    }
}

pub(super) fn waits(settings: &FollowSettings) -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_factor(2.0).with_jitter().without_max_times();
    builder.with_min_delay(settings.shortest_wait).with_max_delay(settings.longest_wait).build()
}

/// Upstream's own hint if it has to be waited for, else the growing wait.
pub(super) fn wait_after(
    error: &FollowError,
    waits: &mut ExponentialBackoff,
    settings: &FollowSettings,
) -> Duration {
    let (longest, listing) = (settings.longest_wait, settings.listing_interval);
    let growing = waits.next().unwrap_or(longest);
    match error {
        FollowError::Upstream(UpstreamError::Limited { retry }) | FollowError::Leap { retry, .. } => {
            growing.max(*retry)
        }
        // The listing was had, and is not had again before its time.
        FollowError::NoSerials => growing.max(listing),
        // Nothing to ask until then.
        FollowError::NoCalls { retry } => *retry,
        FollowError::Upstream(_)
        | FollowError::Journal(_)
        | FollowError::Lost { .. }
        | FollowError::Withheld { .. }
        | FollowError::Behind { .. }
        | FollowError::Overtaken { .. }
        | FollowError::OldListing { .. }
        | FollowError::Unsettled
        | FollowError::Untold(_)
        | FollowError::NoListing => growing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_a_hint_outweighs_them() {
        let settings = FollowSettings::default();
        let mut waits = waits(&settings);
        let lost = FollowError::Upstream(UpstreamError::TimedOut);
        let mut next = || wait_after(&lost, &mut waits, &settings);
        let first = next();
        assert!(first >= settings.shortest_wait && first <= 2 * settings.shortest_wait, "{first:?}");
        let later: Vec<Duration> = (0..20).map(|_| next()).collect();
        assert!(later[19] >= settings.longest_wait && later[19] <= 2 * settings.longest_wait, "{later:?}");
        let limited = FollowError::Upstream(UpstreamError::Limited { retry: Duration::from_hours(1) });
        let mut fresh = self::waits(&settings);
        assert_eq!(wait_after(&limited, &mut fresh, &settings), Duration::from_hours(1));
    }
}
