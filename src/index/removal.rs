//! What the journal's removals do to pages and files (docs/promises.md, promise 10).

use std::time::Duration;

use super::{Index, IndexError, Tombstone};
use crate::model::{FilePath, ProjectName};

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
}
