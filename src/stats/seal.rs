//! A day's end: its report is written once, and stays.
//!
//! 1. The day is frozen: what is counted from here on goes to the next one.
//! 2. What an attempt before has left is taken away.
//! 3. The report is read off the rows, which do not change any more, and written part by part.
//! 4. The day is sealed: only now anybody sees the report.
//!
//! Each step is a transaction of its own and short, so that counting goes on meanwhile. A process that is killed between
//! two of them, or in one, begins again at the second: the day stays frozen.

use std::time::{Duration, Instant};

use rusqlite::params;
use sha2::{Digest as _, Sha256};

use super::database::Database;
use super::report::{COLUMNS, ORDER};
use super::{Day, StatsError, days, report};

/// Parts that are taken away at once.
const AT_ONCE: i64 = 16;

/// What was done of a day's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is added any more.
    Frozen,
    /// Nothing is left of an attempt before.
    Cleared,
    /// So many parts of the report are written.
    Part(u32),
    /// The report is there.
    Sealed,
}

/// A day that was sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    /// Bytes of its report.
    pub(super) bytes: u64,
    /// Transactions that it took.
    pub(super) steps: u32,
    /// How long the longest of them held up other writing.
    pub(super) longest_step: Duration,
}

/// Counts and times transactions.
struct Steps<'a> {
    database: &'a Database,
    done: u32,
    longest: Duration,
}

impl Steps<'_> {
    fn step<T>(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StatsError> {
        let mut begun = None;
        let done = self.database.write_here(|transaction| {
            begun = Some(Instant::now());
            work(transaction)
        })?;
        self.longest = self.longest.max(begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
        self.done += 1;
        Ok(done)
    }
}

/// Seals a day. `between` is told of each step, and ends it all by an error; the next attempt goes on then. `None` if the day
/// is sealed already, or nothing was counted under it. Blocking.
pub(super) fn seal(
    database: &Database,
    day: Day,
    mut between: impl FnMut(Step) -> Result<(), StatsError>,
) -> Result<Option<Sealed>, StatsError> {
    let mut steps = Steps { database, done: 0, longest: Duration::ZERO };
    if !steps.step(|transaction| days::freeze(transaction, day))? {
        return Ok(None);
    }
    between(Step::Frozen)?;
    let clear =
        "DELETE FROM report_parts WHERE rowid IN (SELECT rowid FROM report_parts WHERE day = ?1 LIMIT ?2)";
    while steps.step(|transaction| transaction.prepare_cached(clear)?.execute([day.number(), AT_ONCE]))? > 0 {
    }
    between(Step::Cleared)?;
    let (mut parts, mut bytes, mut sha256) = (0_u32, 0_u64, Sha256::new());
    let sql = format!(
        "SELECT {COLUMNS}, sum(c.count) FROM counters c JOIN files f ON f.id = c.file \
         JOIN projects p ON p.id = f.project JOIN agents a ON a.id = c.agent WHERE c.day = ?1 {ORDER}"
    );
    database.read_here(|connection| {
        report::write(connection, &sql, [day.number()], |part| {
            sha256.update(&part);
            bytes += part.len() as u64;
            let insert = "INSERT INTO report_parts (day, part, bytes) VALUES (?1, ?2, ?3)";
            steps.step(|transaction| {
                transaction.prepare_cached(insert)?.execute(params![day.number(), parts, part])
            })?;
            parts += 1;
            between(Step::Part(parts))
        })
    })?;
    let (sha256, length) = (sha256.finalize(), i64::try_from(bytes).unwrap_or(i64::MAX));
    steps.step(|transaction| days::seal(transaction, day, length, sha256.as_slice()))?;
    between(Step::Sealed)?;
    Ok(Some(Sealed { bytes, steps: steps.done, longest_step: steps.longest }))
}
