//! A project as the index knows it at one moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Serial, latest, newest_first};

use super::artefact::File;
use super::info::Info;

/// The states of PEP 792.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The usual one.
    #[default]
    Active,
    /// No further releases are to be expected.
    Archived,
    /// Under suspicion: its page names no file.
    Quarantined,
    /// Replaced by another.
    Deprecated,
}

impl Status {
    /// PEP 792's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
            Self::Deprecated => "deprecated",
        }
    }
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `Owner` or `Maintainer`.
    pub role: String,
    /// The user's name.
    pub user: String,
}

impl Role {
    /// Where it stands among others: by role, descending, then by user whatever the case of letters, as upstream's
    /// database compares them.
    pub(super) fn place(&self) -> (std::cmp::Reverse<String>, String) {
        (std::cmp::Reverse(self.role.clone()), self.user.to_lowercase())
    }
}

/// A file of a release.
#[derive(Debug, Clone)]
pub struct Upload {
    /// When it was uploaded, in Unix seconds: the time of its `add` event.
    pub time: i64,
    /// The file.
    pub file: Arc<File>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its version as registered.
    pub version: String,
    /// Its metadata.
    pub info: Arc<Info>,
    /// Its files, oldest first.
    pub files: Vec<Upload>,
    /// The reason it was yanked for; may be empty.
    pub yanked: Option<String>,
    /// Under suspicion: pages do not show it.
    pub quarantined: bool,
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The registered spelling.
    pub name: String,
    /// PEP 792.
    pub status: Status,
    /// PEP 792's reason.
    pub status_reason: Option<String>,
    /// `ownership.organization`.
    pub organization: Option<String>,
    /// Ordered by role descending, then user without case.
    pub roles: Vec<Role>,
    /// Oldest first.
    pub releases: Vec<Release>,
    /// The serial of its last event.
    pub last_serial: Serial,
}

impl Project {
    /// The releases that pages show: none of a quarantined project, else all that are not quarantined.
    pub fn shown(&self) -> impl Iterator<Item = &Release> {
        let open = self.status != Status::Quarantined;
        self.releases.iter().filter(move |release| open && !release.quarantined)
    }

    /// The release that `/pypi/NAME/json` is about: the newest final one that is not yanked, else the
    /// newest that is not yanked, else the newest.
    pub fn latest(&self) -> Option<&Release> {
        let good = || self.shown().filter(|release| release.yanked.is_none());
        let version = latest(good().map(|release| release.version.as_str()))
            .or_else(|| latest(self.shown().map(|release| release.version.as_str())))?;
        self.release(version)
    }

    /// A shown release by version as registered.
    pub fn release(&self, version: &str) -> Option<&Release> {
        self.shown().find(|release| release.version == version)
    }

    /// The shown releases in the order of their versions, as index pages have them.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Release> {
        let mut releases: Vec<&Release> = self.shown().collect();
        newest_first(&mut releases, |release| &release.version);
        releases.into_iter().rev()
    }

    /// Every shown file with its release, in the order of versions.
    pub fn files(&self) -> impl Iterator<Item = (&Release, &Upload)> {
        self.in_order().flat_map(|release| release.files.iter().map(move |upload| (release, upload)))
    }
}
