//! From a path to an answer.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::bring::Bringer;
use super::contents::Contents;
use super::delivery::Delivery;
use super::resources::Resources;
use super::target::Target;
use super::{Conditions, RelayError, RelaySettings, Served};
use crate::blob::Store;
use crate::index::{Index, IndexError, Located};
use crate::journal::Journal;
use crate::model::{FilePath, ProjectName, Serial};
use crate::upstream::Upstream;

/// The relay of package files. Clones are one relay.
#[derive(Debug, Clone)]
pub struct Relay {
    pub(super) index: Index,
    pub(super) journal: Journal,
    pub(super) resources: Arc<Resources>,
    pub(super) delivery: Arc<Delivery>,
}

impl Relay {
    /// A relay that keeps files in `store`; `journal`: the index's. Fetches run on `tasks`, so that a drain can wait for them.
    pub fn new(
        index: Index,
        journal: Journal,
        upstream: Upstream,
        store: Store,
        settings: RelaySettings,
        tasks: TaskTracker,
    ) -> Self {
        Self::with_bringer(index, journal, upstream, store, settings, tasks, None)
    }

    /// The same with somebody who has files brought that upstream does not give.
    pub fn with_bringer(
        index: Index,
        journal: Journal,
        upstream: Upstream,
        store: Store,
        settings: RelaySettings,
        tasks: TaskTracker,
        bringer: Option<Arc<dyn Bringer>>,
    ) -> Self {
        let contents = Contents::new(Some(journal.clone()));
        let resources = Arc::new(Resources::new(upstream, store, settings, contents, bringer));
        let delivery = Arc::new(Delivery::new(Arc::clone(&resources), tasks));
        Self { index, journal, resources, delivery }
    }

    /// What its index is as new as.
    pub fn last_serial(&self) -> Option<Serial> {
        self.index.last_serial()
    }

    /// Answers for the file at a path below `/packages/`: upstream's own paths, and the old addresses
    /// `source/n/name/FILE` and `PYTAG/n/name/FILE`, which are looked up by file name (docs/wire.md section 7).
    ///
    /// A file is fetched only if upstream's index named it. Bodies are whole and right or end with an
    /// error. What is known to be gone is refused at once, with the reason and without asking upstream.
    pub async fn open(&self, path: &FilePath, want: &Conditions) -> Result<Served, RelayError> {
        self.refuse_gone(path).await?;
        let Located { file: known, stale } = match self.index.file(path).await {
            Err(IndexError::NoSuchFile) => {
                let Some(project) = old_address(path) else {
                    // It may have been removed while its page was asked for.
                    self.refuse_gone(path).await?;
                    return Err(IndexError::NoSuchFile.into());
                };
                self.at_old_address(path, &project).await?
            }
            found => found?,
        };
        if known.path != *path {
            // It is gone by the path of today.
            self.refuse_gone(&known.path).await?;
        }
        let served = self.delivery.serve(Target::new(&known), want).await;
        let served = self.remember(served, &known).await?;
        Ok(Served { stale, ..served })
    }
}

/// The project of an old address: four segments, the second the first letter of the third.
pub(super) fn old_address(path: &FilePath) -> Option<ProjectName> {
    let segments: Vec<_> = path.as_str().split('/').collect();
    let [_tag, initial, name, _file] = segments[..] else { return None };
    let of_name = name.get(..1).is_some_and(|first| first.eq_ignore_ascii_case(initial));
    ProjectName::parse(name).ok().filter(|_| of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(path: &str) -> Option<String> {
        old_address(&FilePath::parse(path).unwrap()).map(|name| name.to_string())
    }

    #[test]
    fn an_old_address_names_its_project() {
        assert_eq!(project("source/Z/Zope.Interface/x-1.tar.gz").as_deref(), Some("zope-interface"));
        assert_eq!(project("cp27/z/Zope/x-1.egg").as_deref(), Some("zope"));
        let today = format!("ab/cd/{}/x-1.tar.gz", "0".repeat(60));
        for other in [today.as_str(), "source/x/zope/x-1.tar.gz", "source/zope/x-1.tar.gz", "x-1.tar.gz"] {
            assert_eq!(project(other), None, "{other}");
        }
    }
}
