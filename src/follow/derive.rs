//! An upstream without XML-RPC: events are made by comparing its JSON listings, and a changed project's page with
//! how it looked before (WIRE.md section 6).
//!
//! - The first listing is the baseline: there are no events before it, and none is invented. What a page looked
//!   like before a change is known from the change before (of a small index, from the start), else from the page if
//!   a client's question kept it; else
//!   a file is new if it was uploaded after the project's last known event, or after the last listing.
//! - A project whose serial rose without a visible change (a role, a description, a file that went before its page
//!   was ever seen) gets one row, `docupdate`: whoever mirrors it looks again.
//! - A quarantined release, and one that was removed, vanish from the page alike: both are `remove release`.
//! - Several changes between two listings give the rows that lead from the one state to the other; a file that
//!   came and went between them gives none.
//! - Times are upload times where pages have them, else the time of the listing, and always between the last listing
//!   and this one: a file that reappears is news now. After a pause they go back by [`STEP_BACK`] at most, which
//!   questions by time rely on. [`number`] gives serials.
//! - If numbers went above upstream's own last serial, its changelog goes on from its own (`journal::Position`). A number
//!   above what upstream states of its project is what we state of it (`journal::Lead`).
//! - Of a page newer than its listing, what was uploaded since is left for the next one.
//! - A listing older than the project table changes nothing. Of a project that it lacks [`absent`] finds what became
//!   of it. A page that is older than the listing says is asked for again, a few times; then it is taken as it is,
//!   and what is missing comes with the project's next change.
//! - A listing without serials (HTML, or a plain index's JSON) tells of no change: that is an error, never an empty
//!   changelog.

mod absent;
mod baseline;
mod change;
mod look;
mod lost;
mod number;
mod sighting;

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::FollowError;
use super::follower::Follower;
use super::poll::Polled;
use crate::journal::{Derived, Difference, Position, SerialRule};
use crate::model::{Event, Serial};
use crate::upstream::{Listed, Listing};
pub(super) use absent::Issue;
use look::{Looked, Outcome};
use number::number;

/// Projects whose events are kept and numbered together. PyPI has some 200 changed ones in ten minutes; after a longer
/// pause a kill or a failure loses one part, a minute or two of fetching.
const PART: usize = 1_000;

/// How far before the listing an event may be dated, in seconds. 12 h: half of what `rpc.step_back` allows.
const STEP_BACK: i64 = 12 * 3600;

impl Follower {
    /// Compares upstream's listing with the project table and keeps what happened between.
    pub(super) async fn compare_listings(&self, position: Position) -> Result<Polled, FollowError> {
        let since = position.ours;
        if !self.sighted.swap(true, Ordering::Relaxed) {
            self.sight_small_index(since).await?;
        }
        let last = self.listed.lock().await.clone();
        let validator = last.as_ref().and_then(|last| last.etag.as_deref());
        let (mut jobs, issue) = match (self.upstream.listing_unless(validator).await?, last) {
            (Listed::New(listing), _) => match self.differences(position, listing).await? {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(polled) => return Ok(polled),
            },
            // What it lacks may still have to be confirmed.
            (Listed::Same { taken }, Some(last)) => (Vec::new(), Issue { taken, confirmed: true, ..last }),
            // The door lets no 304 through that was not asked for.
            (Listed::Same { .. }, None) => return Ok(Polled::Current),
        };
        let absent = self.absent(&issue).await?;
        if issue.confirmed && absent.is_empty() {
            return Ok(Polled::Current);
        }
        let looked_at: Vec<_> = absent.iter().map(|job| job.name.clone()).collect();
        jobs.extend(absent);
        let (taken, head) = (issue.taken, issue.head);
        // Who has seen the last listing's time, or the newest event's, asks for what is later.
        let seen = self.journal.listed_at().await?.max(self.journal.newest_time().await?);
        let earliest = seen.map_or(i64::MIN, |seen| seen.saturating_add(1));
        let times = Times { earliest: earliest.max(taken.saturating_sub(STEP_BACK)).min(taken), taken };
        tracing::debug!(projects = jobs.len(), %since, %head, "the listing was compared");
        let mut since = since;
        let mut parts = jobs.chunks(PART).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let last = parts.peek().is_none();
            let looks = part.iter().cloned().map(|job| self.look(job, taken));
            let looked: Vec<Looked> =
                stream::iter(looks).buffered(self.settings.pages_at_once.max(1)).try_collect().await?;
            let mut derived = derived(since, head, looked, times, last);
            derived.relisted = last && !issue.confirmed;
            since = derived.upto;
            if !self.keep_derived(derived).await? {
                // Somebody else moved the table meanwhile: the next comparison starts from there.
                return Ok(Polled::More);
            }
            if last {
                break;
            }
        }
        if !looked_at.is_empty() {
            self.journal.note_looks(looked_at).await?;
        }
        // Only now: until everything is kept the same listing has to be read again.
        *self.listed.lock().await = Some(issue);
        self.doubts.lock().await.clear();
        Ok(Polled::Current)
    }

    /// What a new listing says of projects that it has. What it lacks is noted.
    async fn differences(&self, position: Position, mut listing: Listing) -> Result<Found, FollowError> {
        // Its own serial may be missing, as may every project's: then it tells of no change.
        let head = self.believe_listing(&mut listing).await?.ok_or(FollowError::NoSerials)?;
        let relisting = self.journal.relisting_owed().await?;
        if relisting && self.no_calls().is_none() && head > position.theirs {
            return Err(FollowError::OldListing { listed: head, last: position.theirs });
        }
        if head >= position.theirs {
            self.not_behind(position.theirs, head).await?;
        } else if !relisting {
            if Some(listing.taken) > self.journal.listed_at().await? {
                // Made after the last one that was compared, so it is no older copy of that.
                return Ok(ControlFlow::Break(self.listing_fell_back(position, head).await?));
            }
            return Ok(ControlFlow::Break(Polled::Current));
        }
        let issue = Issue { head, taken: listing.taken, etag: listing.etag, confirmed: false };
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        // From after upstream was restored any other serial tells of something.
        let rule = if relisting { SerialRule::Any { upto: head } } else { SerialRule::Higher };
        let mut found = self.journal.compare(projects, rule, 0).await?;
        // A project without a serial among others that have one tells of no change.
        found.changed.retain(|project| project.serial.is_some());
        self.note_gone(found.gone, &issue).await?;
        Ok(ControlFlow::Continue((found.changed, issue)))
    }
}

/// What to look at because of a listing, or that there is nothing to compare it with.
type Found = ControlFlow<Polled, (Vec<Difference>, Issue)>;

impl Follower {
    /// Keeps what was found, if the project table still stands where it stood.
    async fn keep_derived(&self, derived: Derived) -> Result<bool, FollowError> {
        let events = derived.events.len() as u64;
        let kept = self.journal.derive(derived).await?;
        if kept {
            metrics::counter!("cheesewire_follow_derived_events_total").increment(events);
            self.status.send_modify(|status| status.events += events);
        }
        Ok(kept)
    }
}

/// When what a comparison finds happened, in Unix seconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    earliest: i64,
    /// When the listing was made.
    taken: i64,
}

/// What is kept of a part of the comparison. The last part reaches the listing's own serial.
fn derived(since: Serial, head: Serial, looked: Vec<Looked>, times: Times, last: bool) -> Derived {
    // A page of an absent project may be newer than the listing.
    let own = |looked: &Looked| looked.stated.filter(|stated| *stated <= head).unwrap_or(head);
    let wanted: Vec<_> = looked.iter().map(|looked| (own(looked), looked.changes.len())).collect();
    let serials = number(since, &wanted);
    let mut derived =
        Derived { since, upto: since, head, taken: last.then_some(times.taken), ..Derived::default() };
    for (looked, serials) in looked.into_iter().zip(serials) {
        let Looked { job, stated, changes, outcome } = looked;
        for (change, serial) in changes.into_iter().zip(serials) {
            derived.upto = derived.upto.max(serial);
            let name = job.spelling.clone();
            derived.events.push(Event {
                serial,
                name,
                version: change.version,
                time: change.time.clamp(times.earliest, times.taken),
                action: change.action,
            });
        }
        let sighting = match (outcome, job.serial) {
            (Outcome::Gone, _) => {
                derived.gone.push(job.name);
                continue;
            }
            (Outcome::Quarantined(sighting), _) => {
                derived.quarantined.push((job.name.clone(), job.spelling, stated));
                sighting
            }
            (Outcome::Seen(sighting), Some(serial)) => {
                derived.listed.push((job.name.clone(), job.spelling, serial));
                Some(sighting)
            }
            (Outcome::Unseen, Some(serial)) => {
                derived.listed.push((job.name.clone(), job.spelling, serial));
                None
            }
            // The listing lacks it and its page does not: nothing is known to have happened.
            (Outcome::Unseen | Outcome::Seen(_), None) => None,
        };
        derived.sightings.extend(sighting.map(|sighting| (job.name, sighting)));
    }
    // Parts are in the order of serials: what a later part brings is above this one's last.
    derived.events.sort_by_key(|event| event.serial);
    if last {
        derived.upto = derived.upto.max(head);
    }
    derived
}

#[cfg(test)]
mod tests {
    use super::change::Change;
    use super::*;
    use crate::model::ProjectName;

    #[test]
    fn what_a_comparison_finds_is_dated_between_the_last_listing_and_this_one() {
        let change = |time| Change { version: None, time, action: "create".to_owned() };
        let name = ProjectName::parse("a").unwrap();
        let serial = Some(Serial(9));
        let job = Difference {
            name,
            spelling: "a".to_owned(),
            listed: true,
            serial,
            known: true,
            quarantined: false,
        };
        let changes = vec![change(5), change(150), change(999)];
        let looked = Looked { job, stated: serial, changes, outcome: Outcome::Unseen };
        let times = Times { earliest: 101, taken: 200 };
        let derived = derived(Serial(3), Serial(9), vec![looked], times, true);
        let told: Vec<_> = derived.events.iter().map(|event| (event.serial.0, event.time)).collect();
        assert_eq!(told, [(7, 101), (8, 150), (9, 200)]);
    }
}
