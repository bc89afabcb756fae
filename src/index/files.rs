//! Which files may be fetched, and from where: only what a page or document of upstream's names.

use std::sync::{Arc, Weak};

use super::line::Line;
use super::parsed::Parsed;
use super::source::Kept;
use super::{Index, IndexError};
use crate::journal::KnownFile;
use crate::model::{FilePath, ProjectName, project_of, projects_of};
use crate::revalidate::Entry;
use crate::upstream::{PageFile, ProjectPage};

/// A file that may be fetched, and given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What the index says of it.
    pub file: KnownFile,
    /// The index is the one that was kept: upstream fails.
    pub stale: bool,
}

/// What lets a file that was found go out again without looking for it: its page, and that it was not removed.
#[derive(Debug)]
pub struct Validity {
    page: Weak<Entry<Parsed<ProjectPage>>>,
    /// The count of the journal's removals when the file had no tombstone.
    removals: u64,
}

/// A file, and the page that names it.
type Found = (Located, Option<Kept<ProjectPage>>);

/// Projects that a file's name is tried for. Names with more parts are not known.
const MAX_OWNERS: usize = 8;

impl Index {
    /// What to hold on to, of a file that was just found by this path and had no tombstone; `None` if that would not do, because
    /// its page is not kept in memory. A path that the file had before will do: that of today was looked at after it, so
    /// what is removed by either changes the count.
    pub fn validity(&self, path: &FilePath) -> Option<Validity> {
        let removals = self.inner.untombed.get(path)?;
        Some(Validity { page: self.inner.lines.get(path)?.page, removals })
    }

    /// Whether [`Self::tombstone`] and [`Self::file`] would say again what they said then. It holds no longer than until
    /// the next event or removal, or until the page is too old at `now`, in Unix seconds.
    pub fn stands(&self, validity: &Validity, now: i64) -> bool {
        let stands = *self.inner.removals.borrow() == validity.removals
            && validity.page.upgrade().is_some_and(|page| self.inner.pages.is_fresh_as_it_was(&page, now));
        if stands {
            self.inner.shared.hits.increment(1);
        }
        stands
    }

    /// The file at a path below `/packages/`. The page that names it is made current first, so that a file that
    /// upstream removed is not found any more.
    pub async fn file(&self, path: &FilePath) -> Result<Located, IndexError> {
        if let Some(located) = self.at_once(path) {
            return Ok(located);
        }
        let project = match self.inner.shared.projects_of.get(path) {
            Some(project) => Some(project),
            None => self.inner.shared.journal.project_at(path).await?,
        };
        let (project, (found, page)) = match project {
            Some(project) => self.find_noted(project, path).await?,
            None => self.find_by_its_name(path).await?,
        };
        self.inner.shared.projects_of.insert(path.clone(), project);
        if let Some(page) = page {
            let line = Line { file: found.file.clone(), page: Arc::downgrade(&page) };
            self.inner.lines.insert(path.clone(), line);
        }
        Ok(found)
    }

    /// A file that a page of the project named by this path when it was kept. That may have been long ago and by another
    /// rule: the project that the file's name stands for, if it is another, goes before a path that the file had then.
    async fn find_noted(
        &self,
        project: ProjectName,
        path: &FilePath,
    ) -> Result<(ProjectName, Found), IndexError> {
        let absent = |found| match found {
            Err(IndexError::NoSuchFile) => Ok(None),
            found => found,
        };
        if let Some(found) = absent(self.on_page(&project, path, false).await)? {
            return Ok((project, found));
        }
        let owner = project_of(path.filename()).filter(|owner| *owner != project);
        // Before the first listing nobody can say that there is no such project.
        let may_be = match &owner {
            Some(owner) => {
                self.inner.shared.journal.position().is_none()
                    || self.inner.shared.registered_by_now(owner).await?.is_some()
            }
            None => false,
        };
        if let Some(owner) = owner.filter(|_| may_be)
            && let Some(found) = absent(self.on_page(&owner, path, true).await)?
        {
            return Ok((owner, found));
        }
        let found = self.find_at(&project, path).await?;
        Ok((project, found))
    }

    /// The project's file that has this path, or else had it before. What a page names has its path of today.
    async fn find_at(&self, project: &ProjectName, path: &FilePath) -> Result<Found, IndexError> {
        match self.on_page(project, path, true).await? {
            Some(found) => Ok(found),
            None => self.in_document(project, |known| known.path == *path).await,
        }
    }

    /// The file that the project's page names by the path, or with `before` else by the one that it had before.
    async fn on_page(
        &self,
        project: &ProjectName,
        path: &FilePath,
        before: bool,
    ) -> Result<Option<Found>, IndexError> {
        let page = self.held_page(project).await.map_err(gone)?;
        let mut files = page.content.files.iter();
        let today = files.clone().find_map(|file| file.named(path, project));
        let file = match today {
            None if before => files.find_map(|file| file.named_before(path, project)),
            today => today,
        };
        Ok(file.map(|file| (Located { file, stale: page.stale }, Some(page))))
    }

    /// A file of a page that is not kept, such as a lock file names: its own name tells whose it may be. It is found only
    /// if one of those projects' pages names this very path.
    async fn find_by_its_name(&self, path: &FilePath) -> Result<(ProjectName, Found), IndexError> {
        let first = project_of(path.filename());
        let owners = projects_of(path.filename()).into_iter().filter(|owner| Some(owner) != first.as_ref());
        let (mut listed, mut others) = (Vec::new(), Vec::new());
        for project in first.iter().cloned().chain(owners).take(MAX_OWNERS) {
            match self.inner.shared.registered_by_now(&project).await? {
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
        let page = line
            .page
            .upgrade()
            .filter(|page| self.inner.pages.is_fresh_as_it_was(page, self.inner.shared.now()));
        if page.is_none() {
            self.inner.lines.remove(path);
        }
        page.map(|_| {
            self.inner.shared.hits.increment(1);
            Located { file: line.file, stale: false }
        })
    }

    /// Whether no page or document of upstream's names the file, by copies that are as new as they have to be. Fails if
    /// upstream cannot be asked. `project`: whose the path says it is, if it says so.
    pub async fn is_unnamed(
        &self,
        path: &FilePath,
        project: Option<&ProjectName>,
    ) -> Result<bool, IndexError> {
        let mut owners: Vec<_> = self.inner.shared.journal.project_at(path).await?.into_iter().collect();
        owners.extend(project.cloned());
        owners.extend(projects_of(path.filename()).into_iter().take(MAX_OWNERS));
        for owner in owners {
            let stale = match self.held_page(&owner).await {
                Ok(page) => page.stale,
                Err(IndexError::NoSuchProject) => continue,
                Err(error) => return Err(error),
            };
            let documents_stale = match self.held_json(&owner, None).await {
                Ok(document) => document.stale,
                Err(IndexError::NoSuchProject | IndexError::NoSuchRelease) => false,
                Err(error) => return Err(error),
            };
            if stale || documents_stale {
                return Ok(false);
            }
        }
        // It may have come meanwhile.
        Ok(matches!(self.file(path).await, Err(IndexError::NoSuchFile)))
    }

    /// A project's file, or its `.metadata`, by its name alone: what the old addresses tell (docs/wire.md section 7).
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
        let page = self.held_page(project).await.map_err(gone)?;
        let named = page.content.files_of(line).find(&wanted);
        if let Some(file) = named {
            return Ok((Located { file, stale: page.stale }, Some(page)));
        }
        self.in_document(project, wanted).await
    }

    /// Among the files that only the JSON API names.
    async fn in_document(
        &self,
        project: &ProjectName,
        wanted: impl Fn(&KnownFile) -> bool,
    ) -> Result<Found, IndexError> {
        let document = self.held_json(project, None).await.map_err(gone)?;
        let file = document.content.known().find(wanted).ok_or(IndexError::NoSuchFile)?;
        Ok((Located { file, stale: document.stale }, None))
    }
}

/// What has no page or document has no file.
fn gone(error: IndexError) -> IndexError {
    match error {
        IndexError::NoSuchProject | IndexError::NoSuchRelease => IndexError::NoSuchFile,
        error => error,
    }
}

impl ProjectPage {
    fn files_of(&self, line: impl Fn(&PageFile) -> bool) -> impl Iterator<Item = KnownFile> {
        self.files.iter().filter(move |file| line(file)).flat_map(|file| file.known(&self.name))
    }
}

impl PageFile {
    /// This file, or its metadata if that exists, if the path is its own.
    fn named(&self, path: &FilePath, project: &ProjectName) -> Option<KnownFile> {
        is_or_has_metadata(&self.path, path).then(|| self.known(project).find(|known| known.path == *path))?
    }

    /// The same if the path was its own before.
    fn named_before(&self, path: &FilePath, project: &ProjectName) -> Option<KnownFile> {
        let earlier = self.earlier.as_ref().filter(|earlier| is_or_has_metadata(earlier, path))?;
        let mut known = self.known(project);
        if earlier == path { known.next() } else { known.nth(1) }
    }
}

/// The path is the file's, or that of its metadata.
fn is_or_has_metadata(file: &FilePath, path: &FilePath) -> bool {
    file == path || path.as_str().strip_suffix(".metadata") == Some(file.as_str())
}
