//! What the index keeps: a page or a document, as one thing to fetch, read and keep.

use std::collections::HashSet;
use std::sync::Arc;

use url::Url;

use super::IndexError;
use super::json::JsonDocument;
use super::source::{Documents, Kept, Shelf};
use crate::journal::{DocumentKey, JournalError, KeptDocument, KnownFile};
use crate::model::{FilePath, ProjectName, Serial};
use crate::revalidate::Engine;
use crate::upstream::{CoreMetadata, Document, ProjectPage, Skipped};

/// A document's meaning.
pub(super) trait Content: Sized + Send + Sync + 'static {
    /// What its source needs of the other kind: documents fall back to pages, and go with them.
    type Beside: Send + Sync + 'static;

    /// Bytes that it takes in memory; for the cache's bound.
    fn weight(&self) -> usize;

    /// Reads the bytes, to at most `most` of memory. The error says what is wrong, and has none of them.
    fn read(project: &ProjectName, document: &KeptDocument, most: usize) -> Result<Self, String>;

    /// The serial that the document itself states.
    fn last_serial(&self) -> Option<Serial>;

    /// The files that may be fetched because the document names them.
    fn files(&self, project: &ProjectName) -> Vec<KnownFile>;

    /// What upstream's other documents tell in place of one that it has not; `None` if they do not either.
    fn derived(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<Option<Document>, IndexError>> + Send;

    /// What upstream sent with what it lacks added; `None` if it lacks nothing. `header`: the serial that was sent with it.
    fn completed(
        documents: &Documents<Self>,
        key: &DocumentKey,
        sent: &Self,
        header: Option<Serial>,
    ) -> impl Future<Output = Result<Option<Document>, IndexError>> + Send;

    /// The project's page, if there is one here, for what is no page itself.
    fn page_beside(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Option<Kept<ProjectPage>>> + Send;

    /// Forgets what upstream does not have (any more).
    fn forget(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Itself, if it is a document of the JSON API.
    fn json(&self) -> Option<&JsonDocument>;

    /// It says that the project is quarantined (PEP 792).
    fn is_quarantined(&self) -> bool;

    /// What of it could not be used.
    fn skipped(&self) -> &Skipped;

    /// Says of these files that they have no metadata of their own.
    fn leave_out_metadata(&mut self, of: &HashSet<FilePath>);
}

impl Content for ProjectPage {
    /// The documents in memory.
    type Beside = Shelf<JsonDocument>;

    fn weight(&self) -> usize {
        Self::weight(self)
    }

    fn read(project: &ProjectName, document: &KeptDocument, most: usize) -> Result<Self, String> {
        Self::read(project, &document.content_type, &document.body, &url(document)?, most)
    }

    fn last_serial(&self) -> Option<Serial> {
        self.last_serial
    }

    fn files(&self, project: &ProjectName) -> Vec<KnownFile> {
        self.files.iter().flat_map(|file| file.known(project).chain(file.known_before(project))).collect()
    }

    async fn derived(_: &Documents<Self>, _: &DocumentKey) -> Result<Option<Document>, IndexError> {
        Ok(None)
    }

    async fn completed(
        _: &Documents<Self>,
        _: &DocumentKey,
        _: &Self,
        _: Option<Serial>,
    ) -> Result<Option<Document>, IndexError> {
        Ok(None)
    }

    async fn page_beside(_: &Documents<Self>, _: &DocumentKey) -> Option<Kept<ProjectPage>> {
        None
    }

    async fn forget(pages: &Documents<Self>, key: &DocumentKey) -> Result<(), JournalError> {
        pages.beside.forget(&DocumentKey::Json(key.project().clone(), None));
        pages.shared.journal.drop_project(key.project()).await
    }

    fn json(&self) -> Option<&JsonDocument> {
        None
    }

    fn is_quarantined(&self) -> bool {
        Self::is_quarantined(self)
    }

    fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    fn leave_out_metadata(&mut self, of: &HashSet<FilePath>) {
        let named = self.files.iter_mut().filter(|file| of.contains(&file.path));
        named.for_each(|file| file.core_metadata = CoreMetadata::No);
    }
}

impl Content for JsonDocument {
    type Beside = Engine<Documents<ProjectPage>>;

    fn weight(&self) -> usize {
        Self::weight(self)
    }

    fn read(project: &ProjectName, document: &KeptDocument, most: usize) -> Result<Self, String> {
        Self::parse(project, &document.body, url(document)?, most)
    }

    fn last_serial(&self) -> Option<Serial> {
        self.last_serial
    }

    fn files(&self, project: &ProjectName) -> Vec<KnownFile> {
        debug_assert_eq!(*project, self.project);
        self.known().collect()
    }

    async fn derived(documents: &Documents<Self>, key: &DocumentKey) -> Result<Option<Document>, IndexError> {
        match key {
            DocumentKey::Json(project, version) => documents.made(project, version.as_deref()).await,
            DocumentKey::Page(_) => Ok(None),
        }
    }

    async fn completed(
        documents: &Documents<Self>,
        key: &DocumentKey,
        sent: &Self,
        header: Option<Serial>,
    ) -> Result<Option<Document>, IndexError> {
        match key {
            DocumentKey::Json(project, version) => {
                documents.with_releases(project, version.as_deref(), sent, header).await
            }
            DocumentKey::Page(_) => Ok(None),
        }
    }

    async fn page_beside(documents: &Documents<Self>, key: &DocumentKey) -> Option<Kept<ProjectPage>> {
        let page = DocumentKey::Page(key.project().clone());
        match documents.beside.in_memory(&page) {
            Some(kept) => Some(kept),
            None => documents.shared.load::<ProjectPage>(&page).await.ok().flatten().map(Arc::new),
        }
    }

    async fn forget(documents: &Documents<Self>, key: &DocumentKey) -> Result<(), JournalError> {
        let journal = &documents.shared.journal;
        let forgotten = journal.forget_document(key).await;
        match key {
            DocumentKey::Json(project, None) => forgotten.and(journal.unlearn(project).await),
            DocumentKey::Json(_, Some(_)) | DocumentKey::Page(_) => forgotten,
        }
    }

    fn json(&self) -> Option<&JsonDocument> {
        Some(self)
    }

    /// Only pages say it.
    fn is_quarantined(&self) -> bool {
        false
    }

    fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    fn leave_out_metadata(&mut self, of: &HashSet<FilePath>) {
        Self::leave_out_metadata(self, of);
    }
}

fn url(document: &KeptDocument) -> Result<Url, String> {
    Url::parse(&document.url).map_err(|_| "a page without an address".to_owned())
}
