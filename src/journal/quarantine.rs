//! Projects in quarantine. Upstream's listing lacks them while their pages say so (docs/wire.md section 8): here they are not in
//! the table of projects, and so in no list and found by nobody, until the quarantine is cleared or the project removed.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::committed::Committed;
use super::{Journal, JournalError, search, silent};
use crate::model::{ProjectName, Serial};

impl Journal {
    /// A page of that serial says that its project is in quarantine: that holds as after the event, which may be from
    /// before the first listing. Of a project with a later event that one has told.
    pub async fn seen_quarantined(
        &self,
        project: &ProjectName,
        serial: Option<Serial>,
    ) -> Result<(), JournalError> {
        let project = project.clone();
        let work = move |connection: &Connection| {
            let sql = "SELECT serial FROM projects WHERE name = ?1";
            let row = connection.prepare_cached(sql)?.query_row([project.as_str()], |row| row.get(0));
            let row: Option<Option<i64>> = row.optional()?;
            let last_event = row.flatten().map(Serial);
            if last_event > serial {
                return Ok(((), Committed::default()));
            }
            enter(connection, project.as_str(), None, serial)?;
            // It leaves the list, and no event says so.
            let version = if row.is_some() { silent::changed(connection)? } else { 0 };
            let projects = search::changes(connection, BTreeSet::from([project.as_str().to_owned()]))?;
            Ok(((), Committed { projects, version, ..Committed::default() }))
        };
        self.commit(work).await
    }

    /// Whether a project is in quarantine, as far as is known.
    pub async fn is_quarantined(&self, project: &ProjectName) -> Result<bool, JournalError> {
        let project = project.clone();
        self.read(move |connection| {
            let sql = "SELECT 1 FROM quarantined WHERE project = ?1";
            connection.prepare_cached(sql)?.exists([project.as_str()])
        })
        .await
    }
}

/// The project is in quarantine now. `spelling`, `serial`: of the event, if one tells it.
pub(super) fn enter(
    connection: &Connection,
    project: &str,
    spelling: Option<&str>,
    serial: Option<Serial>,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO quarantined (project, spelling, serial) \
               SELECT name, spelling, serial FROM projects WHERE name = ?1";
    connection.prepare_cached(sql)?.execute([project])?;
    let sql = "INSERT INTO quarantined (project, spelling, serial) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET \
               spelling = ifnull(excluded.spelling, spelling), \
               serial = max(ifnull(serial, excluded.serial), ifnull(excluded.serial, serial))";
    connection.prepare_cached(sql)?.execute(params![project, spelling, serial.map(|serial| serial.0)])?;
    connection.prepare_cached("DELETE FROM projects WHERE name = ?1")?.execute([project])?;
    search::unlearn(connection, project)
}

/// It is no more.
pub(super) fn leave(connection: &Connection, project: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM quarantined WHERE project = ?1")?.execute([project]).map(|_| ())
}

/// Notes an event that leaves it as it is. Tells whether the project is in quarantine.
pub(super) fn heed(
    connection: &Connection,
    project: &str,
    spelling: &str,
    serial: Serial,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE quarantined SET spelling = ?2, serial = max(?3, ifnull(serial, ?3)) WHERE project = ?1";
    Ok(connection.prepare_cached(sql)?.execute(params![project, spelling, serial.0])? > 0)
}

/// The table was filled from a listing. Of what that lists although it was in quarantine, the serial tells whether
/// anything happened since; without serials the listing is believed.
pub(super) fn after_listing(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM quarantined WHERE EXISTS (SELECT 1 FROM projects WHERE name = project AND ifnull(projects.serial > \
         ifnull((SELECT stated FROM leads WHERE leads.project = name), quarantined.serial), 1)); \
         DELETE FROM projects WHERE name IN (SELECT project FROM quarantined);",
    )
}

/// All of them with the serials of their last events.
pub(super) fn serials(connection: &Connection) -> rusqlite::Result<HashMap<String, Option<i64>>> {
    let mut statement = connection.prepare_cached("SELECT project, serial FROM quarantined")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
