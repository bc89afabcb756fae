//! Projects whose last event has a number above the serial that upstream states of them (see [`super::Position`]).
//!
//! Mirrors hold a page for stale whose serial is below that of the event that led them to it. So of such a project we
//! state our number, on its page as in the list; only a comparison with upstream's next listing takes upstream's.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Journal, JournalError, Position};
use crate::model::{ProjectName, Serial};

/// Two numbers for one state of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// What upstream states.
    pub stated: Serial,
    /// What the last event has.
    pub told: Serial,
}

impl Lead {
    /// The serial of a copy of which upstream states `serial`.
    pub fn of_copy(self, serial: Serial) -> Serial {
        if serial >= self.stated { serial.max(self.told) } else { serial }
    }
}

/// What makes a number of ours of a serial that upstream states of a project.
#[derive(Debug, Clone, Copy)]
pub struct Numbering {
    /// The project's lead, if it has one.
    pub lead: Option<Lead>,
    position: Option<Position>,
    most: Serial,
}

impl Numbering {
    /// Our number for a copy of which upstream states `serial`; `None` if that cannot be.
    pub fn of_copy(self, serial: Serial) -> Option<Serial> {
        if serial > self.most {
            return None;
        }
        // What is not told yet gets one after all that is.
        let next =
            self.position.filter(|at| at.is_ahead() && serial > at.theirs).map(|at| Serial(at.ours.0 + 1));
        let ours = self.lead.map_or(serial, |lead| lead.of_copy(serial));
        Some(next.map_or(ours, |next| ours.max(next)))
    }
}

impl Journal {
    /// What makes numbers of ours of what upstream states of a project now.
    pub async fn numbering(&self, name: &ProjectName) -> Result<Numbering, JournalError> {
        let unled = self.unled();
        // What is not used is not led either.
        let lead = if self.serials_say_nothing() { None } else { self.lead(name).await? };
        Ok(Numbering { lead, ..unled })
    }

    /// What of that is the same for all projects.
    pub(super) fn unled(&self) -> Numbering {
        Numbering { lead: None, position: self.position(), most: self.most_plausible() }
    }

    /// A project's, if it has one.
    pub async fn lead(&self, name: &ProjectName) -> Result<Option<Lead>, JournalError> {
        let name = name.clone();
        self.read(move |connection| get(connection, name.as_str())).await
    }
}

/// A project's, if it has one.
pub(super) fn get(connection: &Connection, project: &str) -> rusqlite::Result<Option<Lead>> {
    let sql = "SELECT stated, told FROM leads WHERE project = ?1";
    let lead = |row: &rusqlite::Row<'_>| Ok(Lead { stated: Serial(row.get(0)?), told: Serial(row.get(1)?) });
    connection.prepare_cached(sql)?.query_row([project], lead).optional()
}

/// Notes what upstream states of a project and what its last event has.
pub(super) fn note(connection: &Connection, project: &str, lead: Lead) -> rusqlite::Result<()> {
    if lead.told <= lead.stated {
        return forget(connection, project);
    }
    let sql = "INSERT OR REPLACE INTO leads VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![project, lead.stated.0, lead.told.0]).map(|_| ())
}

/// A project has none any more.
pub(super) fn forget(connection: &Connection, project: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM leads WHERE project = ?1")?.execute([project]).map(|_| ())
}

/// What upstream states of the projects that have one.
pub(super) fn stated(connection: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    let mut statement = connection.prepare_cached("SELECT project, stated FROM leads")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Carries them over a table that was filled from a listing again: our number of a project never goes back, and holds
/// until upstream's own is above it.
pub(super) fn carry(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM leads WHERE project NOT IN (SELECT name FROM projects) \
         AND project NOT IN (SELECT project FROM quarantined); \
         UPDATE leads SET stated = max(stated, ifnull(projects.serial, stated)) FROM projects \
         WHERE projects.name = leads.project; \
         UPDATE projects SET serial = max(leads.told, ifnull(projects.serial, leads.told)) FROM leads \
         WHERE leads.project = projects.name; \
         DELETE FROM leads WHERE told <= stated;",
    )
}
