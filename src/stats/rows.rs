//! Rows for commands: all that is counted, own days open or not, and collected ones.

use std::io;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::report::{COLUMNS, ORDER};
use super::{Day, Period, Stats, StatsError};
use crate::sqlite_file::count;

/// All that is counted between two days.
const ALL: &str = "WITH counted AS ( \
     SELECT day, file, agent, count FROM counters WHERE day BETWEEN ?1 AND ?2 \
     UNION ALL SELECT k.day, c.file, c.agent, c.count FROM collections k JOIN collected c ON c.collection = k.id \
         WHERE k.done = 1 AND k.day BETWEEN ?1 AND ?2)";

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The project, as registered.
    pub project: String,
    /// The file.
    pub filename: String,
    /// The user agent.
    pub agent: String,
    /// Downloads.
    pub count: u64,
}

/// A row of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// The day.
    pub day: Day,
    /// The project, as registered.
    pub project: String,
    /// The version, as the file's name says it; empty if that says none.
    pub version: String,
    /// The file.
    pub filename: String,
    /// The user agent.
    pub agent: String,
    /// Downloads.
    pub count: u64,
    /// What installed; empty if the agent does not say, and for collected days, as all below.
    pub installer: String,
    /// Its version.
    pub installer_version: String,
    /// The version of Python.
    pub python: String,
    /// The system's name.
    pub system: String,
}

impl ExportRow {
    /// What the columns are called.
    pub const COLUMNS: [&str; 10] = [
        "day",
        "project",
        "version",
        "filename",
        "agent",
        "count",
        "installer",
        "installer_version",
        "python",
        "system",
    ];
}

impl Stats {
    /// Gives the rows of a period to `each`, sorted as in reports. Blocking.
    pub fn report_rows(
        &self,
        period: Period,
        mut each: impl FnMut(ReportRow) -> io::Result<()>,
    ) -> Result<(), StatsError> {
        let (first, last) = period.days();
        let sql = format!(
            "{ALL} SELECT {COLUMNS}, sum(c.count) FROM counted c JOIN files f ON f.id = c.file \
             JOIN projects p ON p.id = f.project JOIN agents a ON a.id = c.agent {ORDER}"
        );
        self.database().read_here(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![first.number(), last.number()])?;
            while let Some(row) = rows.next()? {
                let (project, filename, agent) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let count = count(row, 3)?;
                if let Err(error) = each(ReportRow { project, filename, agent, count }) {
                    return Ok(Err(StatsError::Output(Arc::new(error))));
                }
            }
            Ok(Ok(()))
        })
    }

    /// Gives all rows between two days to `each`, day by day. Blocking.
    pub fn export_rows(
        &self,
        first: Day,
        last: Day,
        mut each: impl FnMut(ExportRow) -> io::Result<()>,
    ) -> Result<(), StatsError> {
        let sql = format!(
            "{ALL} SELECT {COLUMNS}, f.version, sum(c.count), a.installer, a.installer_version, a.python, a.system \
             FROM counted c JOIN files f ON f.id = c.file JOIN projects p ON p.id = f.project \
             JOIN agents a ON a.id = c.agent GROUP BY c.file, c.agent ORDER BY f.filename, a.text, p.spelling, c.agent"
        );
        self.database().read_here(|connection| {
            for day in days(connection, first, last)? {
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(params![day.number(), day.number()])?;
                while let Some(row) = rows.next()? {
                    let row = ExportRow {
                        day,
                        project: row.get(0)?,
                        filename: row.get(1)?,
                        agent: row.get(2)?,
                        version: row.get(3)?,
                        count: count(row, 4)?,
                        installer: row.get(5)?,
                        installer_version: row.get(6)?,
                        python: row.get(7)?,
                        system: row.get(8)?,
                    };
                    if let Err(error) = each(row) {
                        return Ok(Err(StatsError::Output(Arc::new(error))));
                    }
                }
            }
            Ok(Ok(()))
        })
    }

    /// Downloads by day, of days that have some. Blocking.
    pub fn by_day(&self, first: Day, last: Day) -> Result<Vec<(Day, u64)>, StatsError> {
        self.database().read_here(|connection| {
            let sql = format!("{ALL} SELECT day, sum(count) FROM counted GROUP BY day ORDER BY day");
            let mut days = connection.prepare_cached(&sql)?;
            let days = days.query_map(params![first.number(), last.number()], |row| {
                Ok((Day::of(row.get(0)?), count(row, 1)?))
            })?;
            days.collect::<rusqlite::Result<_>>().map(Ok)
        })
    }

    /// The projects with most downloads, most first, then by name; also where nothing is counted any more. Blocking.
    pub fn top_rows(&self, num: u64) -> Result<Vec<(String, u64)>, StatsError> {
        self.database().read_here(|connection| super::numbers::top(connection, Some(num)).map(Ok))
    }
}

fn days(connection: &Connection, first: Day, last: Day) -> rusqlite::Result<Vec<Day>> {
    let sql = "SELECT day FROM days WHERE day BETWEEN ?1 AND ?2 \
               UNION SELECT day FROM collections WHERE done = 1 AND day BETWEEN ?1 AND ?2 ORDER BY day";
    let mut days = connection.prepare_cached(sql)?;
    days.query_map(params![first.number(), last.number()], |row| row.get(0).map(Day::of))?.collect()
}
