//! The tables, and how an older journal becomes a current one.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::JournalError;

/// `PRAGMA application_id` of our files: "chwr".
const APPLICATION: i64 = 0x6368_7772;
/// Statements that make schema N + 1 of schema N. Only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
];
/// How long a connection waits for another one's short lock (recovery, checkpoints), before it is an error.
const BUSY: Duration = Duration::from_secs(5);

/// What every connection is set to. 4 MiB of page cache each, so that memory stays bounded by the readers'
/// number; 64 statements, more than there are in the module.
pub(super) fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA foreign_keys = ON;")
}

/// Opens the database for writing, makes it if there is none, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let wrong = |error| JournalError::sqlite(path, error);
    let connection = Connection::open(path).map_err(wrong)?;
    tune(&connection).map_err(wrong)?;
    let version = check(&connection, path)?;
    // NORMAL loses the last commits at a power cut, never a part of one: events and their coverage stay in
    // agreement, and what is lost is asked of upstream again.
    let modes =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;";
    connection.execute_batch(modes).map_err(wrong)?;
    migrate(&connection, version).map_err(wrong)?;
    Ok(connection)
}

/// The file's schema; 0 for a new file.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<usize, JournalError> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| JournalError::sqlite(path, error))
    };
    // This first: it reads the file, and so finds what is no database.
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let found = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let ours = if tables == 0 { found == 0 } else { application == APPLICATION };
    match usize::try_from(found) {
        Ok(version) if ours && version <= MIGRATIONS.len() => Ok(version),
        Ok(_) if ours => Err(JournalError::Newer { path: path.to_owned(), found, known }),
        _ => Err(JournalError::Foreign { path: path.to_owned() }),
    }
}

fn migrate(connection: &Connection, from: usize) -> rusqlite::Result<()> {
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let version = step + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
}
