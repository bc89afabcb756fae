//! Which document.

use crate::model::ProjectName;

/// The kind of a project's simple page.
pub(super) const PAGE: i64 = 0;
/// The same of a JSON document.
pub(super) const JSON: i64 = 1;

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentKey {
    /// A project's simple page.
    Page(ProjectName),
    /// A project's JSON document; with a version, that release's.
    Json(ProjectName, Option<String>),
}

impl DocumentKey {
    /// The project that it is about.
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Page(project) | Self::Json(project, _) => project,
        }
    }

    /// The columns `project, kind, version`.
    pub(super) fn columns(&self) -> (String, i64, String) {
        match self {
            Self::Page(project) => (project.as_str().to_owned(), PAGE, String::new()),
            Self::Json(project, version) => {
                (project.as_str().to_owned(), JSON, version.clone().unwrap_or_default())
            }
        }
    }
}
