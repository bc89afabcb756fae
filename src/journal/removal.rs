//! When upstream last took something of a project away: a page from before that must not go out (DESIGN.md,
//! promise 10), also one that nobody had asked for when it happened. Tombstones tell of files that kept documents
//! name, these rows of all projects.

use rusqlite::{Connection, params};

use super::{Journal, JournalError};
use crate::model::{Action, Event, ProjectName, Serial};

impl Journal {
    /// Whether the journal knows that files of the project went after `serial`, so that a page as old as that must
    /// not go out. Without a serial only files that kept documents name tell.
    pub async fn removed_after(
        &self,
        project: &ProjectName,
        serial: Option<Serial>,
    ) -> Result<bool, JournalError> {
        let project = project.clone();
        self.read(move |connection| {
            // NULL compares with nothing: of a page that states no serial, history from long ago says nothing.
            let sql = "SELECT EXISTS (SELECT 1 FROM tombstones WHERE project = ?1 AND serial > ifnull(?2, -1)) \
                       OR EXISTS (SELECT 1 FROM removals WHERE project = ?1 AND serial > ?2)";
            let row = params![project.as_str(), serial.map(|serial| serial.0)];
            connection.prepare_cached(sql)?.query_row(row, |row| row.get(0))
        })
        .await
    }
}

/// Notes an event that takes something away; they may come in any order. Others cost no statement.
pub(super) fn note(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    match Action::parse(&event.action, event.version.is_some()) {
        Action::RemoveFile { .. }
        | Action::RemoveRelease
        | Action::RemoveProject
        | Action::ProjectQuarantined
        | Action::ReleaseQuarantined => {}
        Action::Create
        | Action::NewRelease
        | Action::AddFile { .. }
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::ProjectQuarantineCleared
        | Action::ReleaseQuarantineCleared
        | Action::Other(_) => return Ok(()),
    }
    let Ok(project) = ProjectName::parse(&event.name) else { return Ok(()) };
    let sql = "INSERT INTO removals (project, serial) VALUES (?1, ?2) \
               ON CONFLICT DO UPDATE SET serial = max(serial, excluded.serial)";
    connection.prepare_cached(sql)?.execute(params![project.as_str(), event.serial.0]).map(|_| ())
}
