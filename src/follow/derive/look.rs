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
use crate::model::{ProjectName, Serial};
use crate::upstream::{Document, Fetched, ProjectPage, UpstreamError};

/// What a project's page told.
pub(super) struct Looked {
    pub(super) job: Difference,
    pub(super) changes: Vec<Change>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    /// It was seen, and looked so.
    Seen(Vec<u8>),
    /// It could not be seen.
    Unseen,
    /// The project is no more.
    Gone,
}

pub(super) enum Page {
    Sighting(Sighting),
    Absent,
    /// It is there, and nothing can be learnt from it.
    Useless,
}

impl Follower {
    /// What happened to a project, as of a listing made at `now`.
    pub(super) async fn look(&self, job: Difference, now: i64) -> Result<Looked, FollowError> {
        let page = self.page(&job.name, job.serial, None).await?;
        let looked = |job, changes, outcome| Ok(Looked { job, changes, outcome });
        let (mut after, listed) = match (page, job.serial) {
            (Page::Sighting(after), Some(serial)) => (after, serial),
            (Page::Absent, None) => return looked(job, vec![removed(now)], Outcome::Gone),
            // Listed, but not to be seen: a row says that there is something to look at.
            (Page::Absent | Page::Useless, Some(_)) => {
                return looked(job, vec![unseen(now)], Outcome::Unseen);
            }
            (Page::Sighting(after), None) if after.quarantined => {
                return self.quarantined(job, after, now).await;
            }
            (Page::Sighting(_) | Page::Useless, None) => return looked(job, vec![], Outcome::Unseen),
        };
        if after.serial > Some(listed) && !after.quarantined {
            // What was uploaded since the listing comes with the next one, and with the serials that upstream gave it.
            // Told now it would take those of others, or find no room and go above all of upstream's.
            after = Sighting { serial: Some(listed), ..after.at(now) };
        }
        let before = if job.known { Some(self.before(&job.name, &after).await?) } else { None };
        let mut changes = changes(before.as_ref(), &after, now);
        if changes.is_empty() {
            changes.push(unseen(now));
        }
        if let Some(before) = before.filter(|_| after.quarantined) {
            (after.files, after.versions) = (before.files, before.versions);
        }
        after.serial = after.serial.max(Some(listed));
        // Texts and numbers are never refused.
        let sighting = serde_json::to_vec(&after).map_or(Outcome::Unseen, Outcome::Seen);
        looked(job, changes, sighting)
    }

    /// A project that the listing lacks because it is in quarantine, as its page says (WIRE.md section 8). The files of
    /// the page before are kept for the comparison with the page after it.
    async fn quarantined(&self, job: Difference, after: Sighting, now: i64) -> Result<Looked, FollowError> {
        let before = self.before(&job.name, &after).await?;
        let changes = changes(Some(&before), &after, now);
        let sighting = Sighting { files: before.files, versions: before.versions, ..after };
        let outcome = serde_json::to_vec(&sighting).map_or(Outcome::Unseen, Outcome::Seen);
        Ok(Looked { job, changes, outcome })
    }

    /// How the page looked before its project changed.
    pub(super) async fn before(&self, name: &ProjectName, after: &Sighting) -> Result<Sighting, FollowError> {
        let kept = self.journal.sighting(name).await?;
        if let Some(sighting) = kept.and_then(|kept| serde_json::from_slice::<Sighting>(&kept).ok()) {
            return Ok(sighting);
        }
        let serial = self.journal.project(name).await?.and_then(|project| project.serial);
        let kept = self.journal.document(&DocumentKey::Page(name.clone())).await?;
        // A page that a client asked for is of use if it is exactly as new as the project was.
        let kept = kept.filter(|page| serial.is_some() && page.last_serial == serial);
        if let Some(kept) = kept
            && let Some(sighting) = read(name, kept.content_type, kept.body, &kept.url).await
        {
            return Ok(sighting);
        }
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
    ) -> Result<Page, FollowError> {
        let mut pause = self.settings.shortest_wait;
        for attempt in 1.. {
            let document = match self.upstream.project_page(name, None).await {
                Ok(Fetched::Fresh(document)) => document,
                Err(UpstreamError::Absent(_)) => return Ok(Page::Absent),
                Ok(Fetched::NotModified) => return Ok(Page::Useless),
                Err(error) => return self.doubt(name, error).await,
            };
            let serial = document.last_serial;
            let Some(sighting) = read_document(name, document).await else { return Ok(Page::Useless) };
            let serial = serial.max(sighting.serial);
            let from_before = last.is_some_and(|last| serial > Some(last));
            if (serial >= expected && !from_before) || attempt >= self.settings.page_attempts {
                if from_before {
                    return Ok(Page::Useless);
                }
                if serial < expected {
                    metrics::counter!("cheesewire_follow_old_pages_total").increment(1);
                    tracing::warn!(project = %name, ?expected, ?serial, "a page stays older than its listing");
                }
                return Ok(Page::Sighting(Sighting { serial, ..sighting }));
            }
            sleep(pause).await;
            pause = Duration::min(pause * 2, self.settings.longest_wait);
        }
        Ok(Page::Useless)
    }

    /// A page that failed: an outage ends the comparison, which comes again; a page that fails each time does not
    /// hold up the others for ever.
    async fn doubt(&self, name: &ProjectName, error: UpstreamError) -> Result<Page, FollowError> {
        if let UpstreamError::Limited { .. } = error {
            // Says nothing of the page.
            return Err(error.into());
        }
        if error.retry_after().is_some() {
            let mut doubts = self.doubts.lock().await;
            let failures = doubts.entry(name.clone()).or_insert(0_usize);
            *failures += 1;
            if *failures < self.settings.page_attempts {
                return Err(error.into());
            }
        }
        tracing::warn!(project = %name, %error, "a changed project's page cannot be had; its event says only that");
        Ok(Page::Useless)
    }
}

/// Reads what upstream sent.
pub(super) async fn read_document(name: &ProjectName, document: Document) -> Option<Sighting> {
    read(name, document.content_type, document.body, document.url.as_str()).await
}

/// Reads a page off the reactor: the largest take half a second.
async fn read(name: &ProjectName, content_type: String, body: Bytes, url: &str) -> Option<Sighting> {
    let (name, url) = (name.clone(), Url::parse(url).ok()?);
    let read = move || {
        ProjectPage::read(&name, &content_type, &body, &url)
            .inspect_err(|error| tracing::warn!(project = %name, %error, "a page that cannot be read"))
            .map(|page| Sighting::of(&page))
            .ok()
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}
