//! What the index keeps: a page or a document, as one thing to fetch, read and keep.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use url::Url;

use super::IndexError;
use super::facade::Inner;
use super::json::JsonDocument;
use crate::journal::{DocumentKey, KeptDocument, KnownFile};
use crate::model::{FilePath, ProjectName, Serial};
use crate::upstream::{CoreMetadata, Document, ProjectPage, Skipped};

/// A document's meaning.
pub(super) trait Content: Sized + Send + Sync + 'static {
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
        inner: &Arc<Inner>,
        key: &DocumentKey,
    ) -> BoxFuture<'static, Result<Option<Document>, IndexError>>;

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

    fn derived(
        _inner: &Arc<Inner>,
        _key: &DocumentKey,
    ) -> BoxFuture<'static, Result<Option<Document>, IndexError>> {
        async { Ok(None) }.boxed()
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

    fn derived(
        inner: &Arc<Inner>,
        key: &DocumentKey,
    ) -> BoxFuture<'static, Result<Option<Document>, IndexError>> {
        match key {
            DocumentKey::Json(project, version) => {
                inner.clone().derived(project.clone(), version.clone()).boxed()
            }
            DocumentKey::Page(_) => async { Ok(None) }.boxed(),
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
