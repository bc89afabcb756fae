//! An upstream without XML-RPC: events are made by comparing its JSON listings, and a changed project's page with
//! how it looked before (docs/wire.md section 6).
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
//! - A listing without serials (HTML, or a plain index's JSON), or with one for everything, tells of no change. What then
//!   happens, [`judge`] and [`content`] say; an empty changelog is never made of it.

mod absent;
mod baseline;
mod change;
mod content;
mod judge;
mod look;
mod lost;
mod number;
mod sighting;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::FollowError;
use super::follower::Follower;
use super::issue::{Issue, Telling};
use super::poll::Polled;
use crate::journal::{Derived, Difference, Position, SerialRule};
use crate::metric;
use crate::model::{Event, Serial};
use crate::upstream::{Listed, Listing, UpstreamError, Validators};
use content::Seen;
use look::{Looked, Outcome};
use number::number;
pub(super) use number::own_start;

/// Projects whose events are kept and numbered together. PyPI has some 200 changed ones in ten minutes; after a longer
/// pause a kill or a failure loses one part, a minute or two of fetching.
const PART: usize = 1_000;

/// How far before the listing an event may be dated, in seconds. 12 h: half of what `rpc.step_back` allows.
const STEP_BACK: i64 = 12 * 3600;

impl Follower {
    /// Compares upstream's listing with the project table and keeps what happened between.
    pub(super) async fn compare_listings(&self, position: Position) -> Result<Polled, FollowError> {
        let since = position.ours;
        if !self.sighted.swap(true, Ordering::Relaxed) && !self.journal.serials_say_nothing() {
            self.sight_small_index(since).await?;
        }
        let (found, mut issue) = match self.ask_for_listing().await? {
            Ok(issue) => (Vec::new(), issue),
            Err(listing) => match self.differences(position, listing).await? {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(polled) => return Ok(polled),
            },
        };
        if issue.telling == Telling::Nothing {
            self.say_nothing().await?;
        }
        let untold = issue.is_untold(self.settings.small_index);
        let absent = self.absent(&issue).await?;
        let looked_at: Vec<_> = absent.iter().map(|job| job.name.clone()).collect();
        // A page is looked at once, and a serial that says so says more.
        let told: HashSet<_> = found.iter().map(|job| &job.name).collect();
        let few = issue.untold.iter().filter(|job| !untold && !told.contains(&job.name));
        let few: Vec<_> = few.cloned().collect();
        let changed = found.iter().cloned().chain(absent).map(Job::Changed);
        let jobs: Vec<Job> = changed.chain(few.into_iter().map(Job::Untold)).collect();
        self.tell_untold(&issue);
        if issue.confirmed && jobs.is_empty() {
            return Ok(Polled::Current);
        }
        let again = issue.telling == Telling::Serials && self.journal.serials_say_nothing();
        let mut pass = self.pass(position, issue.taken).await?;
        tracing::debug!(projects = jobs.len(), %since, head = %issue.head, "the listing was compared");
        let mut parts = jobs.chunks(PART).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let last = parts.peek().is_none();
            let looks = part.iter().cloned().map(|job| self.look_at(job, &issue, untold, again));
            let mut seen: Vec<Seen> =
                stream::iter(looks).buffered(self.settings.pages_at_once.max(1)).try_collect().await?;
            let looked = pass.take(&mut seen);
            // A page has changed under the same serial.
            let proven = issue.telling == Telling::Unproven
                && looked.iter().any(|looked| looked.by_content && !looked.changes.is_empty());
            let now = self.journal.clock().unix();
            let from = if proven { own_start(pass.since, now) } else { pass.since };
            let mut derived = derived(pass.since, from, issue.head, looked, pass.times, last);
            derived.relisted = last && !issue.confirmed;
            derived.restated = last && again;
            derived.untold = untold;
            if untold {
                derived.events.clear();
                derived.upto = pass.since;
            }
            pass.since = derived.upto;
            if !self.keep_derived(derived).await? {
                // Somebody else moved the table meanwhile: the next comparison starts from there.
                return Ok(Polled::More);
            }
            if proven {
                self.say_nothing().await?;
                issue.telling = Telling::Nothing;
            }
            if last {
                break;
            }
        }
        if !looked_at.is_empty() {
            self.journal.note_looks(looked_at).await?;
        }
        if again {
            tracing::info!("upstream's serials tell again what changes");
            self.journal.note_serials(false).await?;
            issue.untold.clear();
        }
        issue.heed(&found, self.settings.small_index);
        // Only now: until everything is kept the same listing has to be read again.
        *self.listed.lock().await = Some(issue);
        if let Some(error) = pass.failed {
            return Err(error.into());
        }
        self.doubts.lock().await.clear();
        Ok(Polled::Current)
    }

    /// Upstream's listing, or the last one if that is still it. It is not asked for twice within `listing_interval`.
    async fn ask_for_listing(&self) -> Result<Result<Issue, Listing>, FollowError> {
        let last = self.listed.lock().await.clone();
        let mut asked = self.listing_asked.lock().await;
        if let Some(last) = &last
            && asked.is_some_and(|asked| asked.elapsed() < self.settings.listing_interval)
        {
            return Ok(Ok(Issue { confirmed: true, ..last.clone() }));
        }
        let known = last.as_ref().map_or_else(Validators::default, |last| last.validators.clone());
        let answer = self.upstream.listing_unless(&known).await?;
        *asked = Some(Instant::now());
        match (answer, last) {
            (Listed::New(listing), _) => Ok(Err(listing)),
            // What it lacks may still have to be confirmed.
            (Listed::Same { taken }, Some(last)) => Ok(Ok(Issue { taken, confirmed: true, ..last })),
            // The door lets no 304 through that was not asked for.
            (Listed::Same { .. }, None) => Err(FollowError::NoListing),
        }
    }

    /// What a new listing says of projects that it has. What it lacks is noted.
    async fn differences(&self, position: Position, mut listing: Listing) -> Result<Found, FollowError> {
        let relisting = self.journal.relisting_owed().await?;
        // What happens is in the changelog of an upstream that has one; what it lost, names tell.
        let names_only = relisting
            && self.no_calls().is_none()
            && !self.journal.serials_say_nothing()
            && listing.projects.iter().all(|project| project.serial.is_none());
        let telling = if names_only { Telling::Serials } else { self.judge_serials(&listing, false)? };
        let mut head = position.theirs;
        if names_only {
            self.check_made_after_restore(&listing, head).await?;
        } else if telling == Telling::Nothing {
            // Names of an older listing than the last say nothing.
            if Some(listing.taken) < self.journal.listed_at().await? {
                return match self.listed.lock().await.clone() {
                    Some(last) => Ok(ControlFlow::Continue((Vec::new(), Issue { confirmed: true, ..last }))),
                    None => Ok(ControlFlow::Break(Polled::Current)),
                };
            }
        } else {
            head = self.believe_listing(&mut listing).await?.ok_or(FollowError::NoSerials)?;
            if relisting && self.no_calls().is_none() && head > position.theirs {
                return Err(FollowError::OldListing { listed: Some(head), last: position.theirs });
            }
            if head >= position.theirs {
                self.not_behind(position.theirs, head).await?;
            } else if !relisting && !self.journal.serials_say_nothing() {
                if Some(listing.taken) > self.journal.listed_at().await? {
                    // Made after the last one that was compared, so it is no older copy of that.
                    return Ok(ControlFlow::Break(self.listing_fell_back(position, head).await?));
                }
                return Ok(ControlFlow::Break(Polled::Current));
            }
        }
        let projects: Vec<(String, Option<Serial>)> =
            listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        let again = telling == Telling::Serials && self.journal.serials_say_nothing();
        let rule = match telling {
            // Each project's serial is to be noted beside our number.
            Telling::Serials if again => SerialRule::Ignored,
            // From after upstream was restored any other serial tells of something.
            Telling::Serials if relisting => SerialRule::Any { upto: head },
            Telling::Serials => SerialRule::Higher,
            Telling::Unproven | Telling::Nothing => SerialRule::Ignored,
        };
        let most = if again { usize::MAX } else { self.settings.small_index };
        // As long as it is not known whether serials say anything, one that rises is believed. These are few.
        let unproven = (telling == Telling::Unproven).then(|| projects.clone());
        let mut found = self.journal.compare(projects, rule, most).await?;
        if let Some(projects) = unproven {
            found.changed = self.journal.compare(projects, SerialRule::Higher, 0).await?.changed;
        }
        let mut issue = Issue::new(head, listing.taken, listing.validators, telling);
        if !names_only {
            issue.untold = found.untold;
        }
        if !again && !names_only {
            let new = found.changed.iter().filter(|job| issue.says_nothing_of(job)).count();
            issue.untold_in_all = found.untold_in_all + new;
        }
        if telling == Telling::Nothing {
            for job in found.changed.iter_mut().chain(&mut issue.untold) {
                job.serial = None;
            }
        }
        self.note_gone(found.gone, &issue).await?;
        Ok(ControlFlow::Continue((found.changed, issue)))
    }

    /// Fails if a listing without serials is a copy of from before upstream was restored.
    async fn check_made_after_restore(&self, listing: &Listing, head: Serial) -> Result<(), FollowError> {
        let restored = self.journal.restored().await?;
        if restored.is_some_and(|restored| listing.taken < restored.at) {
            return Err(FollowError::OldListing { listed: None, last: head });
        }
        Ok(())
    }

    /// What a comparison starts from.
    async fn pass(&self, position: Position, taken: i64) -> Result<Pass, FollowError> {
        // Who has seen the last listing's time, or the newest event's, asks for what is later.
        let seen = self.journal.listed_at().await?.max(self.journal.newest_time().await?);
        let earliest = seen.map_or(i64::MIN, |seen| seen.saturating_add(1));
        let times = Times { earliest: earliest.max(taken.saturating_sub(STEP_BACK)).min(taken), taken };
        Ok(Pass { since: position.ours, times, failed: None })
    }

    /// What a project's page tells. Of a new one among too many, nothing but that it is there; and where serials tell
    /// `again` what they state is to be kept in any case.
    async fn look_at(&self, job: Job, issue: &Issue, untold: bool, again: bool) -> Result<Seen, FollowError> {
        let newest = (issue.telling != Telling::Nothing).then_some(issue.head);
        match job {
            Job::Changed(job) if untold && job.listed => Ok(Seen::Looked(Looked::nothing(job))),
            Job::Changed(job) => self.look(job, issue.taken).await.map(Seen::Looked),
            Job::Untold(job) if again && issue.untold.len() > self.settings.small_index => {
                Ok(Seen::Looked(Looked::nothing(job)))
            }
            Job::Untold(job) => match self.look_at_content(job.clone(), issue.taken, newest).await? {
                Seen::Same if again => Ok(Seen::Looked(Looked::nothing(job))),
                seen => Ok(seen),
            },
        }
    }

    /// Says whether what changes cannot be told, and why.
    pub(super) fn tell_untold(&self, issue: &Issue) {
        if !self.settings.enabled {
            let reason = "upstream has no XML-RPC, its listing has serials that say nothing, and its pages are not compared \
                          because it is not followed (follow.enabled)";
            return self.set_untold((issue.telling != Telling::Serials).then(|| reason.to_owned()));
        }
        let most = self.settings.small_index;
        let reason = issue.is_untold(most).then(|| {
            let of = issue.untold_in_all;
            let what = match issue.telling {
                Telling::Serials => "some projects without a serial",
                Telling::Unproven | Telling::Nothing => "no serials that say anything",
            };
            format!(
                "upstream has no XML-RPC, its listing has {what}, and the pages of {of} projects are more than \
                 follow.small_index ({most}) lets be compared; with a higher one they are"
            )
        });
        self.set_untold(reason);
    }
}

/// Something to look at.
#[derive(Debug, Clone)]
enum Job {
    /// A serial, or its absence, says that something happened.
    Changed(Difference),
    /// No serial tells.
    Untold(Difference),
}

/// How far a comparison is.
struct Pass {
    since: Serial,
    times: Times,
    /// A page could not be had.
    failed: Option<UpstreamError>,
}

impl Pass {
    /// What is to be kept of what was seen.
    fn take(&mut self, seen: &mut Vec<Seen>) -> Vec<Looked> {
        let mut all = Vec::with_capacity(seen.len());
        for seen in seen.drain(..) {
            match seen {
                Seen::Same => {}
                Seen::Failed(error) => self.failed = Some(error),
                Seen::Looked(looked) => all.push(looked),
            }
        }
        all
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
            metrics::counter!(metric::FOLLOW_DERIVED_EVENTS_TOTAL).increment(events);
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
/// `from`: what our own next numbers follow.
fn derived(
    since: Serial,
    from: Serial,
    head: Serial,
    looked: Vec<Looked>,
    times: Times,
    last: bool,
) -> Derived {
    // A page of an absent project may be newer than the listing.
    let own = |looked: &Looked| match looked.stated {
        None if looked.job.listed => from,
        stated => stated.filter(|stated| *stated <= head).unwrap_or(head),
    };
    let wanted: Vec<_> = looked.iter().map(|looked| (own(looked), looked.changes.len())).collect();
    let serials = number(from, &wanted);
    let mut derived =
        Derived { since, upto: since, head, taken: last.then_some(times.taken), ..Derived::default() };
    for (looked, serials) in looked.into_iter().zip(serials) {
        let Looked { job, stated, changes, outcome, by_content: _ } = looked;
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
        let sighting = match (outcome, job.listed) {
            (Outcome::Gone, _) => {
                derived.gone.push(job.name);
                continue;
            }
            (Outcome::Quarantined(sighting), _) => {
                derived.quarantined.push((job.name.clone(), job.spelling, stated));
                sighting
            }
            (Outcome::Seen(sighting), true) => {
                derived.listed.push((job.name.clone(), job.spelling, job.serial));
                Some(sighting)
            }
            (Outcome::Unseen, true) => {
                derived.listed.push((job.name.clone(), job.spelling, job.serial));
                None
            }
            // The listing lacks it and its page does not: nothing is known to have happened.
            (Outcome::Unseen | Outcome::Seen(_), false) => None,
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
        let looked = Looked { job, stated: serial, changes, outcome: Outcome::Unseen, by_content: false };
        let times = Times { earliest: 101, taken: 200 };
        let derived = derived(Serial(3), Serial(3), Serial(9), vec![looked], times, true);
        let told: Vec<_> = derived.events.iter().map(|event| (event.serial.0, event.time)).collect();
        assert_eq!(told, [(7, 101), (8, 150), (9, 200)]);
    }
}
