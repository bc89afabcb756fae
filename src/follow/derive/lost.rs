//! Projects of which a restored upstream has lost events: each is looked at once.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::HashSet;

use super::super::FollowError;
use super::super::follower::Follower;
use super::change::{changes, removed, unseen};
use super::look::{Looked, Outcome, PageLook};
use super::{PART, STEP_BACK, Times, derived};
use crate::journal::{Difference, Lost, Position, Told};

impl Follower {
    /// Tells how each project is now of which upstream has lost events. The page says it, and for those whose page tells
    /// nothing a row says that there is something to look at.
    pub(in super::super) async fn settle_lost(&self) -> Result<(), FollowError> {
        let Some(restored) = self.journal.restored().await? else { return Ok(()) };
        loop {
            let lost = self.journal.lost(PART).await?;
            let Some(at) = self.journal.position().filter(|_| !lost.is_empty()) else { return Ok(()) };
            // Rows of upstream's from after it was restored.
            let told = self.journal.told_of_lost(restored.head).await?;
            let now = self.journal.clock().unix();
            let settled: Vec<_> = lost.iter().map(|lost| lost.name.clone()).collect();
            let looks = lost.into_iter().map(|lost| self.look_again(lost, at, now, &told));
            let looked: Vec<Looked> =
                stream::iter(looks).buffered(self.settings.pages_at_once.max(1)).try_collect().await?;
            let seen = self.journal.newest_time().await?;
            let earliest = seen.map_or(i64::MIN, |seen| seen.saturating_add(1));
            let times = Times { earliest: earliest.max(now.saturating_sub(STEP_BACK)).min(now), taken: now };
            let mut derived = derived(at.ours, at.ours, at.theirs, looked, times, false);
            derived.settled = settled;
            // If the table has moved meanwhile they are looked at again.
            self.keep_derived(derived).await?;
        }
    }

    async fn look_again(
        &self,
        lost: Lost,
        at: Position,
        now: i64,
        told: &HashSet<Told>,
    ) -> Result<Looked, FollowError> {
        let Lost { name, spelling, known, quarantined } = lost;
        let page = self.page(&name, None, Some(at.theirs)).await?;
        let mut job =
            Difference { name, spelling, listed: true, serial: Some(at.theirs), known, quarantined };
        let (changes, outcome) = match page {
            PageLook::Absent => {
                job.serial = None;
                if known { (vec![removed(now)], Outcome::Gone) } else { (vec![], Outcome::Unseen) }
            }
            PageLook::Useless => (vec![unseen(now)], Outcome::Unseen),
            PageLook::Sighting(mut after) => {
                let before = if known { Some(self.before(&job.name, &after).await?) } else { None };
                let before = before.map(|mut before| {
                    before.quarantined |= quarantined;
                    before
                });
                let told = |version: &Option<String>, action: &String| {
                    told.contains(&(job.name.as_str().to_owned(), version.clone(), action.clone()))
                };
                let mut found = changes(before.as_ref(), &after, now);
                found.retain(|change| !told(&change.version, &change.action));
                if found.is_empty() {
                    found.push(unseen(now));
                }
                job.serial = after.serial.or(job.serial);
                if let Some(before) = before.filter(|_| after.quarantined) {
                    (after.files, after.versions) = (before.files, before.versions);
                }
                // Texts and numbers are never refused.
                let outcome = match serde_json::to_vec(&after) {
                    Ok(sighting) if after.quarantined => Outcome::Quarantined(Some(sighting)),
                    Ok(sighting) => Outcome::Seen(sighting),
                    Err(_) => Outcome::Unseen,
                };
                (found, outcome)
            }
        };
        Ok(Looked { stated: job.serial, job, changes, outcome, by_content: false })
    }
}
