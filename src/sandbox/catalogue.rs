//! The index that a sandbox serves, whatever it is made from.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::{Event, FilePath, ProjectName, Serial};

use super::SandboxError;
use super::change::Change;
use super::project::{Project, Status, Upload};
use super::scale::Scale;
use super::shop::Shop;

/// What is served. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Catalogue {
    /// The fixtures, and what has happened to them since.
    Fixtures(Arc<RwLock<Shop>>),
    /// A large one that does not change.
    Scale(Arc<Scale>),
}

/// Which projects a list has. Upstream's two differ (docs/wire.md section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// All that are registered: `list_packages_with_serial`.
    Registered,
    /// Without those in quarantine: `/simple/`, in both forms.
    Installable,
}

impl Catalogue {
    pub(super) fn fixtures(shop: Shop) -> Self {
        Self::Fixtures(Arc::new(RwLock::new(shop)))
    }

    /// The serial of the last event.
    pub(super) fn last_serial(&self) -> Serial {
        match self {
            Self::Fixtures(shop) => read(shop).last_event().map_or(Serial(0), |event| event.serial),
            Self::Scale(scale) => scale.last_serial(),
        }
    }

    /// At most `limit` events after `serial`, ascending.
    pub(super) fn events_after(&self, serial: Serial, limit: usize) -> Vec<Event> {
        match self {
            Self::Fixtures(shop) => read(shop).events_after(serial, limit).to_vec(),
            Self::Scale(scale) => scale.events_after(serial, limit),
        }
    }

    /// A project as it was at a serial, or as far back as is known.
    pub(super) fn project(&self, name: &ProjectName, at: Serial) -> Option<Arc<Project>> {
        match self {
            Self::Fixtures(shop) => read(shop).project(name, at),
            Self::Scale(scale) => scale.project(name),
        }
    }

    /// Registered spelling and last serial of the projects that a list has, as they were at `at`, in the order of their
    /// normal names.
    pub(super) fn listing(
        &self,
        at: Serial,
        listed: Listed,
    ) -> Box<dyn Iterator<Item = (String, Serial)> + Send> {
        let aged = move |(name, serial): (String, Serial)| (name, serial.min(at));
        match self {
            Self::Fixtures(shop) => {
                let row = |project: &Arc<Project>| (project.name.clone(), project.last_serial);
                let has = |project: &&Arc<Project>| {
                    listed == Listed::Registered || project.status != Status::Quarantined
                };
                let rows: Vec<_> = read(shop).projects(at).filter(has).map(row).collect();
                Box::new(rows.into_iter().map(aged))
            }
            Self::Scale(scale) => {
                let scale = scale.clone();
                Box::new((0..).map_while(move |place| scale.listed(place)).map(aged))
            }
        }
    }

    /// Every project as it is now; none of a large index, whose projects have neither roles nor classifiers
    /// to be found by.
    pub(super) fn projects(&self) -> Vec<Arc<Project>> {
        match self {
            Self::Fixtures(shop) => read(shop).projects(Serial(i64::MAX)).cloned().collect(),
            Self::Scale(_) => Vec::new(),
        }
    }

    /// A file by its path.
    pub(super) fn file(&self, path: &FilePath) -> Option<Upload> {
        match self {
            Self::Fixtures(shop) => read(shop).file(path),
            Self::Scale(scale) => scale.file(path),
        }
    }

    /// Keeps the whole index as it is now, to go back to.
    pub(super) fn back_up(&self) -> Result<(), SandboxError> {
        match self {
            Self::Fixtures(shop) => {
                write(shop).back_up();
                Ok(())
            }
            Self::Scale(_) => Err(SandboxError::Unchangeable),
        }
    }

    /// Goes back to what was kept. The serial of its last event.
    pub(super) fn restore(&self) -> Result<Serial, SandboxError> {
        match self {
            Self::Fixtures(shop) if write(shop).restore() => Ok(self.last_serial()),
            Self::Fixtures(_) => Err(SandboxError::NoBackup),
            Self::Scale(_) => Err(SandboxError::Unchangeable),
        }
    }

    /// How often it went back.
    pub(super) fn restored(&self) -> u64 {
        match self {
            Self::Fixtures(shop) => read(shop).restored(),
            Self::Scale(_) => 0,
        }
    }

    /// Makes something happen, at `now` in Unix seconds. The serial of its last event.
    pub(super) fn change(&self, change: Change, now: Option<i64>) -> Result<Serial, SandboxError> {
        match self {
            Self::Fixtures(shop) => write(shop).change(change, now),
            Self::Scale(_) => Err(SandboxError::Unchangeable),
        }
    }
}

fn read(shop: &RwLock<Shop>) -> RwLockReadGuard<'_, Shop> {
    shop.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shop: &RwLock<Shop>) -> RwLockWriteGuard<'_, Shop> {
    shop.write().unwrap_or_else(PoisonError::into_inner)
}
