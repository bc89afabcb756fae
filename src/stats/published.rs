//! Reports as they are given out: own days as they were sealed, and days and months with what was collected.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as Turn;
use tokio::task::spawn_blocking;

use super::report::{COLUMNS, ORDER};
use super::{Day, Month, Stats, StatsError, days, report};

/// Reports with collected days that are kept, each as a file without a name: a month of a large mirror has some megabytes.
const KEPT: usize = 8;
/// Bytes of one that are read at once.
const PIECE: u64 = 256 << 10;

/// What was counted where and when, below `sealed`: own sealed days and collected ones, between two days.
pub(super) const PUBLIC: &str = "WITH counted AS ( \
     SELECT file, agent, count, day FROM counters WHERE day IN ( \
         SELECT day FROM days WHERE state = 2 AND day BETWEEN ?1 AND ?2) \
     UNION ALL SELECT c.file, c.agent, c.count, k.day FROM collections k JOIN collected c ON c.collection = k.id \
         WHERE k.done = 1 AND k.day BETWEEN ?1 AND ?2)";

/// A sealed day's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReport {
    /// The day.
    pub day: Day,
    /// Its bytes.
    pub length: u64,
    /// Their digest.
    pub sha256: String,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A day.
    Day(Day),
    /// A month.
    Month(Month),
}

impl Period {
    /// Its first and its last day.
    pub fn days(self) -> (Day, Day) {
        match self {
            Self::Day(day) => (day, day),
            Self::Month(month) => month.days(),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Month(month) => month.fmt(f),
        }
    }
}

/// A report that was made of several.
#[derive(Debug, Clone)]
pub struct MadeReport {
    /// Its bytes.
    pub length: u64,
    /// Tells it from those of before and after: it grows as days come in.
    pub version: String,
    file: Arc<File>,
}

impl MadeReport {
    /// The bytes from there on; none at the end.
    pub async fn read(&self, at: u64) -> Result<Vec<u8>, StatsError> {
        let (file, length) = (self.file.clone(), self.length.saturating_sub(at).min(PIECE));
        let read = move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece)
        };
        spawn_blocking(read).await.map_err(|_| StatsError::Lost)?
    }
}

/// Those that were made lately.
#[derive(Debug, Default)]
pub(super) struct Made {
    kept: Mutex<VecDeque<(Period, MadeReport)>>,
    /// One is made at a time.
    turn: Turn<()>,
}

impl Made {
    fn find(&self, period: Period, version: &str) -> Option<MadeReport> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(of, made)| *of == period && made.version == version);
        found.map(|(_, made)| made.clone())
    }

    fn keep(&self, period: Period, made: &MadeReport) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| *of != period);
        kept.push_back((period, made.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

impl Stats {
    /// The sealed days, the oldest first.
    pub async fn sealed_days(&self) -> Result<Vec<Day>, StatsError> {
        self.database().read(days::sealed).await
    }

    /// A day's report, if it is sealed.
    pub async fn sealed_report(&self, day: Day) -> Result<Option<SealedReport>, StatsError> {
        let found = self.database().read(move |connection| days::report(connection, day)).await?;
        Ok(found.map(|(length, sha256)| SealedReport { day, length, sha256: hex::encode(sha256) }))
    }

    /// A part of a sealed report, by its number from 0 on; `None` after the last.
    pub async fn sealed_part(&self, day: Day, part: u32) -> Result<Option<Vec<u8>>, StatsError> {
        let read = move |connection: &Connection| {
            let sql = "SELECT bytes FROM report_parts WHERE day = ?1 AND part = ?2";
            connection
                .prepare_cached(sql)?
                .query_row(params![day.number(), part], |row| row.get(0))
                .optional()
        };
        self.database().read(read).await
    }

    /// The days of which there are reports, own or collected, the oldest first.
    pub async fn published_days(&self) -> Result<Vec<Day>, StatsError> {
        let read = |connection: &Connection| {
            let sql = "SELECT day FROM days WHERE state = 2 UNION SELECT day FROM collections WHERE done = 1 ORDER BY day";
            connection.prepare_cached(sql)?.query_map([], |row| row.get(0).map(Day::of))?.collect()
        };
        self.database().read(read).await
    }

    /// A report of own sealed days and collected ones; `None` if there are none.
    pub async fn published(&self, period: Period) -> Result<Option<MadeReport>, StatsError> {
        let (first, last) = period.days();
        let now = self.database().read(move |connection| version(connection, first, last)).await?;
        let Some(now) = now else { return Ok(None) };
        if let Some(made) = self.made().find(period, &now) {
            return Ok(Some(made));
        }
        let _turn = self.made().turn.lock().await;
        if let Some(made) = self.made().find(period, &now) {
            return Ok(Some(made));
        }
        let database = self.database().clone();
        let build = move || {
            let mut file = tempfile::tempfile_in(database.folder())?;
            let mut length = 0;
            let sql = format!(
                "{PUBLIC} SELECT {COLUMNS}, sum(c.count) FROM counted c JOIN files f ON f.id = c.file \
                 JOIN projects p ON p.id = f.project JOIN agents a ON a.id = c.agent {ORDER}"
            );
            let version = database.read_here(|connection| {
                // What is read is of one moment, and so is what it is called.
                let moment = connection.unchecked_transaction()?;
                let version = version(&moment, first, last)?;
                let written = report::write(&moment, &sql, params![first.number(), last.number()], |part| {
                    length += part.len() as u64;
                    Ok(file.write_all(&part)?)
                })?;
                Ok(written.map(|()| version.unwrap_or_default()))
            })?;
            Ok::<_, StatsError>(MadeReport { length, version, file: Arc::new(file) })
        };
        let made = spawn_blocking(build).await.map_err(|_| StatsError::Lost)??;
        self.made().keep(period, &made);
        Ok(Some(made))
    }
}

/// What a report between two days is made of, as one word; `None` if of nothing.
fn version(connection: &Connection, first: Day, last: Day) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT 0, day FROM days WHERE state = 2 AND day BETWEEN ?1 AND ?2 \
               UNION ALL SELECT 1, id FROM collections WHERE done = 1 AND day BETWEEN ?1 AND ?2 ORDER BY 1, 2";
    let mut parts = connection.prepare_cached(sql)?;
    let mut parts = parts.query(params![first.number(), last.number()])?;
    let (mut sha256, mut any) = (Sha256::new(), false);
    while let Some(row) = parts.next()? {
        sha256.update([row.get::<_, u8>(0)?]);
        sha256.update(row.get::<_, i64>(1)?.to_be_bytes());
        any = true;
    }
    Ok(any.then(|| hex::encode(sha256.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_period_is_kept_up_to_a_bound() {
        let made = Made::default();
        let keep = |day: i64, version: &str| {
            let file = Arc::new(tempfile::tempfile().unwrap());
            made.keep(Period::Day(Day::of(day)), &MadeReport { length: 0, version: version.into(), file });
        };
        let has = |day: i64, version: &str| made.find(Period::Day(Day::of(day)), version).is_some();
        keep(1, "a");
        for version in 0..2 * KEPT {
            keep(2, &version.to_string());
        }
        // What is made anew takes no more room than before.
        assert!(has(1, "a") && has(2, "15") && !has(2, "14"));
        for day in 3..=9 {
            keep(day, "a");
        }
        assert!(!has(1, "a") && has(2, "15") && (3..=9).all(|day| has(day, "a")));
    }
}
