//! One attempt to have one announced file.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::PrefetchSettings;
use crate::index::IndexError;
use crate::journal::{Queued, TombstoneKind};
use crate::metric;
use crate::model::{KnownVersions, version_of};
use crate::relay::{FetchError, Relay, RelayError, Source};
use crate::upstream::UpstreamError;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is here.
    Fetched,
    /// It was here already.
    There,
    /// No rule wants it any more: too old a release, too large, without a digest.
    Unwanted,
    /// It is gone: the journal says so, or a page as new as its announcement does not name it.
    Gone,
    /// The day's bytes are spent.
    Spent,
    /// It may be there later.
    Later,
}

impl Outcome {
    /// The word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::There => "there",
            Self::Unwanted => "unwanted",
            Self::Gone => "gone",
            Self::Spent => "spent",
            Self::Later => "later",
        }
    }
}

/// What is left of the day's bytes, reserved by those that are on their way.
#[derive(Debug, Default)]
pub(super) struct Budget {
    left: AtomicU64,
}

impl Budget {
    pub(super) fn set(&self, left: u64) {
        self.left.store(left, Relaxed);
    }

    fn take(&self, bytes: u64) -> bool {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

impl Relay {
    /// Tries to have it. An error is one that may pass.
    pub(super) async fn attempt(
        &self,
        queued: &Queued,
        settings: &PrefetchSettings,
        budget: &Budget,
    ) -> Result<Outcome, RelayError> {
        let wanted = &queued.file;
        let stone = self.journal.tombstone_named(&wanted.project, &wanted.filename).await?;
        if stone.is_some_and(|stone| stone.kind != TombstoneKind::Absent) {
            return Ok(Outcome::Gone);
        }
        let file = match self.index.file_by_name(&wanted.filename, &wanted.project).await {
            Ok(found) => found.file,
            Err(IndexError::NoSuchFile) => return self.unnamed(queued).await,
            Err(error) => return Err(error.into()),
        };
        if !self.still_wanted(queued, settings).await? || file.digest.is_none() {
            return Ok(Outcome::Unwanted);
        }
        let size = file.size.unwrap_or(0);
        if size > settings.largest || size > settings.bytes_a_day {
            return Ok(Outcome::Unwanted);
        }
        if self.is_kept(&file).await {
            return Ok(Outcome::There);
        }
        if !budget.take(size) {
            return Ok(Outcome::Spent);
        }
        let fetched = self.fetch(file.clone()).await?;
        self.journal.prefetch_queue().spend(fetched.bytes).await?;
        metrics::counter!(metric::PREFETCH_BYTES_TOTAL).increment(fetched.bytes);
        if fetched.source == Source::Hit {
            return Ok(Outcome::There);
        }
        // It was passed through if there was no room: there may be some later.
        Ok(if self.is_kept(&file).await { Outcome::Fetched } else { Outcome::Later })
    }

    /// Upstream's page does not name it: because it is older than the announcement, or because the file went since.
    async fn unnamed(&self, queued: &Queued) -> Result<Outcome, RelayError> {
        let page = match self.index.page(&queued.file.project).await {
            Ok(page) => page,
            Err(IndexError::NoSuchProject) => return Ok(Outcome::Later),
            Err(error) => return Err(error.into()),
        };
        let newer = page.last_serial.is_some_and(|serial| serial >= queued.file.serial);
        // It may have come between that look and this one.
        let named = page.files.iter().any(|file| file.filename == queued.file.filename);
        Ok(if newer && !named { Outcome::Gone } else { Outcome::Later })
    }

    async fn still_wanted(&self, queued: &Queued, settings: &PrefetchSettings) -> Result<bool, RelayError> {
        let wanted = &queued.file;
        let page = self.index.page(&wanted.project).await?;
        let none = KnownVersions::default();
        let told = |file: &crate::index::PageFile| version_of(&file.filename, &wanted.project, &none);
        let versions = page.versions.clone();
        let versions = versions.unwrap_or_else(|| page.files.iter().filter_map(told).collect());
        let version = wanted.version.as_deref();
        Ok(settings.rules.want_release(&wanted.project, &wanted.filename, version, &versions))
    }

    /// Gives a file up. If upstream says that it has none, clients hear so at once for a while.
    pub(super) async fn give_up(&self, queued: &Queued, failure: Option<&RelayError>) {
        let wanted = &queued.file;
        let absent =
            matches!(failure, Some(RelayError::Fetch(FetchError::Upstream(UpstreamError::Absent(_)))));
        if absent && let Ok(found) = self.index.file_by_name(&wanted.filename, &wanted.project).await {
            let reason =
                format!("upstream never had {} in {} attempts", wanted.filename, queued.attempts + 1);
            let lifetime = self.resources.settings.gone_max_age;
            self.index.note_absent(&found.file.path, &found.file.project, reason, lifetime).await;
        }
    }
}
