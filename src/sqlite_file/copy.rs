//! A copy of a database that others may be writing meanwhile.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};

use super::{Defect, Schema};

impl Schema {
    /// Copies the database behind `source` to a new file, for its owner alone, as it was after one commit; checks that the copy
    /// is sound. It is on the disk when this returns, and nothing lies beside it.
    ///
    /// It goes in one step: who takes several begins anew at each commit that is made between two of them.
    pub(crate) fn copy(source: &Connection, to: &Path) -> Result<(), Defect> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        made.map_err(Defect::Unusable)?;
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(to, access)?;
        match Backup::new(source, &mut copy)?.step(-1)? {
            StepResult::Done => {}
            _ => return Err(Defect::Other(failure(ffi::SQLITE_BUSY, None))),
        }
        // Or whoever looks at it makes files beside it.
        copy.execute_batch("PRAGMA journal_mode = DELETE")?;
        let found: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Defect::Damaged(failure(ffi::SQLITE_CORRUPT, Some(found))));
        }
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

fn failure(code: i32, said: Option<String>) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), said)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::mpsc::TryRecvError;

    use super::*;

    const SCHEMA: Schema =
        Schema { application: 7, migrations: &["CREATE TABLE a (x)"], pragmas: "PRAGMA cache_size = -64" };

    fn sum(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT ifnull(sum(x), 0) FROM a WHERE typeof(x) = 'integer'", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn a_copy_is_the_state_after_one_commit_though_others_commit_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = SCHEMA.open(&path).unwrap();
        // So large that a copy in steps would begin anew at each commit, and never end.
        writer
            .execute_batch(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 4000) \
                 INSERT INTO a SELECT zeroblob(4000) FROM n",
            )
            .unwrap();
        // Each transaction leaves the sum at 0.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            // Dropped by a failure too, which then ends the writer.
            let stop = stop;
            scope.spawn(move || {
                while stopped.try_recv() == Err(TryRecvError::Empty) {
                    writer
                        .execute_batch("BEGIN; INSERT INTO a VALUES (1); INSERT INTO a VALUES (-1); COMMIT")
                        .unwrap();
                }
            });
            for round in 0..5 {
                let to = folder.path().join(format!("copy{round}"));
                let source = SCHEMA.connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
                Schema::copy(&source, &to).unwrap();
                assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                let copy = Connection::open_with_flags(&to, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
                assert_eq!(sum(&copy), 0);
                assert!(!folder.path().join(format!("copy{round}-wal")).exists());
            }
            drop(stop);
        });
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let source = SCHEMA.open(&path).unwrap();
        let to = folder.path().join("copy");
        std::fs::write(&to, "somebody's").unwrap();
        assert!(matches!(Schema::copy(&source, &to), Err(Defect::Unusable(_))));
        assert_eq!(std::fs::read(&to).unwrap(), b"somebody's");
    }

    #[test]
    fn damage_is_found_before_the_copy_is_relied_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let source = SCHEMA.open(&path).unwrap();
        source
            .execute_batch(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) \
                 INSERT INTO a SELECT x FROM n; PRAGMA wal_checkpoint(TRUNCATE)",
            )
            .unwrap();
        source.close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 64].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        let source = SCHEMA.connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let copied = Schema::copy(&source, &folder.path().join("copy"));
        assert!(matches!(copied, Err(Defect::Damaged(_))), "{copied:?}");
    }
}
