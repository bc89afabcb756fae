//! Days: open, frozen, sealed. What is counted late goes to the first later day that is open.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Day;
use crate::sqlite_file::count;

/// Being counted.
const OPEN: i64 = 0;
/// Its report is being written: nothing is added any more.
const FROZEN: i64 = 1;
/// Its report is there, for ever.
const SEALED: i64 = 2;

fn state(connection: &Connection, day: Day) -> rusqlite::Result<Option<i64>> {
    let mut state = connection.prepare_cached("SELECT state FROM days WHERE day = ?1")?;
    state.query_row([day.number()], |row| row.get(0)).optional()
}

/// The day under which something is counted that belongs to `day`. It is open after that.
pub(super) fn open_from(connection: &Connection, day: Day) -> rusqlite::Result<Day> {
    let mut day = day;
    // Each day that is not open has a row; the last day of all stays open by `seal_after`.
    while state(connection, day)?.is_some_and(|state| state != OPEN) && day != day.next() {
        day = day.next();
    }
    connection.prepare_cached("INSERT OR IGNORE INTO days (day) VALUES (?1)")?.execute([day.number()])?;
    Ok(day)
}

/// The days that are not sealed, the oldest first.
pub(super) fn unsealed(connection: &Connection) -> rusqlite::Result<Vec<Day>> {
    let mut days = connection.prepare_cached("SELECT day FROM days WHERE state < 2 ORDER BY day")?;
    days.query_map([], |row| row.get(0).map(Day::of))?.collect()
}

/// The days that are sealed, the oldest first.
pub(super) fn sealed(connection: &Connection) -> rusqlite::Result<Vec<Day>> {
    let mut days = connection.prepare_cached("SELECT day FROM days WHERE state = 2 ORDER BY day")?;
    days.query_map([], |row| row.get(0).map(Day::of))?.collect()
}

/// From here on nothing is counted under this day. Whether it is frozen: a sealed one is not.
pub(super) fn freeze(connection: &Connection, day: Day) -> rusqlite::Result<bool> {
    let freeze = "UPDATE days SET state = ?2 WHERE day = ?1 AND state = ?3";
    connection.prepare_cached(freeze)?.execute([day.number(), FROZEN, OPEN])?;
    Ok(state(connection, day)? == Some(FROZEN))
}

/// Its report is written.
pub(super) fn seal(connection: &Connection, day: Day, bytes: i64, sha256: &[u8]) -> rusqlite::Result<()> {
    let seal = "UPDATE days SET state = ?2, bytes = ?3, sha256 = ?4 WHERE day = ?1 AND state = ?5";
    connection.prepare_cached(seal)?.execute(params![day.number(), SEALED, bytes, sha256, FROZEN])?;
    Ok(())
}

/// The length and the digest of a sealed day's report.
pub(super) fn report(connection: &Connection, day: Day) -> rusqlite::Result<Option<(u64, Vec<u8>)>> {
    let mut report =
        connection.prepare_cached("SELECT bytes, sha256 FROM days WHERE day = ?1 AND state = 2")?;
    report.query_row([day.number()], |row| Ok((count(row, 0)?, row.get(1)?))).optional()
}
