//! Which of the serials that upstream states are believed.
//!
//! Rows count up to what upstream names as its last serial at that time: one beyond that would be asked from for ever. And
//! a last serial far beyond the pace of before (`journal::Journal::most_plausible`) counts once upstream has said it again
//! some seconds later, and its listing does not say otherwise. Until then the rows up to what is plausible are kept, and
//! the rest is a failure.

use std::sync::{MutexGuard, PoisonError};

use tokio::time::Instant;

use super::FollowError;
use super::follower::Follower;
use super::state::Leap;
use crate::metric;
use crate::model::Serial;
use crate::upstream::{ChangelogPart, Listing, Target};

impl Follower {
    /// Upstream's last serial, by XML-RPC, if it is believed.
    pub(super) async fn named_last_serial(&self) -> Result<Serial, FollowError> {
        let said = self.upstream.changelog_last_serial().await.map_err(|error| self.judge(error))?;
        self.no_doubt();
        let most = self.journal.most_plausible();
        if said <= most {
            self.believe(said, false).await?;
            return Ok(said);
        }
        let first = self.doubt_leap(said, most);
        if first.since.elapsed() < self.settings.leap_pause || !self.listing_agrees(first, most).await? {
            return Err(self.leap(said, most));
        }
        self.believe(said, true).await?;
        Ok(said)
    }

    /// Takes the serials out of a listing that are not believed: its own, and each project's. Tells up to where the rest
    /// leads, if there is any. Where nothing but listings tells of a last serial one that leaps fails, until a later
    /// listing says it again; where XML-RPC does it is wrong.
    pub(super) async fn believe_listing(&self, listing: &mut Listing) -> Result<Option<Serial>, FollowError> {
        let newest = |listing: &Listing| listing.projects.iter().filter_map(|project| project.serial).max();
        let Some(found) = newest(listing) else { return Ok(None) };
        let said = listing.last_serial.unwrap_or(found);
        let most = self.journal.most_plausible();
        if self.no_calls().is_some() {
            let leapt = said > most;
            if leapt && self.doubt_leap(said, most).since.elapsed() < self.settings.leap_pause {
                return Err(self.leap(said, most));
            }
            self.believe(said, leapt).await?;
        }
        let most = self.journal.most_plausible();
        let mut unbelieved = u64::from(listing.last_serial.take_if(|own| *own > most).is_some());
        for project in &mut listing.projects {
            unbelieved += u64::from(project.serial.take_if(|serial| *serial > most).is_some());
        }
        if unbelieved > 0 {
            tracing::warn!(unbelieved, %most, "serials in upstream's listing are beyond what is plausible");
            metrics::counter!(metric::FOLLOW_UNBELIEVED_TOTAL, "what" => "listed").increment(unbelieved);
        }
        Ok(newest(listing).map(|newest| listing.last_serial.map_or(newest, |own| own.max(newest))))
    }

    /// Leaves out the rows beyond upstream's last serial: `last` if that was asked for a moment ago, else, and if there are
    /// rows beyond it, what upstream says now. Tells what is to be reported once the others are kept.
    pub(super) async fn believe_rows(
        &self,
        slice: &mut ChangelogPart,
        last: Option<Serial>,
    ) -> Result<Option<FollowError>, FollowError> {
        let believed = last.max(self.journal.upstream_serial());
        if slice.last <= believed {
            return Ok(None);
        }
        let (now, doubt) = match self.named_last_serial().await {
            Ok(last) => (last, None),
            Err(FollowError::Leap { said, most, retry }) => {
                (most, Some(FollowError::Leap { said, most, retry }))
            }
            Err(error) => return Err(error),
        };
        let believed = Some(now).max(believed).unwrap_or(now);
        let skipped = slice.cut(believed);
        if skipped > 0 {
            tracing::warn!(skipped, last = %believed, "upstream's changelog has rows beyond its last serial; skipped");
            let skipped = u64::try_from(skipped).unwrap_or(u64::MAX);
            metrics::counter!(metric::FOLLOW_UNBELIEVED_TOTAL, "what" => "row").increment(skipped);
        }
        Ok(doubt)
    }

    /// What upstream's listing says of its last serial, if that can be told without reading all of it.
    pub(super) async fn listed_last_serial(&self) -> Result<Option<Serial>, FollowError> {
        let probed = self.upstream.probe(Target::Listing).await?;
        if probed.last_serial.is_some() || probed.status != 200 {
            return Ok(probed.last_serial.filter(|_| probed.status == 200));
        }
        Ok(self.upstream.listing().await?.last_serial)
    }

    /// Whether the listing says nothing against a serial beyond `most`. It is asked once in a while: it may be half an hour
    /// old, and has 40 MB where its head does not tell.
    async fn listing_agrees(&self, leap: Leap, most: Serial) -> Result<bool, FollowError> {
        if leap.listing_asked.is_some_and(|asked| asked.elapsed() < self.settings.listing_interval) {
            return Ok(false);
        }
        *self.leap_lock() = Some(Leap { listing_asked: Some(Instant::now()), ..leap });
        Ok(self.listed_last_serial().await?.is_none_or(|listed| listed > most))
    }

    fn doubt_leap(&self, said: Serial, most: Serial) -> Leap {
        let mut known = self.leap_lock();
        if known.is_none() {
            tracing::warn!(%said, %most, "upstream's last serial leaps beyond what is plausible; it is asked again");
        }
        *known.get_or_insert(Leap { since: Instant::now(), listing_asked: None })
    }

    fn leap(&self, said: Serial, most: Serial) -> FollowError {
        metrics::counter!(metric::FOLLOW_UNBELIEVED_TOTAL, "what" => "last").increment(1);
        self.status.send_modify(|status| status.unbelieved = Some(said));
        FollowError::Leap { said, most, retry: self.settings.leap_pause }
    }

    async fn believe(&self, said: Serial, leapt: bool) -> Result<(), FollowError> {
        let doubted = self.leap_lock().take().is_some();
        if doubted {
            tracing::info!(last = %said, leapt, "upstream's last serial is believed again");
            self.status.send_modify(|status| status.unbelieved = None);
        }
        let noted =
            if leapt { self.journal.restart_pace(said).await } else { self.journal.note_pace(said).await };
        Ok(noted?)
    }

    fn leap_lock(&self) -> MutexGuard<'_, Option<Leap>> {
        // Plain assignments.
        self.leap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
