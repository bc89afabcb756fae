//! Which files may be fetched, and from where: only what a page or document of upstream's names.

use std::sync::{Arc, Weak};

use super::held::Held;
use super::{Index, IndexError};
use crate::journal::KnownFile;
use crate::model::{FilePath, ProjectName, projects_of};
use crate::upstream::{PageFile, ProjectPage};

/// A file that may be fetched, and given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What the index says of it.
    pub file: KnownFile,
    /// The index is the one that was kept: upstream fails.
    pub stale: bool,
}

/// A file's line on a page. The page is not held for it: that has its own bound.
#[derive(Debug, Clone)]
pub(super) struct Line {
    file: KnownFile,
    page: Weak<Held<ProjectPage>>,
}

/// What lets a file that was found go out again without looking for it: its page, and that it was not removed.
#[derive(Debug)]
pub struct Pledge {
    page: Weak<Held<ProjectPage>>,
    /// The count of the journal's removals when the file had no tombstone.
    removals: u64,
}

/// A file, and the page that names it.
type Found = (Located, Option<Arc<Held<ProjectPage>>>);

/// Projects that a file's name is tried for. Names with more parts are not known.
const MAX_OWNERS: usize = 8;

impl Index {
    /// What to hold on to, of a file that was just found and had no tombstone; `None` if that would not do, because
    /// its page is not kept in memory.
    pub fn pledge(&self, path: &FilePath) -> Option<Pledge> {
        let removals = self.inner.untombed.get(path)?;
        Some(Pledge { page: self.inner.lines.get(path)?.page, removals })
    }

    /// Whether [`Self::tombstone`] and [`Self::file`] would say again what they said then. It holds no longer than until
    /// the next event or removal, or until the page is too old.
    pub fn stands(&self, pledge: &Pledge) -> bool {
        let stands = *self.inner.removals.borrow() == pledge.removals
            && pledge.page.upgrade().is_some_and(|page| self.inner.is_fresh_as_it_was(&page));
        if stands {
            self.inner.hits.increment(1);
        }
        stands
    }

    /// The file at a path below `/packages/`. The page that names it is made current first, so that a file that
    /// upstream removed is not found any more.
    pub async fn file(&self, path: &FilePath) -> Result<Located, IndexError> {
        if let Some(located) = self.at_once(path) {
            return Ok(located);
        }
        let project = match self.inner.projects_of.get(path) {
            Some(project) => Some(project),
            None => self.inner.journal.file(path).await?.map(|known| known.project),
        };
        let (project, (found, page)) = match project {
            Some(project) => {
                let found = self.find_at(&project, path).await?;
                (project, found)
            }
            None => self.find_by_its_name(path).await?,
        };
        self.inner.projects_of.insert(path.clone(), project);
        if let Some(page) = page {
            let line = Line { file: found.file.clone(), page: Arc::downgrade(&page) };
            self.inner.lines.insert(path.clone(), line);
        }
        Ok(found)
    }

    async fn find_at(&self, project: &ProjectName, path: &FilePath) -> Result<Found, IndexError> {
        self.find(project, |known| known.path == *path, |file| file.names(path)).await
    }

    /// A file of a page that is not kept, such as a lock file names: its own name tells whose it may be. It is found only
    /// if one of those projects' pages names this very path.
    async fn find_by_its_name(&self, path: &FilePath) -> Result<(ProjectName, Found), IndexError> {
        let owners = projects_of(path.filename()).into_iter().take(MAX_OWNERS);
        let (mut listed, mut others) = (Vec::new(), Vec::new());
        for project in owners {
            match self.inner.registered_by_now(&project).await? {
                Some(_) => listed.push(project),
                None => others.push(project),
            }
        }
        // Those of which nobody has told come last: to ask for one may cost what `unknown` says.
        for project in listed.into_iter().chain(others) {
            match self.find_at(&project, path).await {
                Ok(found) => return Ok((project, found)),
                Err(IndexError::NoSuchFile) => {}
                Err(error) => return Err(error),
            }
        }
        Err(IndexError::NoSuchFile)
    }

    /// What was found last time, as long as its page needs no asking. A page that does once never becomes current
    /// again, another takes its place: so there is no need to look which is the project's now.
    fn at_once(&self, path: &FilePath) -> Option<Located> {
        let line = self.inner.lines.get(path)?;
        let page = line.page.upgrade().filter(|page| self.inner.is_fresh_as_it_was(page));
        if page.is_none() {
            self.inner.lines.invalidate(path);
        }
        page.map(|_| {
            self.inner.hits.increment(1);
            Located { file: line.file, stale: false }
        })
    }

    /// A project's file, or its `.metadata`, by its name alone: what the old addresses tell (WIRE.md section 7).
    pub async fn file_by_name(&self, filename: &str, project: &ProjectName) -> Result<Located, IndexError> {
        let stem = filename.strip_suffix(".metadata");
        let line = |file: &PageFile| file.filename == filename || Some(file.filename.as_str()) == stem;
        Ok(self.find(project, |known| known.path.filename() == filename, line).await?.0)
    }

    /// Among the files of the project's page, with that page; else, for what only the JSON API names, of
    /// its JSON document.
    async fn find(
        &self,
        project: &ProjectName,
        wanted: impl Fn(&KnownFile) -> bool,
        line: impl Fn(&PageFile) -> bool,
    ) -> Result<Found, IndexError> {
        let gone = |error| match error {
            IndexError::NoSuchProject | IndexError::NoSuchRelease => IndexError::NoSuchFile,
            error => error,
        };
        let page = self.held_page(project).await.map_err(gone)?;
        let named = page.content.files_of(line).find(&wanted);
        if let Some(file) = named {
            return Ok((Located { file, stale: page.stale }, Some(page)));
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
