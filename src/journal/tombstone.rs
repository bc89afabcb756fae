//! Files that are not to be had any more, and why: remembered absences (docs/promises.md, promise 10).
//!
//! Tombstones come in the transaction of the events that make them, so whoever knows the event finds the
//! tombstone, also after a crash. They are made for the files that kept documents name: no other file can be
//! asked for.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::parsed_event::ParsedEvent;
use super::{Journal, JournalError, known_file, pending_delete};
use crate::model::{Action, AskedVersions, Event, FilePath, KnownVersions, ProjectName, Sha256, version_of};

/// Why a file is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Which reason.
    pub kind: TombstoneKind,
    /// The reason in words.
    pub reason: String,
}

/// The kinds of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TombstoneKind {
    /// The journal says that the file, its release or its project was removed. For good, or until a file of that
    /// name is added again.
    Removed,
    /// The journal says that its release or project is quarantined. Until that is cleared.
    Quarantined,
    /// Upstream's index names it, but upstream answered 404 or 410 to it: for a while. Or who was asked to bring it said that it
    /// was deleted (docs/push.md): until a file of that name is added again.
    Absent,
}

impl TombstoneKind {
    fn column(self) -> i64 {
        match self {
            Self::Removed => 0,
            Self::Quarantined => 1,
            Self::Absent => 2,
        }
    }
}

impl Journal {
    /// The tombstone of a path, if it has one that still holds.
    pub async fn tombstone(&self, path: &FilePath) -> Result<Option<Tombstone>, JournalError> {
        let (path, now) = (path.clone(), self.clock().unix());
        self.read(move |connection| {
            let sql = "SELECT kind, reason FROM tombstones WHERE path = ?1 AND kind <> 3 \
                       AND (until IS NULL OR noted <= ?2 AND until > ?2)";
            connection.prepare_cached(sql)?.query_row(params![path.as_str(), now], read).optional()
        })
        .await
    }

    /// The same of a project's file, by its name alone.
    pub async fn tombstone_named(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Tombstone>, JournalError> {
        let (project, filename, now) = (project.clone(), filename.to_owned(), self.clock().unix());
        self.read(move |connection| {
            let sql = "SELECT kind, reason FROM tombstones WHERE project = ?1 AND filename = ?2 AND kind <> 3 \
                       AND (until IS NULL OR noted <= ?3 AND until > ?3) ORDER BY id DESC LIMIT 1";
            let named = params![project.as_str(), filename, now];
            connection.prepare_cached(sql)?.query_row(named, read).optional()
        })
        .await
    }

    /// The files of a project that have a tombstone, by their names, the newest first; at most so many.
    pub async fn tombstones_of(
        &self,
        project: &ProjectName,
        most: usize,
    ) -> Result<Vec<(String, Tombstone)>, JournalError> {
        let (project, now) = (project.clone(), self.clock().unix());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let sql = "SELECT kind, reason, filename FROM tombstones WHERE project = ?1 AND kind <> 3 \
                       AND (until IS NULL OR noted <= ?2 AND until > ?2) ORDER BY id DESC LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement
                .query_map(params![project.as_str(), now, most], |row| Ok((row.get(2)?, read(row)?)))?;
            found.collect()
        })
        .await
    }

    /// The files of a project whose metadata upstream is remembered not to have, each with the Unix seconds of until when.
    pub async fn absent_metadata(&self, project: &ProjectName) -> Result<Vec<(FilePath, i64)>, JournalError> {
        let (project, now) = (project.clone(), self.clock().unix());
        let found: Vec<(String, i64)> = self
            .read(move |connection| {
                let sql = "SELECT path, ifnull(until, 1 << 62) FROM tombstones WHERE project = ?1 AND kind = 2 \
                           AND filename LIKE '%.metadata' AND (until IS NULL OR noted <= ?2 AND until > ?2)";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement
                    .query_map(params![project.as_str(), now], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
            .await?;
        let file = |(path, until): (String, i64)| {
            let file = path.strip_suffix(".metadata")?;
            Some((FilePath::parse(file).ok()?, until))
        };
        Ok(found.into_iter().filter_map(file).collect())
    }

    /// Remembers that upstream lacks a file that its index names.
    pub async fn note_absent(
        &self,
        path: &FilePath,
        project: &ProjectName,
        reason: String,
        lifetime: Duration,
    ) -> Result<(), JournalError> {
        let (path, project) = (path.clone(), project.clone());
        let now = self.clock().unix();
        let until = now.saturating_add_unsigned(lifetime.as_secs());
        let most = self.settings().tombstones;
        let changed = self.removals();
        self.write_then(
            move |connection| {
                let sql = "INSERT INTO tombstones (path, project, filename, kind, reason, noted, until) \
                           VALUES (?1, ?2, ?3, 2, ?4, ?5, ?6) ON CONFLICT (path) DO UPDATE \
                           SET kind = 2, reason = excluded.reason, noted = excluded.noted, until = excluded.until \
                           WHERE kind IN (2, 3) AND until IS NOT NULL";
                let row = params![path.as_str(), project.as_str(), path.filename(), reason, now, until];
                connection.prepare_cached(sql)?.execute(row)?;
                bound(connection, most)
            },
            move |()| changed.send_modify(|version| *version += 1),
        )
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let kind = match row.get::<_, i64>(0)? {
        1 => TombstoneKind::Quarantined,
        2 => TombstoneKind::Absent,
        _ => TombstoneKind::Removed,
    };
    Ok(Tombstone { kind, reason: row.get(1)? })
}

/// A file that a kept document of the project names.
struct Named {
    path: String,
    filename: String,
    sha256: Option<Sha256>,
}

impl Named {
    /// Its name, or that of the file whose metadata it is.
    fn distribution(&self) -> &str {
        distribution(&self.filename)
    }
}

fn distribution(filename: &str) -> &str {
    filename.strip_suffix(".metadata").unwrap_or(filename)
}

/// Makes and clears the tombstones that an event asks for; tells whether anything changed. Events come in the
/// order of their serials.
pub(super) fn carry(connection: &Connection, parsed: &ParsedEvent<'_>) -> rusqlite::Result<bool> {
    let (event, Some((project, action))) = (parsed.event, parsed.meaning()) else { return Ok(false) };
    let version = event.version.as_deref();
    match action {
        Action::RemoveFile { filename } => {
            let its = files_of(connection, project, |name| name == filename)?;
            bury(connection, project, event, TombstoneKind::Removed, its)
        }
        Action::RemoveRelease => {
            let its = files_of_release(connection, project, version)?;
            bury(connection, project, event, TombstoneKind::Removed, its)
        }
        Action::RemoveProject => {
            let its = files_of(connection, project, |_| true)?;
            bury(connection, project, event, TombstoneKind::Removed, its)
        }
        Action::ProjectQuarantined => {
            let its = files_of(connection, project, |_| true)?;
            bury(connection, project, event, TombstoneKind::Quarantined, its)
        }
        Action::ReleaseQuarantined => {
            let its = files_of_release(connection, project, version)?;
            bury(connection, project, event, TombstoneKind::Quarantined, its)
        }
        Action::ProjectQuarantineCleared => {
            // What was said to be deleted meanwhile may have been this.
            let sql =
                "DELETE FROM tombstones WHERE project = ?1 AND (kind = 1 OR kind = 2 AND until IS NULL)";
            Ok(connection.prepare_cached(sql)?.execute([project.as_str()])? > 0)
        }
        Action::ReleaseQuarantineCleared => {
            let sql = "DELETE FROM tombstones WHERE project = ?1 AND kind = 1 AND version IS ?2";
            Ok(connection.prepare_cached(sql)?.execute(params![project.as_str(), version])? > 0)
        }
        Action::AddFile { filename, .. } => {
            let sql = "DELETE FROM tombstones WHERE project = ?1 AND filename IN (?2, ?2 || '.metadata') AND kind <> 1";
            Ok(connection.prepare_cached(sql)?.execute(params![project.as_str(), filename])? > 0)
        }
        Action::Create
        | Action::NewRelease
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::Other(_) => Ok(false),
    }
}

/// The files that the project's kept documents name and that `wanted` takes by their distribution's names.
fn files_of(
    connection: &Connection,
    project: &ProjectName,
    wanted: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<Named>> {
    let mut documents = connection.prepare_cached("SELECT id FROM documents WHERE project = ?1")?;
    let documents: Vec<i64> =
        documents.query_map([project.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut files = Vec::new();
    for document in documents {
        known_file::each(connection, document, |file| {
            let filename = file.path.rsplit_once('/').map_or(file.path, |(_, name)| name);
            if wanted(distribution(filename)) {
                let (path, filename) = (file.path.to_owned(), filename.to_owned());
                files.push(Named { path, filename, sha256: file.sha256 });
            }
        })?;
    }
    Ok(files)
}

/// The files whose names tell that release. A name that does not is left to the project's next page.
fn files_of_release(
    connection: &Connection,
    project: &ProjectName,
    version: Option<&str>,
) -> rusqlite::Result<Vec<Named>> {
    let Some(version) = version else { return Ok(Vec::new()) };
    let mut files = files_of(connection, project, |_| true)?;
    // All versions there are: `x-1.0.1` begins with 1.0 too.
    let none = KnownVersions::default();
    let spelled = |file: &Named| version_of(file.distribution(), project, &none);
    let spelled = files.iter().filter_map(spelled).chain([version.to_owned()]);
    let (versions, asked) = (KnownVersions::new(spelled), AskedVersions::new([version]));
    files.retain(|file| {
        let found = version_of(file.distribution(), project, &versions);
        found.is_some_and(|found| asked.have(&found))
    });
    Ok(files)
}

fn bury(
    connection: &Connection,
    project: &ProjectName,
    event: &Event,
    kind: TombstoneKind,
    files: Vec<Named>,
) -> rusqlite::Result<bool> {
    // What is removed stays so, whatever is quarantined later.
    let sql = "INSERT INTO tombstones (path, project, filename, version, kind, reason, serial) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (path) DO UPDATE SET version = excluded.version, \
               kind = excluded.kind, reason = excluded.reason, serial = excluded.serial, until = NULL \
               WHERE kind <> 0 OR excluded.kind = 0";
    let mut insert = connection.prepare_cached(sql)?;
    let about = event.version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
    let reason = format!("{}{about}: {} (serial {})", event.name, event.action, event.serial);
    let mut any = false;
    for file in files {
        // A path may be another project's by now, whose document names it too.
        if known_file::owner(connection, &file.path)?.is_some_and(|owner| owner != project.as_str()) {
            continue;
        }
        any = true;
        let (name, version, serial) = (project.as_str(), event.version.as_deref(), event.serial.0);
        insert.execute(params![file.path, name, file.filename, version, kind.column(), reason, serial])?;
        if let Some(sha256) = file.sha256 {
            pending_delete::insert(connection, sha256.0, false)?;
        }
    }
    Ok(any)
}

/// Lets the oldest tombstones go beyond the bound: their files are named by no page either.
pub(super) fn bound(connection: &Connection, most: u64) -> rusqlite::Result<()> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let sql = "DELETE FROM tombstones WHERE id <= (SELECT max(id) FROM tombstones) - ?1";
    connection.prepare_cached(sql)?.execute([most])?;
    Ok(())
}

/// A page as new as `serial` names these files: what an older event removed is there again.
pub(super) fn clear_named(
    connection: &Connection,
    document: i64,
    project: &str,
    serial: Option<i64>,
) -> rusqlite::Result<()> {
    let sql = "SELECT path FROM tombstones WHERE project = ?1 AND kind = 0 AND serial < ?2";
    let mut older = connection.prepare_cached(sql)?;
    let older: HashSet<String> =
        older.query_map(params![project, serial], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if older.is_empty() {
        return Ok(());
    }
    let mut named = Vec::new();
    known_file::each(connection, document, |file| named.extend(older.get(file.path)))?;
    let mut delete = connection.prepare_cached("DELETE FROM tombstones WHERE path = ?1")?;
    named.into_iter().try_for_each(|path| delete.execute([path]).map(|_| ()))
}
