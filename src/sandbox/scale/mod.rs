//! An index as large as the real one: names from a list, events computed by their index, never held.
//!
//! Held are the list and two numbers a project. Nothing here grows with the number of events.

mod events;
mod generate;
mod names;
mod settings;

use std::path::Path;
use std::sync::Arc;

use crate::model::{Event, FilePath, ProjectName, Serial};

use super::SandboxError;
use super::artefact::{File, Recipe};
use super::info::Info;
use super::project::{Project, Release, Status, Upload};
use events::Events;
pub use generate::generate_list;
pub use names::ListError;
use names::{Listed, Names};
pub use settings::ScaleSettings;

/// The only file of a release.
const WHEEL: &str = "py3-none-any";

/// The index.
#[derive(Debug)]
pub(super) struct Scale {
    names: Names,
    events: Events,
    /// For each project by place: the index of its first event plus one; 0 if it has none.
    first: Vec<u32>,
    /// The same of its last.
    last: Vec<u32>,
}

impl Scale {
    /// Reads the list and finds every project's last event: one pass over all, a second for 36 million.
    pub(super) fn open(settings: &ScaleSettings) -> Result<Self, SandboxError> {
        if settings.events > ScaleSettings::MOST_EVENTS {
            return Err(SandboxError::TooManyEvents(settings.events));
        }
        let names = Names::read(Path::new(&settings.projects))?;
        let events = Events::new(settings.events, names.len());
        let (mut first, mut last) = (vec![0; names.len()], vec![0; names.len()]);
        for (event, end) in (0..settings.events).zip(1..) {
            let place = events.project(event);
            last[place] = end;
            if first[place] == 0 {
                first[place] = end;
            }
        }
        Ok(Self { names, events, first, last })
    }

    pub(super) fn last_serial(&self) -> Serial {
        Serial(Events::serial_before(self.events.len()))
    }

    /// At most `limit` events after `serial`, ascending.
    pub(super) fn events_after(&self, serial: Serial, limit: usize) -> Vec<Event> {
        let first = self.events.first_after(serial.0);
        let indices = first..self.events.len();
        indices.take(limit).filter_map(|index| self.event(index)).collect()
    }

    fn event(&self, index: u64) -> Option<Event> {
        let place = self.events.project(index);
        let creation = u64::from(self.first[place]) == index + 1;
        Some(self.events.event(index, self.names.get(place)?, creation))
    }

    fn serial(&self, place: usize) -> Serial {
        // No event of its own: something happened before the journal's first.
        Serial(Events::serial_before(u64::from(self.last[place])))
    }

    /// Registered spelling and last serial of a range of places, in name order; empty past the end.
    pub(super) fn listed(&self, place: usize) -> Option<(String, Serial)> {
        Some((self.names.get(place)?.name.to_owned(), self.serial(place)))
    }

    /// A project with its only file, made anew each time.
    pub(super) fn project(&self, name: &ProjectName) -> Option<Arc<Project>> {
        let place = self.names.place(name)?;
        let listed = self.names.get(place)?;
        Some(Arc::new(Project {
            name: listed.name.to_owned(),
            status: Status::Active,
            status_reason: None,
            organization: None,
            roles: Vec::new(),
            releases: listed
                .version
                .and_then(|version| self.release(place, listed, version))
                .into_iter()
                .collect(),
            last_serial: self.serial(place),
        }))
    }

    fn release(&self, place: usize, listed: Listed<'_>, version: &str) -> Option<Release> {
        let info = Info { summary: Some(listed.summary.to_owned()), ..Info::default() };
        let recipe = Recipe { name: listed.name, version, info: &info, script: false, bulk: None };
        let file = File::make(&recipe, WHEEL)
            .inspect_err(|error| tracing::error!(%error, name = listed.name, "cannot pack a wheel"))
            .ok()?;
        let time = self.events.time(u64::from(self.last[place]).saturating_sub(1));
        Some(Release {
            version: version.to_owned(),
            info: Arc::new(info),
            files: vec![Upload { time, file: Arc::new(file) }],
            yanked: None,
            quarantined: false,
        })
    }

    /// A file by its path: its name says whose it is, and only the right digest finds it.
    pub(super) fn file(&self, path: &FilePath) -> Option<Upload> {
        let (module, _) = path.filename().split_once('-')?;
        let project = self.project(&ProjectName::parse(module).ok()?)?;
        project.files().map(|(_, upload)| upload).find(|upload| upload.file.path == *path).cloned()
    }
}

#[cfg(test)]
mod tests;
