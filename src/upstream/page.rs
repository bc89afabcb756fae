//! A project's simple page, whatever form upstream gave it in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::{read_html, read_json};
use crate::model::{FilePath, ProjectName, Serial};

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

impl ProjectPage {
    /// Reads a page of either form that came from `url`. The error says what is wrong, and has none of the bytes.
    pub fn read(name: &ProjectName, content_type: &str, body: &[u8], url: &Url) -> Result<Self, String> {
        if content_type.ends_with("json") {
            read_json::read(name, body, url)
        } else {
            read_html::read(name, body, url)
        }
    }

    /// It says that the project is quarantined (PEP 792).
    pub fn is_quarantined(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.status == "quarantined")
    }
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

/// `.metadata` beside a file; `None` if that would be too long a name: then it is not advertised either.
pub fn metadata_path(path: &FilePath) -> Option<FilePath> {
    FilePath::parse(&format!("{path}.metadata")).ok()
}
