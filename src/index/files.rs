//! Which files may be fetched, and from where: only what a page or document of upstream's names.

use std::sync::Arc;

use super::page::{PageFile, ProjectPage};
use super::{Index, IndexError};
use crate::journal::KnownFile;
use crate::model::{FilePath, ProjectName};

/// A file that may be fetched, and given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What the index says of it.
    pub file: KnownFile,
    /// The index is the one that was kept: upstream fails.
    pub stale: bool,
}

impl Index {
    /// The file at a path below `/packages/`. The page that names it is made current first, so that a file that
    /// upstream removed is not found any more.
    pub async fn file(&self, path: &FilePath) -> Result<Located, IndexError> {
        if let Some((stamp, known)) = self.inner.lines.get(path) {
            // The page is asked for all the same: it may have become another, without the file.
            if let Ok(held) = self.held_page(&known.project).await
                && held.stamp == stamp
            {
                return Ok(Located { file: KnownFile::clone(&known), stale: held.stale });
            }
            self.inner.lines.invalidate(path);
        }
        let project = match self.inner.projects_of.get(path) {
            Some(project) => project,
            None => match self.inner.journal.file(path).await? {
                Some(known) => known.project,
                None => return Err(IndexError::NoSuchFile),
            },
        };
        let (found, page) = self.find(&project, |known| known.path == *path, |file| file.names(path)).await?;
        self.inner.projects_of.insert(path.clone(), project);
        if let Some(stamp) = page {
            self.inner.lines.insert(path.clone(), (stamp, Arc::new(found.file.clone())));
        }
        Ok(found)
    }

    /// A project's file, or its `.metadata`, by its name alone: what the old addresses tell (WIRE.md section 7).
    pub async fn file_by_name(&self, filename: &str, project: &ProjectName) -> Result<Located, IndexError> {
        let stem = filename.strip_suffix(".metadata");
        let line = |file: &PageFile| file.filename == filename || Some(file.filename.as_str()) == stem;
        Ok(self.find(project, |known| known.path.filename() == filename, line).await?.0)
    }

    /// Among the files of the project's page, with that page's stamp; else, for what only the JSON API names, of
    /// its JSON document.
    async fn find(
        &self,
        project: &ProjectName,
        wanted: impl Fn(&KnownFile) -> bool,
        line: impl Fn(&PageFile) -> bool,
    ) -> Result<(Located, Option<u64>), IndexError> {
        let gone = |error| match error {
            IndexError::NoSuchProject | IndexError::NoSuchRelease | IndexError::NoJsonApi => {
                IndexError::NoSuchFile
            }
            error => error,
        };
        let page = self.held_page(project).await.map_err(gone)?;
        if let Some(file) = page.content.files_of(line).find(&wanted) {
            return Ok((Located { file, stale: page.stale }, Some(page.stamp)));
        }
        let document = self.held_json(project, None).await.map_err(gone)?;
        let file = document.content.known(project).find(wanted).ok_or(IndexError::NoSuchFile)?;
        Ok((Located { file, stale: document.stale }, None))
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
