//! PEP 691 pages → the model.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::page::{CoreMetadata, PageFile, ProjectPage, ProjectStatus, Yanked, metadata_path};
use crate::model::{FilePath, ProjectName, Serial, path_of};

/// The newest minor of `api-version` 1.x that we know the rules of.
const KNOWN_MINOR: u32 = 4;

#[derive(Deserialize)]
struct RawPage<'a> {
    meta: RawMeta,
    /// The normal form of what was asked for; named, so that it is not passed on among the others.
    #[serde(rename = "name", default)]
    _name: IgnoredAny,
    /// Read one by one: a line that breaks the rules costs itself only.
    #[serde(borrow)]
    files: Vec<&'a RawValue>,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(rename = "project-status", default)]
    status: Option<ProjectStatus>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(rename = "api-version")]
    api_version: String,
    #[serde(rename = "_last-serial", default, deserialize_with = "Serial::lenient")]
    last_serial: Option<Serial>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    requires_python: Option<String>,
    #[serde(default)]
    core_metadata: Option<RawMetadata>,
    #[serde(default)]
    dist_info_metadata: Option<RawMetadata>,
    #[serde(default)]
    data_dist_info_metadata: Option<RawMetadata>,
    #[serde(default)]
    gpg_sig: Option<bool>,
    #[serde(default)]
    yanked: Option<RawYanked>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    upload_time: Option<String>,
    #[serde(default)]
    provenance: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMetadata {
    Flag(bool),
    Hashes(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawYanked {
    Flag(bool),
    Reason(String),
}

/// Reads a page that came from `url`. The error says where, never what.
pub(super) fn read(name: &ProjectName, body: &[u8], url: &Url) -> Result<ProjectPage, String> {
    let raw: RawPage =
        serde_json::from_slice(body).map_err(|error| format!("a JSON page that cannot be read: {error}"))?;
    let minor = raw.meta.api_version.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    // PEP 691: what has another major must not be read as if it had this one.
    let minor: u32 = minor.ok_or("a page of an unknown api-version")?;
    Ok(ProjectPage {
        name: name.clone(),
        api_minor: minor.min(KNOWN_MINOR),
        versions: raw.versions,
        files: raw.files.iter().filter_map(|raw| file(read_file(name, raw)?, url)).collect(),
        last_serial: raw.meta.last_serial,
        status: raw.status,
        other: raw.other,
        meta: raw.meta.other,
    })
}

/// One line of `files`; none, and a word in the log, if it is not as PEP 691 says.
fn read_file(name: &ProjectName, raw: &RawValue) -> Option<RawFile> {
    let read = serde_json::from_str(raw.get());
    read.inspect_err(|error| tracing::warn!(project = %name, %error, "a file of a page is left out")).ok()
}

/// A line whose address or name is none is left out: one bad file hides no other.
fn file(raw: RawFile, base: &Url) -> Option<PageFile> {
    if !FilePath::is_filename(&raw.filename) {
        tracing::warn!("a file of a page is left out: its name is none");
        return None;
    }
    let mut url = base.join(&raw.url).ok()?;
    url.set_fragment(None);
    let path = path_of(&url)?;
    // One thing with three names: PEP 714's, PEP 691's, PyPI's.
    let advertised = raw.core_metadata.or(raw.dist_info_metadata).or(raw.data_dist_info_metadata);
    let core_metadata = match advertised {
        Some(RawMetadata::Hashes(hashes)) if metadata_path(&path).is_some() => CoreMetadata::Yes(hashes),
        Some(RawMetadata::Flag(true)) if metadata_path(&path).is_some() => CoreMetadata::Yes(BTreeMap::new()),
        Some(RawMetadata::Hashes(_) | RawMetadata::Flag(_)) | None => CoreMetadata::No,
    };
    let yanked = match raw.yanked {
        None | Some(RawYanked::Flag(false)) => Yanked::No,
        Some(RawYanked::Flag(true)) => Yanked::Yes(None),
        Some(RawYanked::Reason(reason)) => Yanked::Yes(Some(reason).filter(|reason| !reason.is_empty())),
    };
    Some(PageFile {
        filename: raw.filename,
        url,
        path,
        hashes: raw.hashes,
        requires_python: raw.requires_python,
        yanked,
        core_metadata,
        size: raw.size,
        upload_time: raw.upload_time,
        gpg_sig: raw.gpg_sig,
        provenance: raw.provenance,
        other: raw.other,
    })
}
