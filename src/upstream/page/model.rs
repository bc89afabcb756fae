//! A page and its files, as they are known whatever form they came in.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use url::Url;

use super::super::Skipped;
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
    pub other: Others,
    /// The same, of its `meta`.
    pub meta: Others,
    /// What of it could not be used.
    pub skipped: Skipped,
}

/// PEP 792.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectStatus {
    /// `active`, `archived`, `quarantined`, `deprecated` …
    pub status: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One file of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageFile {
    /// Its name.
    pub filename: String,
    /// Its address upstream, without fragment.
    pub url: Url,
    /// What its fragment says beside digests, such as `egg=NAME-VERSION`, by which pip knows a file whose name does not
    /// tell.
    pub fragment: Option<String>,
    /// Its path below our `/packages/`.
    pub path: FilePath,
    /// The path that it had before (see [`FilePaths`](crate::model::FilePaths)).
    pub earlier: Option<FilePath>,
    /// Digests by algorithm, in hexadecimal digits, lower case.
    pub hashes: BTreeMap<String, String>,
    /// All that upstream states for a digest cannot be one: no bytes are right.
    pub unmatchable: bool,
    /// `requires-python`.
    pub requires_python: Option<String>,
    /// Whether its release was withdrawn.
    pub yanked: Yanked,
    /// Whether `.metadata` beside it exists.
    pub core_metadata: CoreMetadata,
    /// Bytes.
    pub size: Option<u64>,
    /// `upload-time`, as upstream writes it; one that can be read.
    pub upload_time: Option<String>,
    /// `gpg-sig`, if upstream says it.
    pub gpg_sig: Option<bool>,
    /// Where upstream has its provenance (PEP 740).
    pub provenance: Option<String>,
    /// Keys beside these that upstream's JSON has.
    pub other: Others,
}

/// PEP 592.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yanked {
    /// It is not.
    No,
    /// It is, with the reason if there is one. An empty reason is one that upstream's JSON states: pip takes that file, uv
    /// does not.
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

/// Members that nothing here depends on, passed on as upstream wrote them.
#[derive(Debug, Clone, Default)]
pub struct Others(pub(super) BTreeMap<String, Box<RawValue>>);

impl ProjectPage {
    /// It says that the project is quarantined (PEP 792).
    pub fn is_quarantined(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.status == "quarantined")
    }
}

impl Others {
    pub(super) fn insert(&mut self, key: String, value: Box<RawValue>) {
        self.0.insert(key, value);
    }
}

impl PartialEq for Others {
    fn eq(&self, other: &Self) -> bool {
        let texts = |others: &'_ Self| -> Vec<(String, String)> {
            others.0.iter().map(|(key, value)| (key.clone(), value.get().to_owned())).collect()
        };
        texts(self) == texts(other)
    }
}

impl Serialize for Others {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}
