//! What the journal's removals do to pages and files (docs/promises.md, promise 10).

use std::time::Duration;

use super::{Index, IndexError, Tombstone};
use crate::journal::DocumentKey;
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

    /// Has a project's page asked for again when it is next needed, whatever is kept of it. If upstream fails then, what is kept
    /// goes out as stale.
    pub async fn doubt_page(&self, name: &ProjectName) -> Result<(), IndexError> {
        let key = DocumentKey::Page(name.clone());
        let age = self.inner.shared.settings.page_max_age;
        self.doubt(&key, age).await?;
        self.inner.pages.forget(&key);
        Ok(())
    }

    /// The same of its JSON document, or of a release's.
    pub async fn doubt_json(&self, name: &ProjectName, version: Option<&str>) -> Result<(), IndexError> {
        let key = DocumentKey::Json(name.clone(), version.map(str::to_owned));
        let age = self.inner.shared.settings.json_max_age;
        self.doubt(&key, age).await?;
        self.inner.documents.forget(&key);
        Ok(())
    }

    async fn doubt(&self, key: &DocumentKey, max_age: Duration) -> Result<(), IndexError> {
        let age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        let checked = self.inner.shared.now().saturating_sub(age);
        Ok(self.inner.shared.journal.touch_document(key, checked).await?)
    }
}
