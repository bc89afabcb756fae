//! What files are kept under whose index states another digest than SHA-256: known once they were fetched.

use crate::bounded::{Bounded, by_count};
use crate::journal::Journal;
use crate::model::{Digest, Sha256};

/// Digests that are remembered in memory, each with some 200 bytes; those of all files that were fetched are in the journal.
const REMEMBERED: u64 = 10_000;

/// In memory, and in the journal behind it.
#[derive(Debug)]
pub(super) struct Contents {
    known: Bounded<Digest, Sha256>,
    /// `None`: only in memory.
    journal: Option<Journal>,
}

impl Contents {
    pub(super) fn new(journal: Option<Journal>) -> Self {
        Self { known: by_count(REMEMBERED), journal }
    }

    /// The SHA-256 of the file with that digest.
    pub(super) async fn of(&self, digest: &Digest) -> Option<Sha256> {
        if let Some(sha256) = digest.sha256().or_else(|| self.known.get(digest)) {
            return Some(sha256);
        }
        let found = self.journal.as_ref()?.content_of(digest).await;
        let found = found.unwrap_or_else(|error| {
            tracing::error!(%digest, %error, "what a digest stands for cannot be looked up: its file is fetched again");
            None
        })?;
        self.known.insert(*digest, found);
        Some(found)
    }

    /// A file with that digest has come.
    pub(super) fn learn(&self, digest: &Digest, sha256: Sha256) {
        if digest.sha256().is_none() {
            self.known.insert(*digest, sha256);
        }
    }

    /// It is kept: so it has to be found after a restart. On a full disk it is not remembered, and the file is fetched again
    /// then.
    pub(super) async fn note(&self, digest: &Digest, sha256: Sha256) {
        if let (None, Some(journal)) = (digest.sha256(), &self.journal)
            && let Err(error) = journal.note_content(digest, sha256).await
        {
            tracing::error!(%digest, %error, "what a digest stands for cannot be remembered");
        }
    }
}
