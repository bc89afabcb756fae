//! The task that follows upstream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::issue::Issue;
use super::state::{Calls, Doubt, Leap};
use super::{FollowError, FollowSettings, FollowStatus, History, Source, imported};
use crate::journal::Journal;
use crate::model::{Event, ProjectName, Serial};
use crate::requester::Requester;
use crate::upstream::{ChangelogPart, Upstream, UpstreamError};

/// What polls and callers' questions share.
pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) upstream: Upstream,
    pub(super) settings: FollowSettings,
    pub(super) status: watch::Sender<FollowStatus>,
    pub(super) calls: std::sync::Mutex<Calls>,
    /// The last listing whose changes are all kept.
    pub(super) listed: Mutex<Option<Issue>>,
    /// When upstream last answered a question for its listing.
    pub(super) listing_asked: Mutex<Option<Instant>>,
    /// Since when its listing lacks the serials that it had.
    pub(super) serials_missing: std::sync::Mutex<Option<Instant>>,
    /// The pages of a small index were looked at for what they are before anything changes.
    pub(super) sighted: AtomicBool,
    /// The last serials between which upstream told of nothing, and since when it does.
    pub(super) withheld: std::sync::Mutex<Option<((Serial, Serial), Instant)>>,
    /// A last serial that is not believed yet.
    pub(super) leap: std::sync::Mutex<Option<Leap>>,
    /// Answers with a lower last serial than before.
    pub(super) doubt: std::sync::Mutex<Doubt>,
    /// In this run upstream's last serial was not lower once.
    pub(super) heard_abreast: AtomicBool,
    /// Upstream was restored, and not all that follows from that is told.
    pub(super) settling: AtomicBool,
    /// When a listing was last compared because of that.
    pub(super) relisted: Mutex<Option<Instant>>,
    /// How often a changed project's page failed since the last comparison that came to its end.
    pub(super) doubts: Mutex<HashMap<ProjectName, usize>>,
}

/// Keeps `journal` current until `cancel`: polls if the settings say so, and always asks upstream what callers
/// need. It stops at once: what is being written is still written whole, and what is being asked is given up.
///
/// Polls, questions and history run beside each other in one task; the upstream budget puts their calls in a row.
pub async fn run(
    journal: Journal,
    upstream: Upstream,
    settings: FollowSettings,
    status: watch::Sender<FollowStatus>,
    cancel: CancellationToken,
) {
    if upstream.is_bundled() {
        return imported::run(&journal, &cancel).await;
    }
    let answered = journal.calls_answered().await.unwrap_or_else(|error| {
        tracing::error!(%error, "the journal cannot be read");
        false
    });
    let follower = Follower {
        journal,
        upstream,
        settings,
        status,
        calls: std::sync::Mutex::new(Calls { answered, ..Calls::default() }),
        listed: Mutex::default(),
        listing_asked: Mutex::default(),
        serials_missing: std::sync::Mutex::default(),
        sighted: AtomicBool::default(),
        withheld: std::sync::Mutex::default(),
        leap: std::sync::Mutex::default(),
        doubt: std::sync::Mutex::default(),
        heard_abreast: AtomicBool::default(),
        // Until the journal says otherwise.
        settling: AtomicBool::new(true),
        relisted: Mutex::default(),
        doubts: Mutex::default(),
    };
    follower.recall().await;
    follower.by_listings(follower.settings.source == Source::Listings);
    let work = async {
        let polls = async {
            if follower.settings.enabled {
                follower.poll_for_ever().await;
            } else {
                follower.hear_for_ever().await;
            }
        };
        let history = async {
            if follower.settings.history == History::All {
                follower.fill_for_ever().await;
            }
        };
        tokio::join!(Requester::Follower.run(polls), follower.serve_for_ever(), history);
    };
    // Large: boxed, it moves by its address.
    cancel.run_until_cancelled(Box::pin(work)).await;
}

impl Follower {
    /// Says for good why what changes cannot be told, or that it can.
    pub(super) fn set_untold(&self, reason: Option<String>) {
        let untold = reason.is_some();
        if untold && !self.journal.is_untold() {
            tracing::warn!(reason, "what changes upstream cannot be told");
            self.journal.not_caught_up();
        }
        self.journal.set_untold(untold);
        self.status.send_if_modified(|status| {
            let changed = status.untold != reason;
            status.untold = reason;
            changed
        });
    }

    /// The error of a question for what cannot be told.
    pub(super) fn untold(&self) -> Option<FollowError> {
        let reason = self.status.borrow().untold.clone();
        reason.filter(|_| self.no_calls().is_some()).map(FollowError::Untold)
    }

    /// Keeps what upstream gave for "since `since`", whose last row is `last`.
    pub(super) async fn keep(
        &self,
        events: Vec<Event>,
        since: Serial,
        last: Serial,
    ) -> Result<(), FollowError> {
        let added = self.journal.append(events, since, last).await?.added;
        self.status.send_if_modified(|status| {
            status.events += added;
            added > 0
        });
        Ok(())
    }

    /// Keeps what upstream gave for "since `since`", if there was anything: up to which serial. `last`: its last serial
    /// if that was asked for first.
    ///
    /// Rows cover up to the last of them, never further: upstream may have cut its answer anywhere (docs/wire.md section
    /// 6). That there are none covers nothing: it knew no later event, and so did not know that these serials are
    /// unused, or it did not tell.
    pub(super) async fn keep_news(
        &self,
        slice: Result<ChangelogPart, UpstreamError>,
        since: Serial,
        last: Option<Serial>,
    ) -> Result<Option<Serial>, FollowError> {
        let mut slice = slice.map_err(|error| self.judge(error))?;
        self.calls_live().await?;
        let doubt = self.believe_rows(&mut slice, last).await?;
        // Rows at or before `since` only: upstream repeats itself, which is no news and no progress.
        let reached = slice.last.filter(|&last| last > since);
        if let Some(last) = reached {
            self.keep(slice.events, since, last).await?;
        }
        doubt.map_or(Ok(reached), Err)
    }

    /// What the last run found out about upstream.
    async fn recall(&self) {
        let found = async {
            let restored = self.journal.restored().await?;
            let settling = !self.journal.lost(1).await?.is_empty() || self.journal.relisting_owed().await?;
            Ok::<_, crate::journal::JournalError>((restored, settling))
        };
        match found.await {
            Ok((restored, settling)) => {
                self.settling.store(settling, Ordering::Relaxed);
                self.status.send_modify(|status| status.restored = restored);
            }
            Err(error) => tracing::error!(%error, "the journal cannot be read"),
        }
    }
}
