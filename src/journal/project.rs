//! The projects of the index with their registered spellings and last serials.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::parsed_event::ParsedEvent;
use super::position::{self, Position};
use super::{Journal, JournalError, facts, known_since, lead, quarantine, search, silent};
use crate::metric;
use crate::model::{Action, ProjectName, Serial};

/// Rows that are read at a time. A read is short then (about a millisecond) and holds no lock while the rows
/// go out, however slow the client.
pub(super) const CHUNK_ROWS: u32 = 1000;

/// An answer of many rows, in pieces that are read as they are asked for. An error is the last piece; an end
/// without one is the true end.
pub type Chunks<T> = BoxStream<'static, Result<Vec<T>, JournalError>>;

/// A row of the project table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The name as registered.
    pub spelling: String,
    /// The serial of its last event, as far as upstream told.
    pub serial: Option<Serial>,
}

impl Journal {
    /// A project that is in the table or in quarantine.
    pub async fn registered(&self, name: &ProjectName) -> Result<Option<Project>, JournalError> {
        let name = name.clone();
        self.read(move |connection| {
            let sql = "SELECT spelling, serial FROM projects WHERE name = ?1 UNION ALL \
                       SELECT ifnull(spelling, project), serial FROM quarantined WHERE project = ?1 LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let project = |row: &rusqlite::Row<'_>| {
                Ok(Project { spelling: row.get(0)?, serial: row.get::<_, Option<i64>>(1)?.map(Serial) })
            };
            statement.query_row([name.as_str()], project).optional()
        })
        .await
    }

    /// A project by its name.
    pub async fn project(&self, name: &ProjectName) -> Result<Option<Project>, JournalError> {
        let name = name.clone();
        self.read(move |connection| {
            let sql = "SELECT spelling, serial FROM projects WHERE name = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([name.as_str()], |row| {
                Ok(Project { spelling: row.get(0)?, serial: row.get::<_, Option<i64>>(1)?.map(Serial) })
            });
            found.optional()
        })
        .await
    }

    /// All projects in the order of their normalised names. Whether the table is filled at all,
    /// [`Journal::projects_known`] tells. A project that comes or goes meanwhile may or may not be in it.
    pub fn projects(&self) -> Chunks<Project> {
        self.projects_from(None)
    }

    /// The same, those after a name.
    pub fn projects_from(&self, after: Option<&ProjectName>) -> Chunks<Project> {
        let journal = self.clone();
        let start = after.map_or("", ProjectName::as_str).to_owned();
        stream::unfold(Some(start), move |after| {
            let journal = journal.clone();
            async move {
                match journal.projects_after(after?).await {
                    Ok((rows, _)) if rows.is_empty() => None,
                    Ok((rows, last)) => Some((Ok(rows), Some(last))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
        .boxed()
    }

    /// The next rows, and the name of the last one.
    async fn projects_after(&self, mut after: String) -> Result<(Vec<Project>, String), JournalError> {
        self.read(move |connection| {
            let sql = "SELECT name, spelling, serial FROM projects WHERE name > ?1 ORDER BY name LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![after, CHUNK_ROWS])?;
            let mut chunk = Vec::new();
            let mut last = None;
            while let Some(row) = rows.next()? {
                last = Some(row.get(0)?);
                let serial = row.get::<_, Option<i64>>(2)?.map(Serial);
                chunk.push(Project { spelling: row.get(1)?, serial });
            }
            if let Some(last) = last {
                after = last;
            }
            Ok((chunk, after))
        })
        .await
    }

    /// Fills the project table from a listing that is right up to `last_serial`, in place of what it had. A
    /// listing older than the table changes nothing: upstream's may be half an hour old (docs/wire.md section 8).
    /// Names that are none are left out and counted.
    pub async fn seed(
        &self,
        listing: Vec<(String, Option<Serial>)>,
        last_serial: Serial,
    ) -> Result<(), JournalError> {
        let (known, names, moment) = (self.known(), Arc::clone(self.names()), self.clock().unix_millis());
        let silence = Arc::clone(self.silence());
        self.write_then(
            move |connection| {
                let table = position::get(connection)?;
                let reached = match table {
                    Some(at) if at.theirs > last_serial => at,
                    // Its own numbers say how new it is; ours go on.
                    Some(at) if at.is_ahead() => at,
                    Some(_) | None => Position::same(last_serial),
                };
                let mut version = 0;
                if table.is_none_or(|at| at.theirs <= last_serial) {
                    // Its rows may be others although its serial is the same.
                    if table.is_some() {
                        version = silent::changed(connection)?;
                    }
                    fill(connection, &listing)?;
                    quarantine::after_listing(connection)?;
                    lead::carry(connection)?;
                    search::forget_missing(connection)?;
                    position::set(connection, reached)?;
                }
                let heard = facts::raise(connection, facts::HEARD_SERIAL, reached.ours.0)?;
                known_since::begin(connection, moment, reached.ours.0)?;
                Ok((reached, Serial(heard), version))
            },
            move |&(reached, heard, version)| {
                silence.set_version(version);
                names.drop_all();
                known.listed(reached, heard);
            },
        )
        .await?;
        self.note_head().await;
        Ok(())
    }
}

fn fill(connection: &Connection, listing: &[(String, Option<Serial>)]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM projects", [])?;
    let sql = "INSERT INTO projects (name, spelling, serial) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO UPDATE SET spelling = excluded.spelling, serial = excluded.serial";
    let mut statement = connection.prepare_cached(sql)?;
    let mut unreadable = 0_u64;
    for (spelling, serial) in listing {
        match ProjectName::parse(spelling) {
            Ok(name) => {
                statement.execute(params![name.as_str(), spelling, serial.map(|serial| serial.0)])?;
            }
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::warn!(unreadable, "the listing has names that are no project names; they are left out");
        metrics::counter!(metric::JOURNAL_UNREADABLE_NAMES_TOTAL).increment(unreadable);
    }
    Ok(())
}

/// Carries the table, and what is in quarantine, over one event; events come in the order of their serials.
pub(super) fn apply(connection: &Connection, parsed: &ParsedEvent<'_>) -> rusqlite::Result<()> {
    let Some((name, action)) = parsed.meaning() else { return Ok(()) };
    let event = parsed.event;
    let (project, serial) = (name.as_str(), event.serial);
    let update = |sql: &str| {
        connection.prepare_cached(sql)?.execute(params![project, event.name, serial.0]).map(|_| ())
    };
    let insert = "INSERT INTO projects (name, spelling, serial) VALUES (?1, ?2, ?3) \
                  ON CONFLICT DO UPDATE SET spelling = excluded.spelling, \
                  serial = max(excluded.serial, ifnull(serial, excluded.serial))";
    match action {
        Action::RemoveProject => {
            quarantine::leave(connection, project)?;
            connection.prepare_cached("DELETE FROM projects WHERE name = ?1")?.execute([project]).map(|_| ())
        }
        Action::ProjectQuarantined => quarantine::enter(connection, project, Some(&event.name), Some(serial)),
        // Upstream's listing lacks a project in quarantine, so it may never have been in the table.
        Action::ProjectQuarantineCleared | Action::Create => {
            quarantine::leave(connection, project)?;
            update(insert)
        }
        // Whatever else happens to one in quarantine does not list it, but that it is registered anew.
        Action::NewRelease
        | Action::AddFile { .. }
        | Action::RemoveFile { .. }
        | Action::RemoveRelease
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::ReleaseQuarantined
        | Action::ReleaseQuarantineCleared
        | Action::Other(_)
            if quarantine::heed(connection, project, &event.name, serial)? =>
        {
            Ok(())
        }
        Action::NewRelease | Action::AddFile { .. } => update(insert),
        // None of these makes a project: a role that is revoked after a removal must not bring it back.
        Action::RemoveFile { .. }
        | Action::RemoveRelease
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::ReleaseQuarantined
        | Action::ReleaseQuarantineCleared
        | Action::Other(_) => {
            update("UPDATE projects SET spelling = ?2, serial = max(?3, ifnull(serial, ?3)) WHERE name = ?1")
        }
    }
}
