//! Whether upstream has XML-RPC at all.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::follower::Follower;
use super::state::Calls;
use super::{FollowError, Source};
use crate::journal::{News, Upkeep};
use crate::upstream::UpstreamError;

impl Follower {
    /// The error of a question that only XML-RPC could answer; `None` if it is to be asked.
    pub(super) fn no_calls(&self) -> Option<FollowError> {
        let left = match self.settings.source {
            Source::Changelog => None,
            Source::Listings => Some(self.settings.calls_retry),
            Source::Auto => {
                self.calls_lock().until.map(|until| until.saturating_duration_since(Instant::now()))
            }
        };
        left.filter(|left| *left > Duration::ZERO).map(|retry| FollowError::NoCalls { retry })
    }

    /// Whether news come from comparing listings: there is no XML-RPC, or there is again, and an event of its changelog
    /// could have a number that was given to another one.
    pub(super) async fn news_by_listings(&self) -> Result<bool, FollowError> {
        if self.no_calls().is_some() {
            return Ok(true);
        }
        let owed = self.journal.comparison_owed().await?;
        if owed {
            self.keep_up(true);
        }
        Ok(owed)
    }

    /// Notes it if the failure of a call says that there is no XML-RPC.
    ///
    /// Of an upstream that has answered calls that is believed only after [`super::FollowSettings::calls_doubt`]:
    /// events that are derived meanwhile would stand in the place of its own for ever, and a proxy that is being
    /// restarted also says 404.
    pub(super) fn judge(&self, error: UpstreamError) -> FollowError {
        if self.settings.source != Source::Auto || !error.no_calls() {
            return error.into();
        }
        let (now, retry) = (Instant::now(), self.settings.calls_retry);
        let mut calls = self.calls_lock();
        let doubted = *calls.doubted.get_or_insert(now);
        if calls.answered && calls.until.is_none() && now - doubted < self.settings.calls_doubt {
            return error.into();
        }
        if calls.until.replace(now + retry).is_none() {
            let retry_seconds = retry.as_secs();
            tracing::warn!(%error, retry_seconds, "upstream has no XML-RPC; its listings are compared instead");
        }
        drop(calls);
        self.by_listings(true);
        FollowError::NoCalls { retry }
    }

    /// Says in which way news come, and so how long "nothing happened" may be believed: through one way's pause and
    /// the time that a late or failed attempt takes.
    pub(super) fn by_listings(&self, listings: bool) {
        if !listings {
            self.set_untold(None);
        }
        self.status.send_if_modified(|status| std::mem::replace(&mut status.listings, listings) != listings);
        self.keep_up(listings);
    }

    fn keep_up(&self, listings: bool) {
        let settings = &self.settings;
        self.journal.polls().come_by(if listings { News::Listings } else { News::Changelog });
        self.journal.set_upkeep(if !settings.enabled {
            // A listing has 40 MB.
            let head =
                settings.interval.max(if listings { settings.listing_interval } else { Duration::ZERO });
            Upkeep::OnDemand { head, projects: settings.listing_lifetime }
        } else if listings {
            Upkeep::Polled { head: settings.listing_interval.saturating_add(settings.head_lifetime) }
        } else {
            Upkeep::Polled { head: settings.head_lifetime }
        });
    }

    /// Upstream had no XML-RPC when it was last asked for its changelog.
    pub(super) fn calls_were_gone(&self) -> bool {
        self.calls_lock().until.is_some()
    }

    /// Notes that upstream answered a call: it is not there no more.
    pub(super) fn no_doubt(&self) {
        self.calls_lock().doubted = None;
    }

    /// Notes that upstream answered a call for its changelog.
    pub(super) async fn calls_live(&self) -> Result<(), FollowError> {
        let (answered, until) = {
            let mut calls = self.calls_lock();
            calls.doubted = None;
            (std::mem::replace(&mut calls.answered, true), calls.until.take())
        };
        if until.is_some() {
            tracing::info!("upstream has XML-RPC again");
        }
        self.by_listings(false);
        if !answered {
            self.journal.note_calls_answered().await?;
        }
        Ok(())
    }

    fn calls_lock(&self) -> MutexGuard<'_, Calls> {
        // Plain assignments.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
