//! Whether upstream has XML-RPC at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::follower::Follower;
use super::{FollowError, Source};
use crate::journal::Upkeep;
use crate::upstream::UpstreamError;

/// When upstream is asked again whether it has XML-RPC; `None` as long as it is believed to have it.
#[derive(Default)]
pub(super) struct Calls(Mutex<Option<Instant>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // One assignment at a time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// The error of a question that only XML-RPC could answer; `None` if it is to be asked.
    pub(super) fn no_calls(&self) -> Option<FollowError> {
        let left = match self.settings.source {
            Source::Changelog => None,
            Source::Listings => Some(self.settings.calls_retry),
            Source::Auto => self.calls.lock().map(|until| until.saturating_duration_since(Instant::now())),
        };
        left.filter(|left| *left > Duration::ZERO).map(|retry| FollowError::NoCalls { retry })
    }

    /// Notes it if the failure of a call says that there is no XML-RPC.
    pub(super) fn judge(&self, error: UpstreamError) -> FollowError {
        if self.settings.source != Source::Auto || !error.no_calls() {
            return error.into();
        }
        let retry = self.settings.calls_retry;
        let before = self.calls.lock().replace(Instant::now() + retry);
        if before.is_none() {
            let retry_seconds = retry.as_secs();
            tracing::warn!(%error, retry_seconds, "upstream has no XML-RPC; its listings are compared instead");
        }
        self.by_listings(true);
        FollowError::NoCalls { retry }
    }

    /// Says in which way news come, and so how long "nothing happened" may be believed: through one way's pause and
    /// the time that a late or failed attempt takes.
    pub(super) fn by_listings(&self, listings: bool) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.listings, listings) != listings);
        let settings = &self.settings;
        self.journal.set_upkeep(if !settings.follow {
            Upkeep::OnDemand { head: settings.interval, projects: settings.listing_lifetime }
        } else if listings {
            Upkeep::Polled { head: settings.listing_interval.saturating_add(settings.head_lifetime) }
        } else {
            Upkeep::Polled { head: settings.head_lifetime }
        });
    }

    /// Notes that a call was answered.
    pub(super) fn calls_live(&self) {
        if self.calls.lock().take().is_some() {
            tracing::info!("upstream has XML-RPC again");
        }
        self.by_listings(false);
    }
}
