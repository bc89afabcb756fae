//! The index that a sandbox serves, whatever it is made from.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::{Event, FilePath, ProjectName, Serial};

use super::artefact::File;
use super::project::Project;
use super::shop::Shop;

/// What is served.
#[derive(Debug)]
pub(super) struct Catalogue(RwLock<Shop>);

impl Catalogue {
    pub(super) fn fixtures(shop: Shop) -> Self {
        Self(RwLock::new(shop))
    }

    /// The serial of the last event.
    pub(super) fn last_serial(&self) -> Serial {
        self.read().last_event().map_or(Serial(0), |event| event.serial)
    }

    /// At most `limit` events after `serial`, ascending.
    pub(super) fn events_after(&self, serial: Serial, limit: usize) -> Vec<Event> {
        self.read().events_after(serial, limit).to_vec()
    }

    /// A project as it was at a serial, or as far back as is known.
    pub(super) fn project(&self, name: &ProjectName, at: Serial) -> Option<Arc<Project>> {
        self.read().project(name, at)
    }

    /// Registered spelling and last serial of every project, in the order of their normal names.
    pub(super) fn listing(&self, at: Serial) -> impl Iterator<Item = (String, Serial)> + Send + use<> {
        let row = |project: &Arc<Project>| (project.name.clone(), project.last_serial.min(at));
        let rows: Vec<_> = self.read().projects(at).map(row).collect();
        rows.into_iter()
    }

    /// Every project as it is now.
    pub(super) fn projects(&self) -> Vec<Arc<Project>> {
        self.read().projects(Serial(i64::MAX)).cloned().collect()
    }

    /// A file by its path.
    pub(super) fn file(&self, path: &FilePath) -> Option<Arc<File>> {
        self.read().file(path)
    }

    /// For changing it.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Shop> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Shop> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
