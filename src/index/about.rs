//! What a page for people tells of a project or a release: its name, version and summary, and its files.

use std::sync::Arc;

use super::{Index, IndexError, JsonDocument};
use crate::model::ProjectName;

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

impl Index {
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
