//! The tables, and how an older file becomes a current one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::StatsError;

/// `PRAGMA application_id` of our files: "chst".
const APPLICATION: i64 = 0x6368_7374;
/// Statements that make schema N + 1 of schema N. Only ever appended to.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];
/// How long a connection waits for another process's short transaction.
const BUSY: Duration = Duration::from_secs(5);

/// What every connection is set to: 4 MiB of page cache, and sorting that goes to the disk past it.
pub(super) fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = FILE;")
}

/// Opens the database for writing, and brings its schema up to date. Several processes may do so at once.
pub(super) fn open(path: &Path) -> Result<Connection, StatsError> {
    let wrong = |error| StatsError::sqlite(path, error);
    let mut connection = Connection::open(path).map_err(wrong)?;
    tune(&connection).map_err(wrong)?;
    check(&connection, path)?;
    // NORMAL: a process that is killed loses nothing that is committed, a power cut the last commits, never a part of one.
    let modes =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;";
    connection.execute_batch(modes).map_err(wrong)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    // Another process may have been first.
    let version = check(&transaction, path)?;
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let version = step + 1;
        let sql = format!("{sql}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version};");
        transaction.execute_batch(&sql).map_err(wrong)?;
    }
    transaction.commit().map_err(wrong)?;
    Ok(connection)
}

/// The file's schema; 0 for a new file.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<usize, StatsError> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| StatsError::sqlite(path, error))
    };
    // This first: it reads the file, and so finds what is no database.
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let found = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let ours = if tables == 0 { found == 0 } else { application == APPLICATION };
    match usize::try_from(found) {
        Ok(version) if ours && version <= MIGRATIONS.len() => Ok(version),
        Ok(_) if ours => Err(StatsError::Newer { path: path.to_owned(), found, known }),
        _ => Err(StatsError::Foreign { path: path.to_owned() }),
    }
}
