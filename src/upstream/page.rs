//! A project's simple page, whatever form upstream gave it in.
//!
//! One reader for all: what the index serves, what the follower compares, what `doctor` looks at. It is as lenient as pip
//! and uv: what is odd about a member or a file costs that member or that file, never the page. It is strict where another
//! reading could be wrong: another major version, a document that ends early, a list of files that is none. A
//! file whose digest cannot be one is listed, but matches no bytes.

mod html;
mod json;
mod json_file;
mod member;
mod skipped;
mod weight;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use url::Url;

use super::text::{Format, first};
use crate::model::{Digest, FilePath, FilePaths, NamedBy, ProjectName, Serial, paths_of};

pub use member::{Stated, serial_member, stated, whole_number};
pub use skipped::Skipped;

pub(super) use html::{base_of, is_index_title};
pub(super) use json::api_minor;
pub(super) use member::{Raw, read as read_member, value as member_value};
pub(super) use weight::over;

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
pub struct Others(BTreeMap<String, Box<RawValue>>);

impl ProjectPage {
    /// Reads a page of `media_type` (lower case, no parameters) that came from `url`. The error says what is wrong and
    /// where, and has none of the bytes. A page that would take more than `most` bytes of memory is refused before it does.
    pub fn read(
        name: &ProjectName,
        media_type: &str,
        body: &[u8],
        url: &Url,
        most: usize,
    ) -> Result<Self, String> {
        match Format::of(media_type, first(body)) {
            Some(format) => Self::read_as(format, name, body, url, most),
            None => Err("neither JSON nor HTML".to_owned()),
        }
    }

    /// The same, whatever its type.
    pub fn read_as(
        format: Format,
        name: &ProjectName,
        body: &[u8],
        url: &Url,
        most: usize,
    ) -> Result<Self, String> {
        match format {
            Format::Json => json::read(name, body, url, most),
            Format::Html => html::read(name, body, url, most),
        }
    }

    /// It says that the project is quarantined (PEP 792).
    pub fn is_quarantined(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.status == "quarantined")
    }
}

/// Where a file is with us, and its metadata as it can be advertised there: not if that would be too long a name. None if
/// the file has no address.
fn located(
    url: &Url,
    (project, page): (&ProjectName, &Url),
    (hashes, unmatchable): (&BTreeMap<String, String>, bool),
    core_metadata: CoreMetadata,
) -> Option<(FilePaths, CoreMetadata)> {
    let file = if unmatchable { None } else { strongest(hashes) };
    let metadata = match &core_metadata {
        CoreMetadata::Yes(hashes) => strongest(hashes),
        CoreMetadata::No => None,
    };
    let paths = paths_of(url, &NamedBy { project, page, digests: [file, metadata] })?;
    let core_metadata = metadata_path(&paths.path).map_or(CoreMetadata::No, |_| core_metadata);
    Some((paths, core_metadata))
}

/// The strongest of stated digests.
pub fn strongest(hashes: &BTreeMap<String, String>) -> Option<Digest> {
    Digest::strongest(hashes.iter().map(|(name, digits)| (name.as_str(), digits.as_str())))
}

/// `.metadata` beside a file; `None` if that would be too long a name: then it is not advertised either.
pub fn metadata_path(path: &FilePath) -> Option<FilePath> {
    FilePath::parse(&format!("{path}.metadata")).ok()
}

impl Others {
    /// Bytes that they take in memory.
    fn weight(&self) -> usize {
        self.0.iter().map(|(key, value)| weight::NODE + key.capacity() + value.get().len()).sum()
    }

    fn insert(&mut self, key: String, value: Box<RawValue>) {
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

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Html => "HTML",
        })
    }
}
