//! What pages and documents do for each other: a document falls back to the page, and goes with it.

use std::sync::Arc;

use super::source::{DocumentMemory, Documents, Kept, Paired};
use super::{IndexError, JsonDocument};
use crate::journal::{DocumentKey, JournalError};
use crate::model::Serial;
use crate::revalidate::Engine;
use crate::upstream::{Document, ProjectPage};

impl Paired for ProjectPage {
    /// The documents in memory.
    type UnlockedJournal = DocumentMemory<JsonDocument>;

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
}

impl Paired for JsonDocument {
    type UnlockedJournal = Engine<Documents<ProjectPage>>;

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
}
