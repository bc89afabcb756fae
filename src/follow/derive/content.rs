//! Changes that no serial tells: each page is compared with how it looked before.
//!
//! Each comparison asks for each page, by its validators where it has any, so an unchanged one mostly costs a 304. The first
//! look is what later ones are compared with, or what a client got through us before. A page that cannot be had says
//! nothing, and keeps "nothing happened" from being said until it was tried a few times; then the others go on without. A
//! page that is not there although it is listed is taken for empty when it is so twice.

use super::super::FollowError;
use super::super::follower::Follower;
use super::change::{changes, unseen};
use super::look::{Looked, Outcome, read_page};
use super::sighting::Sighting;
use crate::journal::{Difference, DocumentKey};
use crate::model::{ProjectName, Serial};
use crate::upstream::{Fetched, UpstreamError, Validators};

/// What a page's content told.
pub(super) enum Seen {
    /// It is as it was.
    Same,
    /// What changed, or how it looks for the first time.
    Looked(Looked),
    /// It could not be had.
    Failed(UpstreamError),
}

impl Follower {
    /// What a listed project's page tells, as of a listing made at `now`. `newest`: a page that states a higher serial is
    /// newer than the listing, and left for the next one; `None` if serials say nothing.
    pub(super) async fn look_at_content(
        &self,
        job: Difference,
        now: i64,
        newest: Option<Serial>,
    ) -> Result<Seen, FollowError> {
        // It was removed since it was listed.
        if self.journal.registered(&job.name).await?.is_none() {
            return Ok(Seen::Same);
        }
        let kept = self.journal.sighting(&job.name).await?;
        let kept = kept.and_then(|kept| serde_json::from_slice::<Sighting>(&kept).ok());
        let known = kept.as_ref().map_or_else(Validators::default, |kept| kept.validators.clone());
        let fetched = self.upstream.project_page_unless(&job.name, &known).await;
        let after = match fetched {
            Ok(Fetched::NotModified) => return Ok(Seen::Same),
            Err(UpstreamError::Absent(_)) => match &kept {
                Some(kept) if kept.missing => Sighting { missing: true, ..Sighting::default() },
                // Once is a cache's mistake, or a page that is being written.
                Some(kept) => {
                    let seen = Sighting { missing: true, validators: Validators::default(), ..kept.clone() };
                    return Ok(Seen::Looked(kept_only(job, &seen)));
                }
                None => return Ok(Seen::Same),
            },
            Err(error) => return self.cannot_see(&job.name, error).await,
            Ok(Fetched::Fresh(document)) => {
                let (stated, validators) = (document.last_serial, (*document.validators).clone());
                let Some(seen) = read_page(&job.name, document, self.upstream.document_memory()).await else {
                    return Ok(Seen::Same);
                };
                if newest.is_some_and(|newest| stated.max(seen.serial) > Some(newest)) {
                    return Ok(Seen::Same);
                }
                Sighting { serial: None, validators, ..seen }
            }
        };
        let first = kept.is_none();
        let before = match kept {
            Some(kept) => kept,
            None => self.given_out(&job.name).await?.unwrap_or_else(|| after.clone()),
        };
        let before = Sighting { quarantined: before.quarantined || job.quarantined, ..before };
        let mut told = changes(Some(&before), &after, now);
        if told.is_empty() && before.rest.is_some() && after.rest.is_some() && before.rest != after.rest {
            told.push(unseen(now));
        }
        if told.is_empty() && !first && after == before {
            return Ok(Seen::Same);
        }
        let mut seen = after;
        if seen.quarantined {
            (seen.files, seen.versions) = (before.files, before.versions);
        }
        let looked = kept_only(job, &seen);
        Ok(Seen::Looked(Looked { changes: told, ..looked }))
    }

    /// The page as a client got it, if it has been given out since the project's last event.
    async fn given_out(&self, name: &ProjectName) -> Result<Option<Sighting>, FollowError> {
        let serial = self.journal.registered(name).await?.and_then(|project| project.serial);
        let kept = self.journal.document(&DocumentKey::Page(name.clone())).await?;
        let Some(kept) = kept.filter(|kept| kept.last_serial == serial) else { return Ok(None) };
        let most = self.upstream.document_memory();
        let seen = super::look::read(name, kept.content_type, kept.body, &kept.url, most).await;
        Ok(seen.map(|seen| Sighting { serial: None, ..seen }))
    }

    /// A page that failed. It is an error a few times; then it does not hold up the others.
    async fn cannot_see(&self, name: &ProjectName, error: UpstreamError) -> Result<Seen, FollowError> {
        let error = match error {
            UpstreamError::Limited { retry } if self.rests_long(name, retry) => {
                // The others are looked at again before its time.
                UpstreamError::Limited { retry: self.settings.shortest_wait }
            }
            UpstreamError::Limited { .. } => return Err(error.into()),
            error => error,
        };
        let mut doubts = self.doubts.lock().await;
        let failures = doubts.entry(name.clone()).or_insert(0_usize);
        *failures += 1;
        if error.retry_after().is_some() && *failures < self.settings.page_attempts {
            return Ok(Seen::Failed(error));
        }
        tracing::warn!(project = %name, %error, "a page cannot be had; its changes are told once it can");
        Ok(Seen::Same)
    }
}

/// How the page looks now, and nothing more.
fn kept_only(job: Difference, seen: &Sighting) -> Looked {
    // Texts and numbers are never refused.
    let outcome = match serde_json::to_vec(seen) {
        Ok(sighting) if seen.quarantined => Outcome::Quarantined(Some(sighting)),
        Ok(sighting) => Outcome::Seen(sighting),
        Err(_) => Outcome::Unseen,
    };
    Looked { stated: job.serial, job, changes: Vec::new(), outcome, by_content: true }
}
