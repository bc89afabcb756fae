//! The projects that `fixtures/` declares.

use serde::Deserialize;

use crate::model::ProjectName;

use super::SandboxError;
use super::artefact::Bulk;
use super::info::Info;
use super::project::{Role, Status};

/// Every file of `fixtures/`, so that the binary needs none of them.
const FILES: [(&str, &str); 4] = [
    ("graph.toml", include_str!("../../fixtures/graph.toml")),
    ("releases.toml", include_str!("../../fixtures/releases.toml")),
    ("texts.toml", include_str!("../../fixtures/texts.toml")),
    ("states.toml", include_str!("../../fixtures/states.toml")),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    project: Vec<Fixture>,
}

/// A declared project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixture {
    /// The registered spelling.
    pub(super) name: String,
    /// PEP 792.
    #[serde(default)]
    pub(super) status: Status,
    /// PEP 792's reason.
    pub(super) status_reason: Option<String>,
    pub(super) organization: Option<String>,
    #[serde(default)]
    pub(super) roles: Vec<Role>,
    /// Wheels have a console script.
    #[serde(default)]
    pub(super) script: bool,
    /// Plain releases with a wheel and an sdist, oldest first.
    #[serde(default)]
    versions: Vec<String>,
    /// As many further plain releases: `1.0.0`, `1.0.1` … with one wheel each.
    #[serde(default)]
    series: u32,
    /// Releases that are not plain; newer than the plain ones.
    #[serde(default)]
    release: Vec<FixtureRelease>,
    /// Metadata of all releases.
    #[serde(default)]
    pub(super) info: Info,
    /// The description is repeated until it has this many bytes.
    #[serde(default)]
    description_bytes: usize,
    /// Actions of the project itself, put into its history after its creation, in order.
    #[serde(default)]
    pub(super) history: Vec<String>,
}

/// A release that says more than its version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FixtureRelease {
    pub(super) version: String,
    /// `sdist`, or a wheel's tags.
    #[serde(default = "plain_files")]
    pub(super) files: Vec<String>,
    /// The reason; empty if none was given.
    pub(super) yanked: Option<String>,
    #[serde(default)]
    pub(super) quarantined: bool,
    /// Instead of the project's.
    pub(super) requires_python: Option<String>,
    /// Instead of the project's.
    pub(super) requires_dist: Option<Vec<String>>,
    pub(super) bulk: Option<Bulk>,
    /// Its first file has a provenance document.
    #[serde(default)]
    pub(super) provenance: bool,
    #[serde(default)]
    pub(super) comment: String,
    /// Actions of the release, put into its history after its files.
    #[serde(default)]
    pub(super) history: Vec<String>,
}

fn plain_files() -> Vec<String> {
    vec!["sdist".to_owned(), "py3-none-any".to_owned()]
}

impl FixtureRelease {
    /// A release with nothing special.
    pub(super) fn plain(version: String, files: Vec<String>) -> Self {
        Self {
            version,
            files,
            yanked: None,
            quarantined: false,
            requires_python: None,
            requires_dist: None,
            bulk: None,
            provenance: false,
            comment: String::new(),
            history: Vec::new(),
        }
    }

    /// The release's metadata, given the project's.
    pub(super) fn info(&self, project: &Info) -> Info {
        let mut info = project.clone();
        if let Some(requires_python) = &self.requires_python {
            info.requires_python = Some(requires_python.clone());
        }
        if let Some(requires_dist) = &self.requires_dist {
            info.requires_dist.clone_from(requires_dist);
        }
        info
    }
}

impl Fixture {
    /// All its releases, oldest first.
    pub(super) fn releases(&self) -> Vec<FixtureRelease> {
        let plain = self.versions.iter().map(|version| FixtureRelease::plain(version.clone(), plain_files()));
        let wheel = || vec!["py3-none-any".to_owned()];
        let series =
            (0..self.series).map(|n| FixtureRelease::plain(format!("1.{}.{}", n / 10, n % 10), wheel()));
        plain.chain(series).chain(self.release.iter().cloned()).collect()
    }
}

/// Reads all of them.
pub(super) fn all() -> Result<Vec<(ProjectName, Fixture)>, SandboxError> {
    let mut found = Vec::new();
    for (file, text) in FILES {
        let document: Document = toml::from_str(text)
            .map_err(|error| SandboxError::Fixture { file, reason: error.to_string() })?;
        for mut fixture in document.project {
            let name = ProjectName::parse(&fixture.name).map_err(|error| SandboxError::Fixture {
                file,
                reason: format!("{}: {error}", fixture.name),
            })?;
            if let Some(description) = &mut fixture.info.description {
                let times = fixture.description_bytes.div_ceil(description.len().max(1));
                *description = description.repeat(times.max(1));
            }
            found.push((name, fixture));
        }
    }
    Ok(found)
}
