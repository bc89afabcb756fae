//! The task that follows upstream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::behind::Doubt;
use super::calls::Calls;
use super::derive::Issue;
use super::heard::Leap;
use super::{FollowError, FollowSettings, FollowStatus, History, Source};
use crate::journal::Journal;
use crate::model::{Event, ProjectName, Serial};
use crate::upstream::{Listing, Slice, Upstream, UpstreamError};

/// What polls and callers' questions share.
pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) upstream: Upstream,
    pub(super) settings: FollowSettings,
    pub(super) status: watch::Sender<FollowStatus>,
    pub(super) calls: Calls,
    /// The last listing whose changes are all kept.
    pub(super) listed: Mutex<Option<Issue>>,
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
    let answered = journal.calls_answered().await.unwrap_or_else(|error| {
        tracing::error!(%error, "the journal cannot be read");
        false
    });
    let follower = Follower {
        journal,
        upstream,
        settings,
        status,
        calls: Calls::new(answered),
        listed: Mutex::default(),
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
            if follower.settings.follow {
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
        tokio::join!(polls, follower.serve_for_ever(), history);
    };
    // Large: boxed, it moves by its address.
    cancel.run_until_cancelled(Box::pin(work)).await;
}

impl Follower {
    /// Fills the project table from upstream's listing; tells the serial that it is as new as.
    pub(super) async fn list(&self) -> Result<Serial, FollowError> {
        let mut listing = self.upstream.listing().await?;
        // On most lists this asks nothing: the listing alone fills them.
        let named = match self.no_calls() {
            Some(error) => Err(error),
            None if self.needs_named(&listing) => self.named_last_serial().await.map(Some),
            None => Ok(None),
        };
        if let (false, Ok(Some(last))) = (self.settings.follow, &named) {
            self.hear_all(*last).await?;
        }
        let newest = self.believe_listing(&mut listing).await?;
        // Without its own serial a listing is at least as new as its newest project. One whose projects have none
        // (HTML of an old server) cannot be followed without XML-RPC.
        let last_serial = match (newest, named) {
            (Some(newest), _) => listing.last_serial.unwrap_or(newest),
            (None, Err(FollowError::NoCalls { .. })) => return Err(FollowError::NoSerials),
            (None, named) => listing.last_serial.or(named?).ok_or(FollowError::NoSerials)?,
        };
        // A serial that was named after the listing says nothing of its time.
        let stated = newest.or(listing.last_serial).is_some();
        if let Some(at) = self.journal.position()
            && self.no_calls().is_some()
        {
            if last_serial >= at.theirs {
                self.not_behind(at.theirs, last_serial).await?;
            } else if Some(listing.taken) > self.journal.listed_at().await? {
                // Made after the one that is kept, so it is no older copy.
                self.listing_fell_back(at, last_serial).await?;
                self.compare(at).await?;
                return Ok(last_serial);
            }
        }
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        self.journal.seed(projects, last_serial).await?;
        self.journal.note_listed_at(listing.taken).await?;
        if stated {
            self.journal.note_first_listing(last_serial, listing.taken).await?;
        }
        let issue = Issue { head: last_serial, taken: listing.taken, etag: listing.etag, confirmed: false };
        *self.listed.lock().await = Some(issue);
        tracing::info!(%last_serial, "the projects were filled from upstream's listing");
        Ok(last_serial)
    }

    /// Whether upstream's last serial by XML-RPC is needed to know what a listing says.
    fn needs_named(&self, listing: &Listing) -> bool {
        let mut serials: Vec<Serial> = listing.projects.iter().filter_map(|project| project.serial).collect();
        if serials.is_empty() {
            return true;
        }
        serials.extend(listing.last_serial);
        serials.sort_unstable();
        let said = listing.last_serial.max(serials.last().copied());
        if !self.settings.follow
            && let Some(at) = self.journal.position()
        {
            return at.is_ahead() || said < Some(at.theirs);
        }
        // Of a new folder's upstream nothing else tells what is plausible.
        serials.dedup();
        serials.windows(2).last().is_some_and(|pair| self.journal.is_far(pair[0], pair[1]))
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
    /// Rows cover up to the last of them, never further: upstream may have cut its answer anywhere (WIRE.md section
    /// 6). That there are none covers nothing: it knew no later event, and so did not know that these serials are
    /// unused, or it did not tell.
    pub(super) async fn keep_news(
        &self,
        slice: Result<Slice, UpstreamError>,
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
