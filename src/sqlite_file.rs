//! A file of SQLite's that is ours: made for its owner alone, checked, brought to the newest schema, and what can be wrong
//! with it. What its tables mean, and what is said to people, is with those that use it.

mod copy;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};

/// How long a connection waits for another one's short lock or transaction, before it is an error.
const BUSY: Duration = Duration::from_secs(5);
/// What SQLite puts beside its file. New ones get the mode of the file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What makes a file one of ours.
pub(crate) struct Schema {
    /// `PRAGMA application_id`.
    pub(crate) application: i64,
    /// Statements that make schema N + 1 of schema N. Only ever appended to.
    pub(crate) migrations: &'static [&'static str],
    /// Pragmas that every connection is set to.
    pub(crate) pragmas: &'static str,
}

/// What is wrong with a file, for all who have one.
#[derive(Debug)]
pub(crate) enum Defect {
    /// It cannot be made, opened or written.
    Unusable(io::Error),
    /// It is no SQLite database, or a damaged one.
    Damaged(rusqlite::Error),
    /// A sound database, but another program's.
    Foreign,
    /// A newer program wrote it: its schema, and the newest that this one knows.
    Newer { found: i64, known: i64 },
    /// No room on the disk.
    Full,
    /// SQLite refused for another reason.
    Other(rusqlite::Error),
}

impl Schema {
    /// Opens the file for writing, and brings its schema up to date. Several processes may do so at once.
    pub(crate) fn open(&self, path: &Path) -> Result<Connection, Defect> {
        let mut connection = Connection::open(path)?;
        self.tune(&connection)?;
        // First, so that nothing is changed of a file that is not ours.
        self.check(&connection)?;
        // NORMAL: a process that is killed loses nothing that is committed, a power cut the last commits, never a part of one.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;",
        )?;
        while self.check(&connection)? < self.migrations.len() {
            self.migrate(&mut connection)?;
        }
        Ok(connection)
    }

    /// Opens a file that is there: to read it, or with `SQLITE_OPEN_READ_WRITE`.
    pub(crate) fn connect(&self, path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        self.tune(&connection)?;
        Ok(connection)
    }

    fn tune(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY)?;
        // More than any user has.
        connection.set_prepared_statement_cache_capacity(64);
        // Or many a statement is planned anew for each value that it gets, every one with `LIMIT ?1` among them. The plans are
        // the same: there are no statistics for them to go by.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(self.pragmas)
    }

    /// The file's schema; 0 for a new file.
    pub(crate) fn check(&self, connection: &Connection) -> Result<usize, Defect> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        // This first: it reads the file, and so finds what is no database.
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        let found = number("PRAGMA user_version")?;
        let application = number("PRAGMA application_id")?;
        let known = i64::try_from(self.migrations.len()).unwrap_or(i64::MAX);
        let ours = if tables == 0 { found == 0 } else { application == self.application };
        match usize::try_from(found) {
            Ok(version) if ours && version <= self.migrations.len() => Ok(version),
            Ok(_) if ours => Err(Defect::Newer { found, known }),
            _ => Err(Defect::Foreign),
        }
    }

    /// Goes one step, in one transaction: that of a large file has its own log on the disk. Nothing, if another process was
    /// first.
    fn migrate(&self, connection: &mut Connection) -> Result<(), Defect> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = self.check(&transaction)?;
        let Some(sql) = self.migrations.get(version) else { return Ok(()) };
        let (application, version) = (self.application, version + 1);
        transaction.execute_batch(&format!(
            "{sql}; PRAGMA application_id = {application}; PRAGMA user_version = {version};"
        ))?;
        Ok(transaction.commit()?)
    }
}

impl From<rusqlite::Error> for Defect {
    fn from(error: rusqlite::Error) -> Self {
        // What was written as one type and is read as another was changed on the disk.
        if matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        ) {
            return Self::Damaged(error);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error),
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unusable(io::Error::other(error))
            }
            _ => Self::Other(error),
        }
    }
}

/// A number of a row that is 0 or more where the file is sound; one below 0 is an error, and damage.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let found: i64 = row.get(column)?;
    u64::try_from(found).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, found))
}

/// Opens a file for writing, makes it if it is missing, for its owner alone, and closes it and what lies beside it to others.
pub(crate) fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    close_to_others(path, 0o600);
    for beside in BESIDE {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        close_to_others(Path::new(&name), 0o600);
    }
    Ok(file)
}

/// Takes away what a mode has beyond `mode`. What is not there needs nothing; a file of another owner, or one on a disk
/// without modes, is told of and used.
pub(crate) fn close_to_others(path: &Path, mode: u32) {
    let Ok(found) = path.metadata() else { return };
    let found = found.permissions().mode() & 0o7777;
    if found & !mode == 0 {
        return;
    }
    if let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(found & mode)) {
        tracing::warn!(path = %path.display(), %error, "others may read this, and its mode cannot be changed");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rusqlite::StatementStatus;

    use super::*;

    const ONE: Schema =
        Schema { application: 7, migrations: &["CREATE TABLE a (x)"], pragmas: "PRAGMA cache_size = -64" };
    const THREE: Schema = Schema {
        migrations: &["CREATE TABLE a (x)", "INSERT INTO a VALUES (2)", "INSERT INTO a VALUES (3)"],
        ..ONE
    };

    fn values(connection: &Connection) -> Vec<i64> {
        let mut rows = connection.prepare("SELECT x FROM a ORDER BY rowid").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_file_goes_the_steps_that_it_lacks_once_though_many_open_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        ONE.open(&path).unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| THREE.open(&path).unwrap());
            }
        });
        let connection = THREE.open(&path).unwrap();
        assert_eq!((THREE.check(&connection).unwrap(), values(&connection)), (3, vec![2, 3]));
        assert!(matches!(ONE.open(&path), Err(Defect::Newer { found: 3, known: 1 })));
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let half = Schema {
            migrations: &["CREATE TABLE a (x)", "INSERT INTO a VALUES (2); INSERT INTO b VALUES (3)"],
            ..ONE
        };
        assert!(matches!(half.open(&path), Err(Defect::Other(_))));
        let connection = ONE.open(&path).unwrap();
        assert_eq!((ONE.check(&connection).unwrap(), values(&connection)), (1, vec![]));
    }

    #[test]
    fn a_kept_statement_is_not_planned_again_for_another_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = ONE.open(&path).unwrap();
        let reader = ONE.connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        for connection in [writer, reader] {
            let kept =
                || connection.prepare_cached("SELECT x FROM a WHERE x > ?1 ORDER BY x LIMIT ?2").unwrap();
            for value in 1..4 {
                kept().query_map([value, value], |_| Ok(())).unwrap().for_each(drop);
            }
            assert_eq!(kept().get_status(StatementStatus::RePrepare), 0);
        }
    }

    #[test]
    fn another_programs_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let others = ["CREATE TABLE a (x)", "PRAGMA user_version = 1", "PRAGMA user_version = -1"];
        for (at, theirs) in others.into_iter().enumerate() {
            let path = folder.path().join(at.to_string());
            Connection::open(&path).unwrap().execute_batch(theirs).unwrap();
            let before = std::fs::read(&path).unwrap();
            assert!(matches!(ONE.open(&path), Err(Defect::Foreign)), "{theirs}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "{theirs}");
        }
    }

    #[test]
    fn a_text_where_a_number_belongs_is_damage() {
        let connection = Connection::open_in_memory().unwrap();
        let read = connection.query_row("SELECT 'x'", [], |row| row.get::<_, i64>(0));
        assert!(matches!(Defect::from(read.unwrap_err()), Defect::Damaged(_)));
    }

    #[test]
    fn a_count_below_none_is_damage() {
        let connection = Connection::open_in_memory().unwrap();
        let read = |number: i64| connection.query_row("SELECT ?1", [number], |row| count(row, 0));
        assert!(matches!((read(0), read(i64::MAX)), (Ok(0), Ok(0x7fff_ffff_ffff_ffff))));
        assert!(matches!(Defect::from(read(-1).unwrap_err()), Defect::Damaged(_)));
    }

    #[test]
    fn a_file_and_what_lies_beside_it_are_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let beside = folder.path().join("db-wal");
        for file in [&path, &beside] {
            std::fs::write(file, "").unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        }
        make(&path).unwrap();
        for file in [&path, &beside] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
