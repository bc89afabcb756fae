//! Changes with their events and their consequences on pages, documents and files.

use std::sync::Arc;

use crate::model::{Action, Event, ProjectName, Serial};

use super::SandboxError;
use super::artefact::{File, Recipe};
use super::change::{Change, Publication};
use super::project::{Project, Release, Role, Status, Upload};
use super::shop::Shop;

/// Serials from one event to the next at run time, and seconds where no clock says when: fixed, so that runs are alike.
const STEP: i64 = 2;

/// A change to a project, release or file that is not there.
fn absent(what: &str) -> SandboxError {
    SandboxError::Absent(what.to_owned())
}

impl Shop {
    /// Makes it happen: all of it or nothing. `now`: Unix seconds; without it each event comes a little after the one
    /// before. The serial of its last event.
    pub(super) fn change(&mut self, change: Change, now: Option<i64>) -> Result<Serial, SandboxError> {
        let spelling = change.name().to_owned();
        let name = ProjectName::parse(&spelling).map_err(|error| absent(&format!("{spelling}: {error}")))?;
        let current = self.project(&name, Serial(i64::MAX));
        let mut next = current.as_deref().cloned();
        let mut events = Vec::new();
        if let Change::Publish(publication) = change {
            let project = next.get_or_insert_with(|| {
                events.push((None, "create".to_owned()));
                new_project(&publication.name)
            });
            publish(project, &publication, &mut events)?;
        } else {
            let project = next.as_mut().ok_or_else(|| absent(&spelling))?;
            apply(project, &change, &mut events)?;
        }
        let Some(mut project) = next else { return Err(absent(&spelling)) };
        // Whoever notes an old bare `remove` removes the project too.
        let gone = events.last().is_some_and(|(version, action)| {
            Action::parse(action, version.is_some()) == Action::RemoveProject
        });
        let first = self.last_event().map_or((0, 0), |event| (event.serial.0, event.time));
        for (n, (version, action)) in (1..).zip(events) {
            let (serial, time) = (first.0 + n * STEP, now.unwrap_or(first.1 + n * STEP));
            stamp(&mut project, &action, time);
            project.last_serial = Serial(serial);
            self.record(Event { serial: Serial(serial), name: project.name.clone(), version, time, action });
        }
        let serial = project.last_serial;
        if gone {
            self.remove(&name);
        } else {
            self.put(name, project);
        }
        Ok(serial)
    }
}

type Events = Vec<(Option<String>, String)>;

/// Gives the file of an `add` event its time.
fn stamp(project: &mut Project, action: &str, time: i64) {
    let Some((_, filename)) = action.strip_prefix("add ").and_then(|rest| rest.split_once(" file ")) else {
        return;
    };
    let uploads = project.releases.iter_mut().flat_map(|release| &mut release.files);
    for upload in uploads.filter(|upload| upload.file.filename == filename) {
        upload.time = time;
    }
}

fn new_project(name: &str) -> Project {
    Project {
        name: name.to_owned(),
        status: Status::Active,
        status_reason: None,
        organization: None,
        roles: Vec::new(),
        releases: Vec::new(),
        last_serial: Serial(0),
    }
}

fn publish(project: &mut Project, wanted: &Publication, events: &mut Events) -> Result<(), SandboxError> {
    let version = Some(wanted.version.clone());
    let known = project.releases.iter().position(|release| release.version == wanted.version);
    let place = known.unwrap_or_else(|| {
        events.push((version.clone(), "new release".to_owned()));
        project.releases.push(Release {
            version: wanted.version.clone(),
            info: Arc::new(wanted.info.clone()),
            files: Vec::new(),
            yanked: None,
            quarantined: false,
        });
        project.releases.len() - 1
    });
    let name = project.name.clone();
    let release = &mut project.releases[place];
    for form in &wanted.files {
        let info = release.info.clone();
        let recipe = Recipe { name: &name, version: &wanted.version, info: &info, script: false, bulk: None };
        let file =
            File::make(&recipe, form).map_err(|error| SandboxError::Pack { project: name.clone(), error })?;
        if release.files.iter().any(|upload| upload.file.filename == file.filename) {
            return Err(SandboxError::FileExists(file.filename));
        }
        events.push((version.clone(), format!("add {} file {}", file.tag, file.filename)));
        release.files.push(Upload { time: 0, file: Arc::new(file) });
    }
    Ok(())
}

fn apply(project: &mut Project, change: &Change, events: &mut Events) -> Result<(), SandboxError> {
    match change {
        // Handled by the caller, which may have to make the project first.
        Change::Publish(publication) => publish(project, publication, events)?,
        Change::RemoveFile { filename, .. } => {
            let named = |upload: &Upload| upload.file.filename == *filename;
            let holder = project.releases.iter_mut().find(|release| release.files.iter().any(named));
            let release = holder.ok_or_else(|| absent(filename))?;
            release.files.retain(|upload| !named(upload));
            events.push((Some(release.version.clone()), format!("remove file {filename}")));
        }
        Change::RemoveRelease { version, .. } => {
            find(project, version)?;
            project.releases.retain(|release| release.version != *version);
            events.push((Some(version.clone()), "remove release".to_owned()));
        }
        Change::RemoveProject { .. } => events.push((None, "remove project".to_owned())),
        Change::Yank { version, reason, .. } => {
            find(project, version)?.yanked.clone_from(reason);
            let action = if reason.is_some() { "yank release" } else { "unyank release" };
            events.push((Some(version.clone()), action.to_owned()));
        }
        Change::Quarantine { version, cleared, .. } => {
            let what = if let Some(version) = version {
                find(project, version)?.quarantined = !cleared;
                "release"
            } else {
                project.status = if *cleared { Status::Active } else { Status::Quarantined };
                "project"
            };
            let action = if *cleared { "quarantine cleared" } else { "quarantined" };
            events.push((version.clone(), format!("{what} {action}")));
        }
        Change::AddRole { role, .. } => {
            events.push((None, format!("add {} {}", role.role, role.user)));
            project.roles.push(role.clone());
            project.roles.sort_by_key(Role::place);
        }
        Change::Note { version, action, .. } => events.push((version.clone(), action.clone())),
    }
    Ok(())
}

fn find<'a>(project: &'a mut Project, version: &str) -> Result<&'a mut Release, SandboxError> {
    let name = project.name.clone();
    let found = project.releases.iter_mut().find(|release| release.version == version);
    found.ok_or_else(|| absent(&format!("{name} {version}")))
}
