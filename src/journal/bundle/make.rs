//! Makes the journal's part of a bundle, beside a relay that may be writing.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::tables;
use super::{BundlePartError, PartClaims};
use crate::journal::schema::SCHEMA;
use crate::journal::{JournalError, UnlockedJournal, coverage, facts, upstream};
use crate::model::Serial;
use crate::sqlite_file;

/// What was made.
#[derive(Debug, Clone)]
pub struct MadePart {
    /// What it holds.
    pub claims: PartClaims,
    /// When upstream was heard last, in Unix seconds by the exporter's clock.
    pub as_of: Option<i64>,
    /// Kept pages and documents in it.
    pub documents: u64,
    /// Events in it.
    pub events: u64,
}

impl UnlockedJournal {
    /// Makes the part with the events after `since`, or all of them, in a new file, as the journal was after one commit at `now` in
    /// Unix seconds. Blocks for as long as the disk takes; a relay goes on meanwhile.
    pub fn make_part(
        &mut self,
        to: &Path,
        since: Option<Serial>,
        now: i64,
    ) -> Result<MadePart, BundlePartError> {
        let to_wrong = |defect: sqlite_file::Defect| JournalError::sqlite(to, defect);
        sqlite_file::make(to).map_err(|error| JournalError::folder(to, error))?;
        drop(SCHEMA.open(to).map_err(to_wrong)?);
        let version = SCHEMA.check(&self.connection).map_err(|defect| self.wrong(defect))?;
        if version < SCHEMA.migrations.len() {
            return Err(BundlePartError::EarlierSchema);
        }
        let path = to.to_string_lossy();
        let made = (|| {
            self.connection.execute("ATTACH DATABASE ?1 AS part", [&*path])?;
            // It is thrown away if the machine fails.
            self.connection
                .execute_batch("PRAGMA part.journal_mode = DELETE; PRAGMA part.synchronous = OFF;")?;
            let transaction = self.connection.transaction()?;
            let made = fill(&transaction, version, since, now)?;
            if made.is_ok() {
                transaction.commit()?;
            } else {
                transaction.rollback()?;
            }
            self.connection.execute_batch("DETACH DATABASE part")?;
            Ok(made)
        })();
        made.map_err(|error: rusqlite::Error| self.wrong(error))?
    }
}

type Made = Result<MadePart, BundlePartError>;

fn fill(connection: &Connection, version: usize, since: Option<Serial>, now: i64) -> rusqlite::Result<Made> {
    let Some(head) = facts::get(connection, facts::PROJECTS_SERIAL)?.map(Serial) else {
        return Ok(Err(BundlePartError::NothingKnown));
    };
    let Some(identity) = upstream::of(connection, version)? else {
        return Ok(Err(BundlePartError::NoUpstream));
    };
    if let Some(since) = since {
        if since > head {
            return Ok(Err(BundlePartError::Beyond { since, head }));
        }
        if since < head && coverage::known_upto(connection, since.0)?.is_none_or(|upto| upto < head.0) {
            let sql = "SELECT after FROM main.coverage WHERE after < ?1 AND upto >= ?1";
            let from = connection.query_row(sql, [head.0], |row| row.get(0)).optional()?;
            return Ok(Err(BundlePartError::Unknown { since, from: from.map_or(head, Serial) }));
        }
    }
    let after = since.map_or(i64::MIN, |since| since.0);
    let range = params![after, head.0];
    for sql in [
        "INSERT INTO part.events SELECT serial, name, version, time, verb, object FROM main.events \
         WHERE serial > ?1 AND serial <= ?2",
        "INSERT INTO part.coverage SELECT max(after, ?1), min(upto, ?2) FROM main.coverage WHERE upto > ?1 AND after < ?2",
    ] {
        connection.execute(sql, range)?;
    }
    connection.execute_batch(
        "INSERT INTO part.names SELECT id, spelling, normal FROM main.names WHERE id IN (SELECT name FROM part.events); \
         INSERT INTO part.verbs SELECT id, text FROM main.verbs WHERE id IN (SELECT verb FROM part.events);",
    )?;
    tables::replace(connection, "main", "part")?;
    let count = |table: &str| -> rusqlite::Result<u64> {
        let rows = connection
            .query_row(&format!("SELECT count(*) FROM part.{table}"), [], |row| row.get::<_, i64>(0));
        Ok(u64::try_from(rows?).unwrap_or(0))
    };
    let claims = PartClaims { upstream: identity, since, last_serial: head, taken: now };
    let as_of = facts::get(connection, facts::AS_OF)?;
    Ok(Ok(MadePart { claims, as_of, documents: count("documents")?, events: count("events")? }))
}
