//! Which files may be fetched, and from where: only what a page or document of upstream's names.

use super::page::{PageFile, ProjectPage};
use super::{Index, IndexError};
use crate::journal::KnownFile;
use crate::model::{FilePath, ProjectName};

impl Index {
    /// The file at a path below `/packages/`. The page that names it is made current first, so that a file that
    /// upstream removed is not found any more.
    pub async fn file(&self, path: &FilePath) -> Result<KnownFile, IndexError> {
        let project = match self.inner.projects_of.get(path) {
            Some(project) => project,
            None => match self.inner.journal.file(path).await? {
                Some(known) => known.project,
                None => return Err(IndexError::NoSuchFile),
            },
        };
        let found = self.find(&project, |known| known.path == *path, |file| file.names(path)).await?;
        self.inner.projects_of.insert(path.clone(), project);
        Ok(found)
    }

    /// A project's file, or its `.metadata`, by its name alone: what the old addresses tell (WIRE.md section 7).
    pub async fn file_by_name(&self, filename: &str, project: &ProjectName) -> Result<KnownFile, IndexError> {
        let stem = filename.strip_suffix(".metadata");
        let line = |file: &PageFile| file.filename == filename || Some(file.filename.as_str()) == stem;
        self.find(project, |known| known.path.filename() == filename, line).await
    }

    /// Among the files of the project's page; else, for what only the JSON API names, of its JSON document.
    async fn find(
        &self,
        project: &ProjectName,
        wanted: impl Fn(&KnownFile) -> bool,
        line: impl Fn(&PageFile) -> bool,
    ) -> Result<KnownFile, IndexError> {
        let gone = |error| match error {
            IndexError::NoSuchProject | IndexError::NoSuchRelease => IndexError::NoSuchFile,
            error => error,
        };
        let page = self.page(project).await.map_err(gone)?;
        if let Some(known) = page.files_of(line).find(&wanted) {
            return Ok(known);
        }
        let document = self.json(project, None).await.map_err(gone)?;
        document.known(project).find(wanted).ok_or(IndexError::NoSuchFile)
    }
}

impl ProjectPage {
    fn files_of(&self, line: impl Fn(&PageFile) -> bool) -> impl Iterator<Item = KnownFile> {
        self.files.iter().filter(move |file| line(file)).flat_map(|file| file.known(&self.name))
    }
}

impl PageFile {
    /// The path is this file's, or its metadata's if that exists.
    fn names(&self, path: &FilePath) -> bool {
        self.path == *path || path.as_str().strip_suffix(".metadata") == Some(self.path.as_str())
    }
}
