//! Sums beside the rows: what the methods tell is read, not added up.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::Day;

/// What a transaction adds to the sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    files: HashMap<i64, i64>,
    projects: HashMap<i64, i64>,
    days: HashMap<(i64, Day), i64>,
}

impl Sums {
    pub(super) fn add(&mut self, project: i64, file: i64, day: Day, count: i64) {
        *self.files.entry(file).or_default() += count;
        *self.projects.entry(project).or_default() += count;
        *self.days.entry((project, day)).or_default() += count;
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached("UPDATE files SET count = count + ?2 WHERE id = ?1")?;
        for (file, count) in &self.files {
            update.execute([file, count])?;
        }
        let mut update = connection.prepare_cached("UPDATE projects SET count = count + ?2 WHERE id = ?1")?;
        for (project, count) in &self.projects {
            update.execute([project, count])?;
        }
        let sql = "INSERT INTO project_days (project, day, count) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET count = count + excluded.count";
        let mut update = connection.prepare_cached(sql)?;
        for ((project, day), count) in &self.days {
            update.execute(params![project, day.number(), count])?;
        }
        Ok(())
    }
}
