//! Which upstream a folder belongs to: what is kept of one must never be given out as another's.
//!
//! The journal says so and no file beside it, because nothing else can mix: package files are kept by their SHA-256
//! and given out only under a digest that the journal's own pages state.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::JournalError;
use crate::model::UpstreamIdentity;

/// The first schema that has the table.
const SCHEMA: usize = 11;

/// Makes sure that the journal in `folder` belongs to `upstream`; one that belongs to nobody yet does from now on.
pub(super) fn claim(
    connection: &Connection,
    folder: &Path,
    upstream: &UpstreamIdentity,
) -> Result<(), JournalError> {
    let wrong = |error| JournalError::sqlite(&folder.join(super::private::DATABASE), error);
    match get(connection).map_err(wrong)? {
        Some(belongs_to) => compare(folder, belongs_to, upstream),
        None => set(connection, upstream).map_err(wrong),
    }
}

/// The same for a journal of schema `version` that is only looked at: one that belongs to nobody is anybody's.
pub(super) fn check(
    connection: &Connection,
    version: usize,
    folder: &Path,
    upstream: &UpstreamIdentity,
) -> Result<(), JournalError> {
    if version < SCHEMA {
        return Ok(());
    }
    let wrong = |error| JournalError::sqlite(&folder.join(super::private::DATABASE), error);
    get(connection).map_err(wrong)?.map_or(Ok(()), |belongs_to| compare(folder, belongs_to, upstream))
}

fn compare(
    folder: &Path,
    belongs_to: UpstreamIdentity,
    upstream: &UpstreamIdentity,
) -> Result<(), JournalError> {
    if belongs_to == *upstream {
        return Ok(());
    }
    Err(JournalError::OtherUpstream { path: folder.to_owned(), belongs_to, asked: upstream.clone() })
}

/// Whose a journal of schema `version` is.
pub(super) fn of(connection: &Connection, version: usize) -> rusqlite::Result<Option<UpstreamIdentity>> {
    if version < SCHEMA { Ok(None) } else { get(connection) }
}

fn get(connection: &Connection) -> rusqlite::Result<Option<UpstreamIdentity>> {
    let identity =
        connection.query_row("SELECT identity FROM upstream_identity", [], |row| row.get(0)).optional()?;
    Ok(identity.map(UpstreamIdentity::kept))
}

fn set(connection: &Connection, upstream: &UpstreamIdentity) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO upstream_identity VALUES (1, ?1)";
    connection.execute(sql, [upstream.as_str()]).map(|_| ())
}

/// The folder is `upstream`'s from now on. Tells whose it was.
pub(super) fn adopt(
    connection: &Connection,
    upstream: &UpstreamIdentity,
) -> rusqlite::Result<Option<UpstreamIdentity>> {
    let before = get(connection)?;
    if before.as_ref() != Some(upstream) {
        set(connection, upstream)?;
        connection.execute("UPDATE documents SET etag = NULL", [])?;
    }
    Ok(before)
}
