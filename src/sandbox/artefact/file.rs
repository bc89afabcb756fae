//! A package file with all that pages tell of it.

use std::io;

use bytes::Bytes;

use crate::model::{FileKind, FilePath, Sha256, wheel_tag};

use super::recipe::Recipe;
use super::{Content, Digests, digests, sdist, wheel};

/// A package file.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub filename: String,
    /// Below `/packages/`.
    pub path: FilePath,
    /// Its kind.
    pub kind: FileKind,
    /// `python_version` of the JSON API and the tag of `add TAG file`: `source`, `py3` …
    pub tag: String,
    /// Its bytes.
    pub content: Content,
    /// Its digests.
    pub digests: Digests,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// A wheel's `METADATA`, served beside it (PEP 658).
    pub metadata: Option<Bytes>,
    /// Index pages name a provenance document (PEP 740).
    pub provenance: bool,
    /// `comment_text`.
    pub comment: String,
}

impl File {
    /// Makes the file that `form` names: `sdist`, or a wheel's tags as `py3-none-any`.
    pub(crate) fn make(recipe: &Recipe<'_>, form: &str) -> io::Result<Self> {
        let (filename, (content, digests), metadata) = if form == "sdist" {
            (sdist::filename(recipe), sdist::pack(recipe)?, None)
        } else {
            let metadata = Bytes::from(recipe.metadata());
            (wheel::filename(recipe, form), wheel::pack(recipe, form), Some(metadata))
        };
        let kind = FileKind::of(&filename).map_err(io::Error::other)?;
        let path = FilePath::parse(&digests.path(&filename)).map_err(io::Error::other)?;
        let tag = wheel_tag(&filename).unwrap_or("source").to_owned();
        let requires_python = recipe.info.requires_python.clone().filter(|text| !text.is_empty());
        Ok(Self {
            filename,
            path,
            kind,
            tag,
            content,
            digests,
            requires_python,
            metadata,
            provenance: false,
            comment: String::new(),
        })
    }

    /// The SHA-256 of its `METADATA`.
    pub fn metadata_sha256(&self) -> Option<Sha256> {
        self.metadata.as_deref().map(digests::sha256)
    }
}
