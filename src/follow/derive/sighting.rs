//! What of a project's page matters for events.

use serde::{Deserialize, Serialize};

use crate::model::{ProjectName, Serial, Stamp, version_of};

/// A project's page at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sighting {
    /// The serial that the page is as new as.
    pub(super) serial: Option<Serial>,
    /// Under suspicion: files are those of the page before.
    pub(super) quarantined: bool,
    /// All releases, also those without files.
    pub(super) versions: Vec<String>,
    pub(super) files: Vec<SeenFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenFile {
    pub(super) filename: String,
    /// `None` if its name does not tell.
    pub(super) version: Option<String>,
    /// Unix seconds.
    pub(super) uploaded: Option<i64>,
    pub(super) yanked: bool,
}

#[derive(Deserialize)]
struct Page {
    meta: Meta,
    files: Vec<PageFile>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(rename = "project-status", default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "_last-serial", default)]
    last_serial: Option<Serial>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    #[serde(rename = "upload-time", default)]
    upload_time: Option<String>,
    /// A flag, or the reason.
    #[serde(default)]
    yanked: serde_json::Value,
}

impl Sighting {
    /// Reads PEP 691's JSON. The error says where, never what.
    pub(super) fn read(name: &ProjectName, body: &[u8]) -> serde_json::Result<Self> {
        let page: Page = serde_json::from_slice(body)?;
        let mut versions = page.versions;
        let mut files = Vec::with_capacity(page.files.len());
        for file in page.files {
            let version = version_of(&file.filename, name, &versions);
            // Pages older than PEP 700's do not list versions.
            if let Some(version) = version.as_ref().filter(|version| !versions.contains(version)) {
                versions.push(version.clone());
            }
            let uploaded = file.upload_time.and_then(|time| Stamp::parse(&time)).map(Stamp::unix);
            let yanked = !matches!(file.yanked, serde_json::Value::Null | serde_json::Value::Bool(false));
            files.push(SeenFile { filename: file.filename, version, uploaded, yanked });
        }
        let quarantined = page.status.is_some_and(|status| status.status == "quarantined");
        Ok(Self { serial: page.meta.last_serial, quarantined, versions, files })
    }

    /// As it must have looked at `moment`, by upload times alone: what has none was there already. What went since
    /// cannot be known.
    pub(super) fn at(&self, moment: i64) -> Self {
        let old = |file: &&SeenFile| file.uploaded.is_none_or(|uploaded| uploaded <= moment);
        let files: Vec<SeenFile> = self.files.iter().filter(old).cloned().collect();
        let of = |files: &[SeenFile], version: &String| {
            files.iter().any(|file| file.version.as_ref() == Some(version))
        };
        let was = |version: &&String| of(&files, version) || !of(&self.files, version);
        let versions = self.versions.iter().filter(was).cloned().collect();
        Self { serial: None, quarantined: false, versions, files }
    }

    /// Whether every file of a release is yanked.
    pub(super) fn yanked(&self, version: &str) -> bool {
        let mut files = self.files.iter().filter(|file| file.version.as_deref() == Some(version)).peekable();
        files.peek().is_some() && files.all(|file| file.yanked)
    }
}
