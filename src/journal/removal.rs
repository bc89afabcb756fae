//! When upstream last took something of a project away: a page from before that must not go out (docs/promises.md,
//! promise 10), also one that nobody had asked for when it happened. Tombstones tell of files that kept documents
//! name, these rows of all projects.

use rusqlite::{Connection, params};

use super::parsed_event::ParsedEvent;
use super::{Journal, JournalError, recent};
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

    /// The last event that took something of the project away, of those of the last 30 days and of those that tombstones
    /// tell; `None` if there is none, or if the event is not kept any more.
    pub async fn last_removal(&self, project: &ProjectName) -> Result<Option<Event>, JournalError> {
        let project = project.clone();
        self.read(move |connection| {
            let sql = "SELECT max(serial) FROM (SELECT serial FROM removals WHERE project = ?1 UNION ALL \
                       SELECT serial FROM tombstones WHERE project = ?1)";
            let mut last = connection.prepare_cached(sql)?;
            let last: Option<i64> = last.query_row([project.as_str()], |row| row.get(0))?;
            last.map_or(Ok(None), |serial| recent::event_at(connection, serial))
        })
        .await
    }
}

/// Seconds for which a removal is noted: 30 days. An index upstream keeps no copy for longer, and all of history has
/// millions of removals.
const KEPT_COPIES: i64 = 30 * 86_400;

/// The time from which on removals among these events are worth a note.
pub(super) fn horizon(connection: &Connection, events: &[ParsedEvent<'_>]) -> rusqlite::Result<i64> {
    let sql = "SELECT max(time) FROM events";
    let newest: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let newest = newest.max(events.iter().map(|parsed| parsed.event.time).max());
    Ok(newest.map_or(i64::MIN, |newest| newest.saturating_sub(KEPT_COPIES)))
}

/// Notes an event that takes something away; they may come in any order. Others cost no statement.
pub(super) fn note(connection: &Connection, parsed: &ParsedEvent<'_>, horizon: i64) -> rusqlite::Result<()> {
    let event = parsed.event;
    if event.time < horizon {
        return Ok(());
    }
    let Some((project, action)) = parsed.meaning() else { return Ok(()) };
    match action {
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
    let sql = "INSERT INTO removals (project, serial) VALUES (?1, ?2) \
               ON CONFLICT DO UPDATE SET serial = max(serial, excluded.serial)";
    connection.prepare_cached(sql)?.execute(params![project.as_str(), event.serial.0]).map(|_| ())
}
