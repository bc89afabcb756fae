//! The task that follows upstream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::behind::Doubt;
use super::calls::Calls;
use super::derive::{Issue, Telling, own_start};
use super::heard::Leap;
use super::{FollowError, FollowSettings, FollowStatus, History, Source};
use crate::journal::{Journal, Position, SerialRule};
use crate::model::{Event, ProjectName, Serial};
use crate::requester::Requester;
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
    /// Fills the project table from upstream's listing; tells the serial that it is as new as.
    pub(super) async fn list(&self) -> Result<Serial, FollowError> {
        let mut listing = self.upstream.listing().await?;
        // On most lists this asks nothing: the listing alone fills them.
        let named = match self.no_calls() {
            Some(error) => Err(error),
            None if self.needs_named(&listing) => self.named_last_serial().await.map(Some),
            None => Ok(None),
        };
        if let (false, Ok(Some(last))) = (self.settings.enabled, &named) {
            self.hear_all(*last).await?;
        }
        *self.listing_asked.lock().await = Some(Instant::now());
        let calls_gone = matches!(named, Err(FollowError::NoCalls { .. })) || self.no_calls().is_some();
        let telling = match self.judge_serials(&listing, self.journal.position().is_none()) {
            // Its changelog tells what they do not.
            Err(_) if !calls_gone => Telling::Nothing,
            judged => judged?,
        };
        if telling == Telling::Nothing && calls_gone {
            return self.list_without_serials(listing).await;
        }
        let newest = self.believe_listing(&mut listing).await?;
        // Without its own serial a listing is at least as new as its newest project. One whose projects have none
        // (HTML of an old server) cannot be followed without XML-RPC.
        let last_serial = match (newest, named) {
            (Some(newest), _) => listing.last_serial.unwrap_or(newest),
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
        let untold =
            telling != Telling::Serials || listing.projects.iter().any(|project| project.serial.is_none());
        let projects: Vec<(String, Option<Serial>)> =
            listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        let listed = if untold { projects.clone() } else { Vec::new() };
        self.journal.seed(projects, last_serial).await?;
        self.journal.note_listed_at(listing.taken).await?;
        if stated {
            self.journal.note_first_listing(last_serial, listing.taken).await?;
        }
        let mut issue = Issue::new(last_serial, listing.taken, listing.validators, telling);
        if untold {
            // Only if there turns out to be no XML-RPC.
            self.find_untold(&mut issue, listed).await?;
        }
        if calls_gone {
            self.tell_untold(&issue);
        }
        *self.listed.lock().await = Some(issue);
        tracing::info!(%last_serial, "the projects were filled from upstream's listing");
        Ok(last_serial)
    }

    /// The same from a listing whose serials say nothing: we count ourselves.
    async fn list_without_serials(&self, listing: Listing) -> Result<Serial, FollowError> {
        let position = self.journal.position();
        let stated = listing.projects.iter().filter_map(|project| project.serial).max();
        let start = || own_start(Serial(0), self.journal.clock().unix()).max(stated.unwrap_or_default());
        let at = position.unwrap_or_else(|| Position::same(start()));
        // Of what is compared each project has a number; where nothing is told, none could be compared with.
        let compared = self.settings.enabled && listing.projects.len() <= self.settings.small_index;
        let number = compared.then_some(at.ours);
        let names = || listing.projects.iter().map(|project| project.name.clone());
        if position.is_none() || !self.settings.enabled {
            self.journal.seed(names().map(|name| (name, number)).collect(), at.theirs).await?;
            self.journal.note_listed_at(listing.taken).await?;
        }
        let names = names().map(|name| (name, None)).collect();
        let mut issue = Issue::new(at.theirs, listing.taken, listing.validators, Telling::Nothing);
        self.find_untold(&mut issue, names).await?;
        self.say_nothing().await?;
        self.tell_untold(&issue);
        *self.listed.lock().await = Some(issue);
        tracing::info!(start = %at.ours, "the projects were filled from upstream's listing, whose serials say nothing");
        Ok(at.theirs)
    }

    /// Finds the projects of which no serial tells.
    async fn find_untold(
        &self,
        issue: &mut Issue,
        names: Vec<(String, Option<Serial>)>,
    ) -> Result<(), FollowError> {
        let rule = if issue.telling == Telling::Serials { SerialRule::Higher } else { SerialRule::Ignored };
        let found = self.journal.compare(names, rule, self.settings.small_index).await?;
        (issue.untold, issue.untold_in_all) = (found.untold, found.untold_in_all);
        if issue.telling == Telling::Nothing {
            for job in &mut issue.untold {
                job.serial = None;
            }
        }
        Ok(())
    }

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

    /// Whether upstream's last serial by XML-RPC is needed to know what a listing says.
    fn needs_named(&self, listing: &Listing) -> bool {
        let mut serials: Vec<Serial> = listing.projects.iter().filter_map(|project| project.serial).collect();
        if serials.is_empty() {
            return true;
        }
        serials.extend(listing.last_serial);
        serials.sort_unstable();
        let said = listing.last_serial.max(serials.last().copied());
        if !self.settings.enabled
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
    /// Rows cover up to the last of them, never further: upstream may have cut its answer anywhere (docs/wire.md section
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
