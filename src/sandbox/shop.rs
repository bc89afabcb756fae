//! The fixtures' index: its projects, its files and its journal, which always agree.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{Event, FilePath, ProjectName, Serial};

use super::project::{Project, Upload};

/// As many states of a project are kept for stale answers; a test changes a project a few times.
const STATES: usize = 16;

/// The whole index. Cheap to clone: projects and files are shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Shop {
    /// The states of each live project, oldest first, never empty.
    projects: BTreeMap<ProjectName, Vec<Arc<Project>>>,
    files: HashMap<FilePath, Upload>,
    journal: Vec<Event>,
    /// The last serial before anything happened at run time.
    built: Serial,
    /// Another state of all this, to go back to.
    backup: Option<Arc<Shop>>,
    /// How often it went back.
    restored: u64,
}

impl Shop {
    /// Appends an event.
    pub(super) fn record(&mut self, event: Event) {
        self.journal.push(event);
    }

    /// Everything from now on happens at run time.
    pub(super) fn built(mut self) -> Self {
        self.built = self.last_event().map_or(Serial(0), |event| event.serial);
        self
    }

    /// Keeps all as it is now, in place of what was kept before.
    pub(super) fn back_up(&mut self) {
        self.backup = None;
        self.backup = Some(Arc::new(self.clone()));
    }

    /// Goes back to what was kept; it stays kept. Tells whether there was any.
    pub(super) fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.take() else { return false };
        *self = Self {
            restored: self.restored + 1,
            backup: Some(backup.clone()),
            ..Arc::unwrap_or_clone(backup)
        };
        true
    }

    /// How often it went back to a backup: the same serials stand for something else each time.
    pub(super) fn restored(&self) -> u64 {
        self.restored
    }

    /// The last event.
    pub(super) fn last_event(&self) -> Option<&Event> {
        self.journal.last()
    }

    /// At most `limit` events after `serial`, ascending.
    pub(super) fn events_after(&self, serial: Serial, limit: usize) -> &[Event] {
        let start = self.journal.partition_point(|event| event.serial <= serial);
        let rest = &self.journal[start..];
        &rest[..rest.len().min(limit)]
    }

    /// Makes `project` the current state, and its files the files.
    pub(super) fn put(&mut self, name: ProjectName, project: Project) {
        self.forget_files(&name);
        for upload in project.releases.iter().flat_map(|release| &release.files) {
            self.files.insert(upload.file.path.clone(), upload.clone());
        }
        let states = self.projects.entry(name).or_default();
        if states.len() == STATES {
            // Not the first: it stands for everything before.
            states.remove(1);
        }
        states.push(Arc::new(project));
    }

    /// Removes a project and its files.
    pub(super) fn remove(&mut self, name: &ProjectName) {
        self.forget_files(name);
        self.projects.remove(name);
    }

    fn forget_files(&mut self, name: &ProjectName) {
        let Some(project) = self.projects.get(name).and_then(|states| states.last()) else { return };
        for upload in project.releases.iter().flat_map(|release| &release.files) {
            self.files.remove(&upload.file.path);
        }
    }

    /// A project as it was at `serial`, or as far back as is known; none if it was made later.
    pub(super) fn project(&self, name: &ProjectName, at: Serial) -> Option<Arc<Project>> {
        let states = self.projects.get(name)?;
        self.state_at(states, at).cloned()
    }

    /// Every project in name order, as it was at `serial`.
    pub(super) fn projects(&self, at: Serial) -> impl Iterator<Item = &Arc<Project>> {
        self.projects.values().filter_map(move |states| self.state_at(states, at))
    }

    /// A file by its path.
    pub(super) fn file(&self, path: &FilePath) -> Option<Upload> {
        self.files.get(path).cloned()
    }

    fn state_at<'a>(&self, states: &'a [Arc<Project>], at: Serial) -> Option<&'a Arc<Project>> {
        let first = || states.first().filter(|state| state.last_serial <= self.built);
        states.iter().rev().find(|state| state.last_serial <= at).or_else(first)
    }
}
