//! The task that follows upstream.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::{FollowError, FollowSettings, FollowStatus, History, Source};
use crate::journal::Journal;
use crate::model::{Event, ProjectName, Serial};
use crate::upstream::{Slice, Upstream, UpstreamError};

/// What polls and callers' questions share.
pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) upstream: Upstream,
    pub(super) settings: FollowSettings,
    pub(super) status: watch::Sender<FollowStatus>,
    pub(super) calls: Calls,
    /// The validator of the last listing whose changes are all kept.
    pub(super) listed: Mutex<Option<String>>,
    /// The pages of a small index were looked at for what they are before anything changes.
    pub(super) sighted: AtomicBool,
    /// The last serials between which upstream told of nothing, and since when it does.
    pub(super) withheld: std::sync::Mutex<Option<((Serial, Serial), Instant)>>,
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
        doubts: Mutex::default(),
    };
    follower.by_listings(follower.settings.source == Source::Listings);
    let work = async {
        let polls = async {
            if follower.settings.follow {
                follower.poll_for_ever().await;
            }
        };
        let history = async {
            if follower.settings.history == History::All {
                follower.fill_for_ever().await;
            }
        };
        tokio::join!(polls, follower.serve_for_ever(), history);
    };
    cancel.run_until_cancelled(work).await;
}

impl Follower {
    /// Fills the project table from upstream's listing; tells the serial that it is as new as.
    pub(super) async fn list(&self) -> Result<Serial, FollowError> {
        let listing = self.upstream.listing().await?;
        let newest = listing.projects.iter().filter_map(|project| project.serial).max();
        // Without its own serial a listing is at least as new as its newest project. One whose projects have none
        // (HTML of an old server) cannot be followed without XML-RPC, so that is asked first.
        let last_serial = match newest {
            Some(newest) => listing.last_serial.unwrap_or(newest),
            None if self.no_calls().is_some() => return Err(FollowError::NoSerials),
            None => match self.named_last_serial().await {
                Err(FollowError::NoCalls { .. }) => return Err(FollowError::NoSerials),
                named => listing.last_serial.unwrap_or(named?),
            },
        };
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        self.journal.seed(projects, last_serial).await?;
        self.journal.note_listed_at(listing.taken).await?;
        *self.listed.lock().await = listing.etag;
        tracing::info!(%last_serial, "the projects were filled from upstream's listing");
        Ok(last_serial)
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

    /// Keeps what upstream gave for "since `since`", if there was anything: up to which serial.
    ///
    /// Rows cover up to the last of them, never further: upstream may have cut its answer anywhere (WIRE.md section
    /// 6). That there are none covers nothing: it knew no later event, and so did not know that these serials are
    /// unused, or it did not tell.
    pub(super) async fn keep_news(
        &self,
        slice: Result<Slice, UpstreamError>,
        since: Serial,
    ) -> Result<Option<Serial>, FollowError> {
        let slice = slice.map_err(|error| self.judge(error))?;
        self.calls_live().await?;
        // Rows at or before `since` only: upstream repeats itself, which is no news and no progress.
        let Some(last) = slice.last.filter(|&last| last > since) else { return Ok(None) };
        self.keep(slice.events, since, last).await?;
        Ok(Some(last))
    }

    /// Upstream's last serial, by XML-RPC.
    pub(super) async fn named_last_serial(&self) -> Result<Serial, FollowError> {
        let named = self.upstream.changelog_last_serial().await.map_err(|error| self.judge(error))?;
        self.no_doubt();
        Ok(named)
    }
}
