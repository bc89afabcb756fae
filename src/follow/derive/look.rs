//! A look at a changed project's page.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use url::Url;

use super::super::FollowError;
use super::super::follower::Follower;
use super::change::{Change, changes, removed, unseen};
use super::sighting::Sighting;
use crate::journal::{Difference, DocumentKey};
use crate::metric;
use crate::model::{ProjectName, Serial};
use crate::upstream::{Document, Fetched, ProjectPage, UpstreamError};

/// What a project's page told.
pub(super) struct Looked {
    pub(super) job: Difference,
    /// The serial that upstream gives the last of the changes, if it tells.
    pub(super) stated: Option<Serial>,
    pub(super) changes: Vec<Change>,
    pub(super) outcome: Outcome,
    /// No serial told that there is something to see.
    pub(super) by_content: bool,
}

impl Looked {
    /// It is listed, and nothing else is known.
    pub(super) fn nothing(job: Difference) -> Self {
        Self { stated: job.serial, job, changes: Vec::new(), outcome: Outcome::Unseen, by_content: false }
    }
}

pub(super) enum Outcome {
    /// It was seen, and looked so.
    Seen(Vec<u8>),
    /// The same, and it says that the project is in quarantine.
    Quarantined(Option<Vec<u8>>),
    /// It could not be seen, or tells nothing.
    Unseen,
    /// The project is no more.
    Gone,
}

pub(super) enum PageLook {
    Sighting(Sighting),
    Absent,
    /// It is there, and nothing can be learnt from it.
    Useless,
}

impl Follower {
    /// What happened to a project, as of a listing made at `now`.
    pub(super) async fn look(&self, job: Difference, now: i64) -> Result<Looked, FollowError> {
        let page = self.page(&job.name, job.serial, None).await?;
        let stated = job.serial;
        let looked =
            |job, stated, changes, outcome| Ok(Looked { job, stated, changes, outcome, by_content: false });
        let mut after = match (page, job.listed) {
            (PageLook::Sighting(after), true) => after,
            (PageLook::Sighting(after), false) if after.quarantined => after,
            (PageLook::Absent, false) => return looked(job, None, vec![removed(now)], Outcome::Gone),
            // Listed, but not to be seen: a row says that there is something to look at.
            (PageLook::Absent | PageLook::Useless, true) => {
                return looked(job, stated, vec![unseen(now)], Outcome::Unseen);
            }
            (PageLook::Sighting(_) | PageLook::Useless, false) => {
                return looked(job, stated, vec![], Outcome::Unseen);
            }
        };
        if stated.is_none() && job.listed {
            // Serials say nothing.
            after.serial = None;
        } else if after.serial > stated && job.listed && !after.quarantined {
            // What was uploaded since the listing comes with the next one, and with the serials that upstream gave it.
            // Told now it would take those of others, or find no room and go above all of upstream's.
            after = Sighting { serial: stated, ..after.at(now) };
        }
        let seen = if job.known { self.seen(&job.name).await? } else { None };
        let is_known = seen.is_some();
        let before = match seen {
            None if job.known => Some(self.guessed(&job.name, &after).await?),
            seen => seen,
        };
        let before =
            before.map(|before| Sighting { quarantined: before.quarantined || job.quarantined, ..before });
        let mut changes = changes(before.as_ref(), &after, now);
        if changes.is_empty() {
            if !job.listed {
                return looked(job, stated, vec![], Outcome::Unseen);
            }
            changes.push(unseen(now));
        }
        if let Some(before) = before.filter(|_| after.quarantined) {
            (after.files, after.versions) = (before.files, before.versions);
        }
        let stated = stated.or(after.serial);
        after.serial = after.serial.max(stated);
        // Texts and numbers are never refused.
        let outcome = match serde_json::to_vec(&after) {
            // Of files that nobody saw before they vanish, upload times tell once they are back.
            Ok(sighting) if after.quarantined => Outcome::Quarantined(is_known.then_some(sighting)),
            Ok(sighting) => Outcome::Seen(sighting),
            Err(_) => Outcome::Unseen,
        };
        looked(job, stated, changes, outcome)
    }

    /// How the page looked before its project changed, as far as is known.
    pub(super) async fn before(&self, name: &ProjectName, after: &Sighting) -> Result<Sighting, FollowError> {
        match self.seen(name).await? {
            Some(seen) => Ok(seen),
            None => self.guessed(name, after).await,
        }
    }

    /// How the page looked before its project changed, if anybody saw it.
    async fn seen(&self, name: &ProjectName) -> Result<Option<Sighting>, FollowError> {
        let kept = self.journal.sighting(name).await?;
        if let Some(sighting) = kept.and_then(|kept| serde_json::from_slice::<Sighting>(&kept).ok()) {
            return Ok(Some(sighting));
        }
        let serial = self.journal.project(name).await?.and_then(|project| project.serial);
        let kept = self.journal.document(&DocumentKey::Page(name.clone())).await?;
        // A page that a client asked for is of use if it is exactly as new as the project was.
        let kept = kept.filter(|page| serial.is_some() && page.last_serial == serial);
        if let Some(kept) = kept
            && let Some(sighting) =
                read(name, kept.content_type, kept.body, &kept.url, self.upstream.document_memory()).await
        {
            return Ok(Some(sighting));
        }
        Ok(None)
    }

    /// How it must have looked, by the upload times on the page `after`.
    async fn guessed(&self, name: &ProjectName, after: &Sighting) -> Result<Sighting, FollowError> {
        let moment = match self.journal.last_event_time(name).await? {
            Some(time) => Some(time),
            None => self.journal.listed_at().await?,
        };
        Ok(moment.map_or_else(|| after.clone(), |moment| after.at(moment)))
    }

    /// The page, at least as new as `expected` if that can be had, and no newer than `last`: such a copy is from before
    /// upstream was restored.
    pub(super) async fn page(
        &self,
        name: &ProjectName,
        expected: Option<Serial>,
        last: Option<Serial>,
    ) -> Result<PageLook, FollowError> {
        let mut pause = self.settings.shortest_wait;
        for attempt in 1.. {
            let document = match self.upstream.project_page(name, None).await {
                Ok(Fetched::Fresh(document)) => document,
                Err(UpstreamError::Absent(_)) => return Ok(PageLook::Absent),
                Ok(Fetched::NotModified) => return Ok(PageLook::Useless),
                Err(error) => return self.doubt(name, error).await,
            };
            let serial = document.last_serial;
            let Some(sighting) = read_page(name, document, self.upstream.document_memory()).await else {
                return Ok(PageLook::Useless);
            };
            let serial = serial.max(sighting.serial);
            let from_before = last.is_some_and(|last| serial > Some(last));
            if (serial >= expected && !from_before) || attempt >= self.settings.page_attempts {
                if from_before {
                    return Ok(PageLook::Useless);
                }
                if serial < expected {
                    metrics::counter!(metric::FOLLOW_OLD_PAGES_TOTAL).increment(1);
                    tracing::warn!(project = %name, ?expected, ?serial, "a page stays older than its listing");
                }
                return Ok(PageLook::Sighting(Sighting { serial, ..sighting }));
            }
            sleep(pause).await;
            pause = Duration::min(pause * 2, self.settings.longest_wait);
        }
        Ok(PageLook::Useless)
    }

    /// Upstream wants to be asked for this page, and for this one alone, so late that the others cannot wait for it.
    pub(super) fn rests_long(&self, name: &ProjectName, retry: Duration) -> bool {
        retry > self.settings.longest_wait && self.upstream.page_rests_alone(name)
    }

    /// A page that failed: an outage ends the comparison, which comes again; a page that fails each time does not
    /// hold up the others for ever.
    async fn doubt(&self, name: &ProjectName, error: UpstreamError) -> Result<PageLook, FollowError> {
        if let UpstreamError::Limited { retry } = error {
            // It says nothing of this page.
            if !self.rests_long(name, retry) {
                return Err(error.into());
            }
        } else if error.retry_after().is_some() {
            let mut doubts = self.doubts.lock().await;
            let failures = doubts.entry(name.clone()).or_insert(0_usize);
            *failures += 1;
            if *failures < self.settings.page_attempts {
                return Err(error.into());
            }
        }
        tracing::warn!(project = %name, %error, "a changed project's page cannot be had; its event says only that");
        Ok(PageLook::Useless)
    }
}

/// Reads what upstream sent.
pub(super) async fn read_page(name: &ProjectName, document: Document, most: usize) -> Option<Sighting> {
    read(name, document.content_type, document.body, document.url.as_str(), most).await
}

/// Reads a page off the reactor: the largest take half a second.
pub(super) async fn read(
    name: &ProjectName,
    content_type: String,
    body: Bytes,
    url: &str,
    most: usize,
) -> Option<Sighting> {
    let (name, url) = (name.clone(), Url::parse(url).ok()?);
    let read = move || {
        ProjectPage::read(&name, &content_type, &body, &url, most)
            .inspect_err(|error| tracing::warn!(project = %name, %error, "a page that cannot be read"))
            .map(|page| Sighting::of(&page))
            .ok()
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}
