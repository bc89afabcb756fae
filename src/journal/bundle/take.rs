//! Takes the journal's part of a bundle into a journal that no relay has open.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::{BundlePartError, PartClaims, check, tables};
use crate::journal::append::{self, Appended};
use crate::journal::committed::Committed;
use crate::journal::evict;
use crate::journal::interned::Interned;
use crate::journal::parsed_event::ParsedEvent;
use crate::journal::position;
use crate::journal::schema::SCHEMA;
use crate::journal::{
    Journal, JournalError, JournalSettings, coverage, facts, known_file, private, tombstone, upstream,
    wording,
};
use crate::model::{Event, Serial, Sha256, Stamp};
use crate::sqlite_file;

/// Events that are read and kept at a time.
const EVENTS: usize = 20_000;
/// What the part is called while it is looked at: its name begins as the journal's does, so the folder stays the relay's own.
const FOLDER: &str = "journal.sqlite3.import";

/// A journal into which a bundle is taken. Nobody else uses its folder meanwhile.
#[derive(Debug)]
pub struct Importing {
    folder: PathBuf,
    connection: Connection,
    /// Held until this is dropped.
    _lock: File,
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenPart {
    /// Events that were not known before.
    pub events: u64,
    /// Kept pages and documents now.
    pub documents: u64,
    /// Those that did not fit into `journal.documents_bytes`.
    pub evicted: u64,
}

impl Importing {
    /// Takes the folder, which is made if it is missing. Fails if a relay works on it.
    pub fn begin(folder: &Path) -> Result<Self, JournalError> {
        let wrong = |error| JournalError::folder(folder, error);
        private::folder(folder).map_err(wrong)?;
        let lock = private::lock(folder)?;
        if private::is_unfinished(folder) {
            return Err(JournalError::Unfinished { path: folder.to_owned() });
        }
        let path = Journal::database(folder);
        sqlite_file::make(&path).map_err(wrong)?;
        let connection = SCHEMA.open(&path).map_err(|defect| JournalError::sqlite(&path, defect))?;
        Ok(Self { folder: folder.to_owned(), connection, _lock: lock })
    }

    /// A new, empty folder for the part; what an import that was killed has left there is gone.
    pub fn staging(&self) -> Result<PathBuf, JournalError> {
        let staging = self.folder.join(FOLDER);
        let wrong = |error| JournalError::folder(&staging, error);
        self.forget_staging().map_err(wrong)?;
        std::fs::DirBuilder::new().create(&staging).map_err(wrong)?;
        sqlite_file::close_to_others(&staging, 0o700);
        Ok(staging)
    }

    fn forget_staging(&self) -> std::io::Result<()> {
        match std::fs::remove_dir_all(self.folder.join(FOLDER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Fails if a bundle that claims this does not continue what is known here.
    pub fn check(&self, claims: &PartClaims) -> Result<(), BundlePartError> {
        refusal(&self.connection, claims).map_err(|error| self.wrong(error))?.map_or(Ok(()), Err)
    }

    /// Fails if the part in `path` is none that a relay exports. It may be brought to a newer schema.
    pub fn check_part(&self, path: &Path, claims: &PartClaims) -> Result<(), BundlePartError> {
        check::check(path, claims)
    }

    /// Takes the part, which was checked, in one transaction, and lets the folder go. `is_kept`: whether the bytes with a digest are.
    pub fn take(
        mut self,
        path: &Path,
        claims: &PartClaims,
        settings: &JournalSettings,
        is_kept: &dyn Fn(Sha256) -> bool,
    ) -> Result<TakenPart, BundlePartError> {
        let part = path.to_string_lossy();
        let taken = (|| {
            self.connection.execute("ATTACH DATABASE ?1 AS part", [&*part])?;
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Asked again: nobody else writes, but it costs nothing.
            if let Some(refusal) = refusal(&transaction, claims)? {
                return Ok(Err(refusal));
            }
            let taken = match take(&transaction, claims, settings, is_kept)? {
                Ok(taken) => taken,
                Err(refusal) => return Ok(Err(refusal)),
            };
            transaction.commit()?;
            // A power cut from here on takes nothing of it away, and the log of a large part does not stay.
            self.connection.execute_batch(
                "DETACH DATABASE part; PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);",
            )?;
            Ok(Ok(taken))
        })();
        taken.map_err(|error: rusqlite::Error| self.wrong(error))?
    }

    fn wrong(&self, error: rusqlite::Error) -> JournalError {
        JournalError::sqlite(&Journal::database(&self.folder), error)
    }
}

impl Drop for Importing {
    /// Whether it was taken or refused, what lies beside the journal is not needed any more.
    fn drop(&mut self) {
        if let Err(error) = self.forget_staging() {
            tracing::warn!(%error, "what the import has put beside the journal could not be removed");
        }
    }
}

/// Why what a bundle claims does not continue what the journal knows.
fn refusal(connection: &Connection, claims: &PartClaims) -> rusqlite::Result<Option<BundlePartError>> {
    // It was brought to the newest schema when it was opened.
    let belongs_to = upstream::of(connection, usize::MAX)?;
    if let Some(belongs_to) = belongs_to.filter(|belongs_to| *belongs_to != claims.upstream) {
        return Ok(Some(BundlePartError::OtherUpstream { of: claims.upstream.clone(), belongs_to }));
    }
    let head = position::get(connection)?.map(|position| position.ours);
    let last = claims.last_serial;
    Ok(match (head, claims.since) {
        (None, None) => None,
        (None, Some(since)) => Some(BundlePartError::Empty { since }),
        (Some(head), Some(since)) if since > head => Some(BundlePartError::Gap { since, head }),
        (Some(head), _) => {
            // Pages come without events, too.
            let before = facts::get(connection, facts::BUNDLE_TAKEN)?;
            let older = last < head || (last == head && before.is_some_and(|before| claims.taken < before));
            let taken = || {
                Stamp::from_unix(claims.taken)
                    .map_or_else(|| claims.taken.to_string(), |at| at.json_seconds() + "Z")
            };
            older.then(|| BundlePartError::Older { last, taken: taken(), head })
        }
    })
}

type Taken = Result<TakenPart, BundlePartError>;

fn take(
    connection: &Connection,
    claims: &PartClaims,
    settings: &JournalSettings,
    is_kept: &dyn Fn(Sha256) -> bool,
) -> rusqlite::Result<Taken> {
    let now = settings.clock.unix();
    let stands = position::get(connection)?.map(|position| position.ours);
    if let Some(serial) = lacking(connection, claims, stands)? {
        return Ok(Err(BundlePartError::OtherHistory { serial }));
    }
    let names = Interned::names(0);
    let mut added = 0;
    let mut after = i64::MIN;
    loop {
        let events = events(connection, after)?;
        let Some(last) = events.last() else { break };
        after = last.serial.0;
        let parsed = ParsedEvent::all(&events);
        let mut appended = Appended::default();
        append::keep(connection, &names, &parsed, &mut appended, &mut Committed::default())?;
        if appended.changed > 0 {
            return Ok(Err(BundlePartError::OtherHistory {
                serial: changed(connection)?.unwrap_or(Serial(after)),
            }));
        }
        added += appended.added;
        // Bytes that are kept here of what was removed have to go, as where upstream's changelog tells it.
        for event in parsed.iter().filter(|parsed| stands.is_some_and(|stands| parsed.event.serial > stands))
        {
            tombstone::carry(connection, event)?;
        }
    }
    let mut ranges = connection.prepare("SELECT after, upto FROM part.coverage")?;
    let ranges: Vec<(i64, i64)> =
        ranges.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (after, upto) in ranges {
        coverage::insert(connection, after, upto)?;
    }
    tables::replace(connection, "part", "main")?;
    for table in tables::FOLLOWERS {
        connection.execute(&format!("DELETE FROM main.{table}"), [])?;
    }
    settle(connection, claims, now)?;
    spare_named(connection)?;
    withdraw_metadata(connection, is_kept, now)?;
    let mut evicted = 0;
    for (table, most) in
        [(&evict::DOCUMENTS, settings.documents_bytes), (&evict::ANSWERS, settings.answers_bytes)]
    {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        while let (gone @ 1.., _) = evict::oldest(connection, table, -1, most, now)? {
            evicted += gone;
        }
    }
    let documents: i64 = connection.query_row("SELECT count(*) FROM main.documents", [], |row| row.get(0))?;
    Ok(Ok(TakenPart { events: added, documents: u64::try_from(documents).unwrap_or(0), evicted }))
}

/// An event that is here and, although its serial is among those that the part has, not in the part.
fn lacking(
    connection: &Connection,
    claims: &PartClaims,
    stands: Option<Serial>,
) -> rusqlite::Result<Option<Serial>> {
    let Some(stands) = stands else { return Ok(None) };
    let sql = "SELECT serial FROM main.events here WHERE serial > ?1 AND serial <= ?2 \
               AND NOT EXISTS (SELECT 1 FROM part.events there WHERE there.serial = here.serial) \
               AND EXISTS (SELECT 1 FROM part.coverage WHERE after < here.serial AND upto >= here.serial) LIMIT 1";
    let after = claims.since.map_or(i64::MIN, |since| since.0);
    connection.query_row(sql, params![after, stands.0], |row| row.get(0).map(Serial)).optional()
}

/// The first event of the part that is another one here.
fn changed(connection: &Connection) -> rusqlite::Result<Option<Serial>> {
    let sql = "SELECT there.serial FROM part.events there JOIN part.names tn ON tn.id = there.name \
               JOIN part.verbs tv ON tv.id = there.verb JOIN main.events here ON here.serial = there.serial \
               JOIN main.names hn ON hn.id = here.name JOIN main.verbs hv ON hv.id = here.verb \
               WHERE tn.spelling <> hn.spelling OR tv.text <> hv.text OR there.time <> here.time \
               OR there.version IS NOT here.version OR there.object IS NOT here.object ORDER BY there.serial LIMIT 1";
    connection.query_row(sql, [], |row| row.get(0).map(Serial)).optional()
}

/// The next events of the part.
fn events(connection: &Connection, after: i64) -> rusqlite::Result<Vec<Event>> {
    let sql = "SELECT serial, spelling, version, time, verbs.text, object FROM part.events \
               JOIN part.names ON names.id = events.name JOIN part.verbs ON verbs.id = events.verb \
               WHERE serial > ?1 ORDER BY serial LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let event = |row: &rusqlite::Row<'_>| {
        let action = wording::join(row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str_or_null()?);
        Ok(Event {
            serial: Serial(row.get(0)?),
            name: row.get(1)?,
            version: row.get(2)?,
            time: row.get(3)?,
            action,
        })
    };
    let most = i64::try_from(EVENTS).unwrap_or(i64::MAX);
    statement.query_map([after, most], event)?.collect()
}

/// What the importer's own clock and numbers have to say.
fn settle(connection: &Connection, claims: &PartClaims, now: i64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO main.upstream_identity VALUES (1, ?1)",
        [claims.upstream.as_str()],
    )?;
    facts::set(connection, facts::BUNDLE_TAKEN, claims.taken)?;
    let version = facts::get(connection, facts::PROJECTS_VERSION)?.unwrap_or(0);
    facts::set(connection, facts::PROJECTS_VERSION, version.saturating_add(1))?;
    // What is dated after now, by a clock that is ahead of this one, would count as too old.
    for sql in [
        "UPDATE main.documents SET checked = ?1 WHERE checked > ?1",
        "UPDATE main.answers SET checked = ?1 WHERE checked > ?1",
        "UPDATE main.facts SET value = ?1 WHERE name = 'as_of' AND value > ?1",
    ] {
        connection.execute(sql, [now])?;
    }
    Ok(())
}

/// Of the bytes that have to go those stay that a page names which has no tombstone for them: they were removed and are there
/// again.
fn spare_named(connection: &Connection) -> rusqlite::Result<()> {
    let mut doomed = connection.prepare("SELECT sha256 FROM main.doomed WHERE repair = 0")?;
    let doomed: HashSet<Sha256> =
        doomed.query_map([], |row| row.get(0).map(Sha256))?.collect::<Result<_, _>>()?;
    if doomed.is_empty() {
        return Ok(());
    }
    let mut named = Vec::new();
    known_file::each_with_sha256(connection, None, |file| {
        if let Some(sha256) = file.sha256.filter(|sha256| doomed.contains(sha256)) {
            named.push((file.path, sha256));
        }
    })?;
    let mut buried = connection.prepare("SELECT 1 FROM main.tombstones WHERE path = ?1")?;
    let mut spare = connection.prepare("DELETE FROM main.doomed WHERE sha256 = ?1")?;
    for (path, sha256) in named {
        if !buried.exists([path.as_str()])? {
            spare.execute([sha256.0])?;
        }
    }
    Ok(())
}

/// Metadata (PEP 658) that was not carried is not there for good, so no page advertises it: installers that were told of it stop
/// where they do not get it, and without it they read the file itself.
fn withdraw_metadata(
    connection: &Connection,
    is_kept: &dyn Fn(Sha256) -> bool,
    now: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tombstones (path, project, filename, kind, reason, noted) VALUES (?1, ?2, ?3, 2, ?4, ?5) \
               ON CONFLICT (path) DO UPDATE SET until = NULL WHERE kind = 2";
    let mut insert = connection.prepare(sql)?;
    let mut documents = connection.prepare("SELECT id, project FROM main.documents")?;
    let mut rows = documents.query([])?;
    while let Some(row) = rows.next()? {
        let (id, project) = (row.get(0)?, row.get_ref(1)?.as_str()?);
        let mut lacking = Vec::new();
        known_file::each(connection, id, |file| {
            if file.path.ends_with(".metadata") && !file.sha256.is_some_and(is_kept) {
                lacking.push(file.path.to_owned());
            }
        })?;
        for path in lacking {
            let filename = path.rsplit_once('/').map_or(&*path, |(_, name)| name);
            let reason = "no bundle that was imported has this metadata";
            insert.execute(params![path, project, filename, reason, now])?;
        }
    }
    Ok(())
}

/// A folder that lived on bundles has an upstream from now on: that has metadata which was not carried.
pub(in crate::journal) fn leave(connection: &Connection) -> rusqlite::Result<()> {
    if facts::get(connection, facts::BUNDLE_TAKEN)?.is_none() {
        return Ok(());
    }
    let sql = "DELETE FROM tombstones WHERE kind = 2 AND until IS NULL AND filename LIKE '%.metadata'";
    connection.execute(sql, [])?;
    facts::unset(connection, facts::BUNDLE_TAKEN)
}
