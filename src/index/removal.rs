//! What the journal's removals do to pages and files (docs/promises.md, promise 10).

use std::time::Duration;

use tokio::sync::watch;

use super::{Doomed, Index, IndexError, KnownFile, PrefetchQueue, Tombstone};
use crate::model::{Digest, FilePath, ProjectName, Serial, Sha256};

impl Index {
    /// Why the file at a path is not to be had, if that is known. Asks no upstream, and of files that are asked for
    /// often not even the journal until something is removed.
    pub async fn tombstone(&self, path: &FilePath) -> Result<Option<Tombstone>, IndexError> {
        // Read first: what is removed meanwhile is looked for again the next time.
        let removals = *self.inner.removals.borrow();
        if self.inner.untombed.get(path) == Some(removals) {
            return Ok(None);
        }
        let found = self.inner.shared.journal.tombstone(path).await?;
        if found.is_none() {
            self.inner.untombed.insert(path.clone(), removals);
        }
        Ok(found)
    }

    /// The same of a project's file, by its name alone.
    pub async fn tombstone_named(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Tombstone>, IndexError> {
        Ok(self.inner.shared.journal.tombstone_named(project, filename).await?)
    }

    /// Remembers that upstream lacks a file that its index names. On a full disk it is not remembered. Metadata is not advertised
    /// again meanwhile.
    pub async fn note_absent(
        &self,
        path: &FilePath,
        project: &ProjectName,
        reason: String,
        lifetime: Duration,
    ) {
        self.inner.shared.note_absent(path, project, reason, lifetime).await;
    }

    /// Digests whose kept bytes have to go, in their order, those after `after`.
    pub async fn doomed(&self, after: Option<Sha256>, most: usize) -> Result<Vec<Doomed>, IndexError> {
        Ok(self.inner.shared.journal.doomed(after, most).await?)
    }

    /// Their bytes are gone.
    pub async fn discarded(&self, gone: Vec<Sha256>) -> Result<(), IndexError> {
        Ok(self.inner.shared.journal.discarded(gone).await?)
    }

    /// Changes when something was removed.
    pub fn watch_removals(&self) -> watch::Receiver<u64> {
        self.inner.shared.journal.watch_removals()
    }

    /// The queue of files that are to be fetched in advance.
    pub fn prefetch_queue(&self) -> PrefetchQueue {
        self.inner.shared.journal.prefetch_queue()
    }

    /// Follows the journal's last serial.
    pub fn watch_last_serial(&self) -> watch::Receiver<Option<Serial>> {
        self.inner.shared.journal.watch_last_serial()
    }

    /// A file with this digest that a kept document names.
    pub async fn file_with(&self, sha256: Sha256) -> Result<Option<KnownFile>, IndexError> {
        Ok(self.inner.shared.journal.file_with(sha256).await?)
    }
}

impl Index {
    /// The SHA-256 of the file that the index states by another digest, if it was fetched once.
    pub async fn content_of(&self, digest: &Digest) -> Result<Option<Sha256>, IndexError> {
        Ok(self.inner.shared.journal.content_of(digest).await?)
    }

    /// Remembers it. On a full disk it is not remembered, and the file is fetched again after a restart.
    pub async fn note_content(&self, digest: &Digest, sha256: Sha256) {
        if let Err(error) = self.inner.shared.journal.note_content(digest, sha256).await {
            tracing::error!(%digest, %error, "what a digest stands for cannot be remembered");
        }
    }
}
