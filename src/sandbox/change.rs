//! What can happen at run time.

use serde::Deserialize;

use super::info::Info;
use super::project::Role;

/// A release to publish: into an existing project or a new one, as a new release or into an existing one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The project's spelling.
    pub name: String,
    /// The version.
    pub version: String,
    /// `sdist`, or a wheel's tags as `py3-none-any`. Default: both of these.
    #[serde(default = "plain")]
    pub files: Vec<String>,
    /// Its metadata; of a further file, the release's own stays.
    #[serde(default)]
    pub info: Info,
}

fn plain() -> Vec<String> {
    vec!["sdist".to_owned(), "py3-none-any".to_owned()]
}

impl Publication {
    /// A release with an sdist and a wheel.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), files: plain(), info: Info::default() }
    }
}

/// Something that happens to a project.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A release, or further files of one.
    Publish(Box<Publication>),
    /// A file goes.
    RemoveFile {
        /// The project.
        name: String,
        /// The file.
        filename: String,
    },
    /// A release goes with its files.
    RemoveRelease {
        /// The project.
        name: String,
        /// The version.
        version: String,
    },
    /// A project goes with all it has.
    RemoveProject {
        /// The project.
        name: String,
    },
    /// A release is taken back, or no longer.
    Yank {
        /// The project.
        name: String,
        /// The version.
        version: String,
        /// The reason; may be empty. `None` takes the yank back.
        reason: Option<String>,
    },
    /// A project, or one release of it, comes under suspicion or out of it.
    Quarantine {
        /// The project.
        name: String,
        /// Only this release.
        #[serde(default)]
        version: Option<String>,
        /// Out of it.
        #[serde(default)]
        cleared: bool,
    },
    /// A user gets a role.
    AddRole {
        /// The project.
        name: String,
        /// The role.
        role: Role,
    },
    /// Any other action; it changes nothing but serials. (An old `remove` without a version removes.)
    Note {
        /// The project.
        name: String,
        /// The release, if it is about one.
        #[serde(default)]
        version: Option<String>,
        /// The action's text.
        action: String,
    },
}

impl Change {
    /// The project's spelling.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Publish(publication) => &publication.name,
            Self::RemoveFile { name, .. }
            | Self::RemoveRelease { name, .. }
            | Self::RemoveProject { name }
            | Self::Yank { name, .. }
            | Self::Quarantine { name, .. }
            | Self::AddRole { name, .. }
            | Self::Note { name, .. } => name,
        }
    }
}
