//! What pages for people tell of a project or a release: its name, version and summary, its versions and files.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{Index, IndexError, JsonDocument, ProjectPage, ProjectStatus, Yanked, location};
use crate::model::{KnownVersions, ProjectName, Sha256, newest_first, version_of};

/// Files that are shown; a release has some dozen.
const FILES: usize = 200;

/// What a page for people tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// As registered.
    pub name: String,
    /// `None` if there is no release, or none is known.
    pub version: Option<String>,
    /// One line of what it is; empty if that is not known.
    pub summary: String,
    /// Name and address of each file.
    pub files: Vec<(String, String)>,
}

/// A project's versions and files, as its page has them.
#[derive(Debug, Clone)]
pub struct ProjectSheet {
    /// What upstream says of the whole project (PEP 792).
    pub status: Option<ProjectStatus>,
    /// That says that it is in quarantine.
    pub quarantined: bool,
    /// All versions, the newest first.
    pub versions: Vec<String>,
    /// Files, those of the newest version first; of many only the first.
    pub files: Vec<SheetFile>,
    /// How many files there are.
    pub all_files: usize,
    /// Unix seconds of upstream's last word on it.
    pub checked: i64,
    /// Upstream fails or is slow: this is what is kept.
    pub stale: bool,
}

/// A file of a project.
#[derive(Debug, Clone)]
pub struct SheetFile {
    /// Its version, as its name tells it.
    pub version: Option<String>,
    /// Its name.
    pub filename: String,
    /// Its path on our address, from `/packages/` on, as it stands in an address.
    pub path: String,
    /// Bytes, if upstream states them.
    pub size: Option<u64>,
    /// When it was uploaded, as upstream writes it.
    pub uploaded: Option<String>,
    /// Whether its release was withdrawn.
    pub yanked: Yanked,
    /// Its digest, if upstream states that one.
    pub sha256: Option<Sha256>,
}

impl Index {
    /// A project's versions and files.
    pub async fn sheet(&self, name: &ProjectName) -> Result<ProjectSheet, IndexError> {
        let held = self.held_page(name).await?;
        let (page, checked, stale) = (held.content.clone(), held.checked, held.stale);
        // The largest pages have a hundred thousand files, and each name is read.
        spawn_blocking(move || ProjectSheet::of(&page, checked, stale)).await.map_err(|_| IndexError::Lost)
    }

    /// What there is to tell of a project, or of one of its releases, to a client that knows us at `origin`.
    pub async fn about(
        &self,
        name: &ProjectName,
        version: Option<&str>,
        origin: &str,
    ) -> Result<About, IndexError> {
        let project = match self.json(name, None).await {
            Ok(project) => project,
            // Registered, and nothing released.
            Err(IndexError::NoSuchRelease) if version.is_none() => {
                let name = self.page(name).await?.name.to_string();
                return Ok(About { name, version: None, summary: String::new(), files: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let Some(version) = version else { return Ok(About::of(&project, project.version(), origin)) };
        if project.files(version, origin).is_some() {
            return Ok(About::of(&project, Some(version), origin));
        }
        let release: Arc<JsonDocument> = self.json(name, Some(version)).await?;
        Ok(About::of(&release, release.version(), origin))
    }
}

impl ProjectSheet {
    fn of(page: &ProjectPage, checked: i64, stale: bool) -> Self {
        let mut known = KnownVersions::new(page.versions.iter().flatten().cloned());
        let mut by_version: HashMap<Option<String>, Vec<usize>> = HashMap::new();
        for (at, file) in page.files.iter().enumerate() {
            let version = version_of(&file.filename, &page.name, &known);
            if let Some(version) = version.as_ref().filter(|version| !known.lists(version)) {
                known.push(version.clone());
            }
            by_version.entry(version).or_default().push(at);
        }
        let mut versions = known.into_vec();
        newest_first(&mut versions, String::as_str);
        versions.dedup();
        let order = versions.iter().cloned().map(Some).chain([None]);
        let files = order.flat_map(|version| {
            let its = by_version.get(&version).map_or(&[][..], Vec::as_slice).iter();
            its.map(move |&at| (version.clone(), at))
        });
        let file = |(version, at): (Option<String>, usize)| {
            let file = &page.files[at];
            SheetFile {
                version,
                filename: file.filename.clone(),
                path: format!("/packages/{}", location::encoded(&file.path)),
                size: file.size,
                uploaded: file.upload_time.clone(),
                yanked: file.yanked.clone(),
                sha256: file.hashes.get("sha256").and_then(|digits| digits.parse().ok()),
            }
        };
        Self {
            status: page.status.clone(),
            quarantined: page.is_quarantined(),
            files: files.take(FILES).map(file).collect(),
            versions,
            all_files: page.files.len(),
            checked,
            stale,
        }
    }
}

impl About {
    fn of(document: &JsonDocument, version: Option<&str>, origin: &str) -> Self {
        let text = |field: &str| document.value["info"][field].as_str().unwrap_or_default().to_owned();
        let files = version.and_then(|version| document.files(version, origin)).unwrap_or_default();
        let file = |(_, path, url): (_, crate::model::FilePath, String)| (path.filename().to_owned(), url);
        let name = Some(text("name")).filter(|name| !name.is_empty());
        Self {
            name: name.unwrap_or_else(|| document.project.to_string()),
            version: version.map(str::to_owned),
            summary: text("summary"),
            files: files.into_iter().take(FILES).map(file).collect(),
        }
    }
}
