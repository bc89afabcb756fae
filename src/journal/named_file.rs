//! A file as a document names it, and as the journal tells it.

use std::sync::Arc;

use crate::model::{Digest, FilePath, ProjectName, Sha256};

/// A package file, or its `.metadata` sibling, as upstream's index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// Its path below `/packages/`.
    pub path: FilePath,
    /// Its absolute address upstream.
    pub url: Arc<str>,
    /// The digest that decides whether its bytes are right: the strongest that is stated.
    pub digest: Option<Digest>,
    /// Its SHA-256, which it is kept under: stated, or known since it was fetched.
    pub sha256: Option<Sha256>,
    /// Its length in bytes, if stated.
    pub size: Option<u64>,
    /// The project whose document names it.
    pub project: ProjectName,
}

/// The files that a document names, one after another: all at once, those of the largest pages take a hundred megabytes.
pub trait NamedFiles: Send + 'static {
    /// Gives each to `take`, in an order that is the same for the same document.
    fn each(&self, take: &mut dyn FnMut(KnownFile));
}

impl NamedFiles for Vec<KnownFile> {
    fn each(&self, take: &mut dyn FnMut(KnownFile)) {
        self.iter().cloned().for_each(take);
    }
}
