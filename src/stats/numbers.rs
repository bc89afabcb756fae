//! The numbers that methods and commands tell: of own days, open or not, and of collected ones.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{Day, Stats, StatsError};
use crate::model::ProjectName;
use crate::sqlite_file::count;

/// Days before today that belong to the last day, week and month: as the old index counted, which kept one number a day.
const WINDOWS: [i64; 3] = [1, 7, 30];

/// Projects that are looked at for those with most downloads lately.
pub const LEADERS: u32 = 100;

/// Downloads of a project lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Today and yesterday.
    pub last_day: u64,
    /// Today and the seven days before.
    pub last_week: u64,
    /// Today and the thirty days before.
    pub last_month: u64,
}

impl Stats {
    /// Downloads of each file of a project that was ever counted, by its name. `None` where nothing is counted.
    pub async fn of_files(&self, project: &ProjectName) -> Result<Option<HashMap<String, u64>>, StatsError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let name = project.clone();
        self.database().read(move |connection| of_files(connection, &name)).await.map(Some)
    }

    /// Downloads of a project lately. `None` where nothing is counted.
    pub async fn recent(&self, project: &ProjectName) -> Result<Option<Recent>, StatsError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let (name, today) = (project.clone(), self.today());
        self.database().read(move |connection| recent(connection, &name, today)).await.map(Some)
    }

    /// Of the [`LEADERS`] projects with most downloads in all, those with most today and in the seven days before: their registered
    /// spelling, and the number of these days; most first, then by name, at most `most`. It reads some rows of each and no
    /// more, however much is counted.
    pub async fn top_lately(&self, most: usize) -> Result<Vec<(String, u64)>, StatsError> {
        let today = self.today();
        self.database().read(move |connection| top_lately(connection, today, most)).await
    }

    /// The projects with most downloads, most first, then by name: their registered spelling, and the number. At most
    /// `num`, or all.
    pub async fn top(&self, num: Option<u64>) -> Result<Vec<(String, u64)>, StatsError> {
        if !self.is_enabled() {
            return Ok(Vec::new());
        }
        self.database().read(move |connection| top(connection, num)).await
    }
}

fn of_files(connection: &Connection, project: &ProjectName) -> rusqlite::Result<HashMap<String, u64>> {
    let sql = "SELECT f.filename, f.count FROM projects p JOIN files f ON f.project = p.id WHERE p.name = ?1";
    let mut files = connection.prepare_cached(sql)?;
    files.query_map([project.as_str()], |row| Ok((row.get(0)?, count(row, 1)?)))?.collect()
}

fn recent(connection: &Connection, project: &ProjectName, today: Day) -> rusqlite::Result<Recent> {
    let sql = "SELECT ifnull(sum(d.count), 0) FROM projects p JOIN project_days d ON d.project = p.id \
               WHERE p.name = ?1 AND d.day BETWEEN ?2 AND ?3";
    let mut sum = connection.prepare_cached(sql)?;
    let mut since = |days: i64| {
        let days = params![project.as_str(), today.before(days).number(), today.number()];
        sum.query_row(days, |row| count(row, 0))
    };
    let [last_day, last_week, last_month] = WINDOWS;
    Ok(Recent { last_day: since(last_day)?, last_week: since(last_week)?, last_month: since(last_month)? })
}

fn top_lately(connection: &Connection, today: Day, most: usize) -> rusqlite::Result<Vec<(String, u64)>> {
    let sql = "SELECT spelling, (SELECT sum(d.count) FROM project_days d WHERE d.project = p.id AND d.day BETWEEN ?1 AND ?2) \
               AS lately FROM (SELECT id, spelling FROM projects ORDER BY count DESC LIMIT ?3) p \
               WHERE lately > 0 ORDER BY lately DESC, spelling LIMIT ?4";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let asked = params![today.before(WINDOWS[1]).number(), today.number(), LEADERS, most];
    let mut top = connection.prepare_cached(sql)?;
    top.query_map(asked, |row| Ok((row.get(0)?, count(row, 1)?)))?.collect()
}

pub(super) fn top(connection: &Connection, num: Option<u64>) -> rusqlite::Result<Vec<(String, u64)>> {
    // -1 is no limit.
    let most = num.map_or(-1, |num| i64::try_from(num).unwrap_or(i64::MAX));
    let sql = "SELECT spelling, count FROM projects WHERE count > 0 ORDER BY count DESC, spelling LIMIT ?1";
    let mut top = connection.prepare_cached(sql)?;
    top.query_map([most], |row| Ok((row.get(0)?, count(row, 1)?)))?.collect()
}
