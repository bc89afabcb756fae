//! The first listing: it fills the project table.

use tokio::time::Instant;

use super::FollowError;
use super::derive::own_start;
use super::follower::Follower;
use super::issue::{Issue, Telling};
use crate::journal::{Position, SerialRule};
use crate::model::Serial;
use crate::upstream::Listing;

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
}
