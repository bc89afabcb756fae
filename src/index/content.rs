//! What the index keeps: a page or a document, as one thing to read and keep.

use std::collections::HashSet;

use url::Url;

use super::json::JsonDocument;
use crate::journal::{KeptDocument, KnownFile};
use crate::model::{FilePath, ProjectName, Serial};
use crate::upstream::{CoreMetadata, ProjectPage, Skipped};

/// A document's meaning.
pub(super) trait Content: Sized + Send + Sync + 'static {
    /// Bytes that it takes in memory; for the cache's bound.
    fn weight(&self) -> usize;

    /// Reads the bytes, to at most `most` of memory. The error says what is wrong, and has none of them.
    fn read(project: &ProjectName, document: &KeptDocument, most: usize) -> Result<Self, String>;

    /// The serial that the document itself states.
    fn last_serial(&self) -> Option<Serial>;

    /// Gives each file that may be fetched because the document names it to `take`.
    fn each_file(&self, project: &ProjectName, take: &mut dyn FnMut(KnownFile));

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

    fn each_file(&self, project: &ProjectName, take: &mut dyn FnMut(KnownFile)) {
        self.files
            .iter()
            .flat_map(|file| file.known(project).chain(file.known_before(project)))
            .for_each(take);
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

    fn each_file(&self, project: &ProjectName, take: &mut dyn FnMut(KnownFile)) {
        debug_assert_eq!(*project, self.project);
        self.known().for_each(take);
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
