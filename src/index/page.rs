//! A project's simple page, whatever form upstream gave it in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::location;
use crate::journal::KnownFile;
use crate::model::{FilePath, ProjectName, Serial, Sha256};

/// A project's page.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectPage {
    /// The project.
    pub name: ProjectName,
    /// The minor of upstream's `api-version` 1.x. 0 for HTML: it lacks what PEP 700 requires of 1.1.
    pub api_minor: u32,
    /// All versions, if upstream lists them.
    pub versions: Option<Vec<String>>,
    /// The files in upstream's order.
    pub files: Vec<PageFile>,
    /// The serial that the page says it is as new as.
    pub last_serial: Option<Serial>,
    /// `project-status` (PEP 792).
    pub status: Option<ProjectStatus>,
    /// Keys beside these that upstream's JSON has.
    pub other: Map<String, Value>,
    /// The same, of its `meta`.
    pub meta: Map<String, Value>,
}

/// PEP 792.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProjectStatus {
    /// `active`, `archived`, `quarantined`, `deprecated` …
    pub status: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One file of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageFile {
    /// Its name.
    pub filename: String,
    /// Its address upstream, without fragment.
    pub url: Url,
    /// Its path below our `/packages/`.
    pub path: FilePath,
    /// Digests by algorithm, in hexadecimal digits.
    pub hashes: BTreeMap<String, String>,
    /// `requires-python`.
    pub requires_python: Option<String>,
    /// Whether its release was withdrawn.
    pub yanked: Yanked,
    /// Whether `.metadata` beside it exists.
    pub core_metadata: CoreMetadata,
    /// Bytes.
    pub size: Option<u64>,
    /// `upload-time`, as upstream writes it.
    pub upload_time: Option<String>,
    /// `gpg-sig`, if upstream says it.
    pub gpg_sig: Option<bool>,
    /// Where upstream has its provenance (PEP 740).
    pub provenance: Option<String>,
    /// Keys beside these that upstream's JSON has.
    pub other: Map<String, Value>,
}

/// PEP 592.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yanked {
    /// It is not.
    No,
    /// It is, with the reason if there is one.
    Yes(Option<String>),
}

/// PEP 658 and 714.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreMetadata {
    /// Not advertised.
    No,
    /// Advertised, with its digests; none if upstream said only that it exists.
    Yes(BTreeMap<String, String>),
}

impl PageFile {
    /// What may be fetched for this line: the file, and its metadata if advertised.
    pub(super) fn known(&self, project: &ProjectName) -> impl Iterator<Item = KnownFile> {
        let file = KnownFile {
            path: self.path.clone(),
            url: self.url.as_str().into(),
            sha256: sha256(&self.hashes),
            size: self.size,
            project: project.clone(),
        };
        let metadata = match &self.core_metadata {
            CoreMetadata::No => None,
            CoreMetadata::Yes(hashes) => metadata_path(&self.path).map(|path| KnownFile {
                path,
                url: location::metadata_url(&self.url).as_str().into(),
                sha256: sha256(hashes),
                size: None,
                project: project.clone(),
            }),
        };
        std::iter::once(file).chain(metadata)
    }
}

/// `.metadata` beside a file; `None` if that would be too long a name: then it is not advertised either.
pub(super) fn metadata_path(path: &FilePath) -> Option<FilePath> {
    FilePath::parse(&format!("{path}.metadata")).ok()
}

fn sha256(hashes: &BTreeMap<String, String>) -> Option<Sha256> {
    hashes.get("sha256")?.parse().ok()
}
