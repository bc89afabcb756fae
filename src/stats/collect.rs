//! Another mirror's day: unpacked as it comes, within a bound, and taken whole or not at all.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bzip2::{Decompress, Status};
use rusqlite::{Connection, params};

use super::agent::{OTHER, cleaned};
use super::database::Database;
use super::records::Records;
use super::{Agent, Day, Stats, StatsError, StatsSettings, foreign, intern};
use crate::folder_lock;
use crate::model::ProjectName;

/// Locked as long as somebody collects.
const LOCK: &str = "statistics-collect.lock";
/// Lines that are written at once: a few dozen milliseconds, in which nothing else is written.
const LINES: u32 = 2000;
/// Bytes that are unpacked at once.
const UNPACKED: usize = 64 << 10;
/// More than was ever counted, and less than what rounds: a sum that a wrong file drives beyond stays there.
pub(super) const MOST: i64 = 9_007_199_254_740_991;

/// Why a day was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It is no bzip2, or not all of it.
    #[error("no whole bzip2 stream: {0}")]
    Bzip2(&'static str),
    /// It has more bytes than may be.
    #[error("more than {0} bytes when unpacked (stats.collect_bytes)")]
    TooLarge(u64),
    /// It cannot be written.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

/// What was taken of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines that were counted.
    pub lines: u64,
    /// Lines that are none: no count, or an impossible name.
    pub left_out: u64,
    /// Downloads.
    pub downloads: u64,
}

/// Who takes other mirrors' days. There is one at a time in a folder, in whichever process. All of it blocks.
#[derive(Debug)]
pub struct Collector {
    database: Database,
    agent_bytes: usize,
    agents_a_day: usize,
    _lock: File,
}

impl Collector {
    /// Beside a relay that runs on the folder, or without one.
    pub fn open(folder: &Path, settings: &StatsSettings) -> Result<Self, StatsError> {
        Self::on(Database::open(folder)?, settings)
    }

    /// In the process that counts.
    pub fn of(stats: &Stats) -> Result<Self, StatsError> {
        Self::on(stats.database().clone(), stats.settings())
    }

    fn on(database: Database, settings: &StatsSettings) -> Result<Self, StatsError> {
        let path = database.folder().join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = file.map_err(|error| StatsError::file(&path, error))?;
        folder_lock::take(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => StatsError::Collecting { folder: database.folder().to_owned() },
            TryLockError::Error(error) => StatsError::file(&path, error),
        })?;
        let (agent_bytes, agents_a_day) = (settings.agent_bytes, settings.agents_a_day);
        Ok(Self { database, agent_bytes, agents_a_day, _lock: lock })
    }

    /// Whether this day of that mirror is taken already.
    pub fn has(&self, source: &str, day: Day) -> Result<bool, StatsError> {
        self.database.read_here(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM collections WHERE source = ?1 AND day = ?2 AND done = 1)";
            connection.prepare_cached(sql)?.query_row(params![source, day.number()], |row| row.get(0)).map(Ok)
        })
    }

    /// Begins to take a day. `most`: unpacked bytes.
    pub fn take(&self, source: &str, day: Day, most: u64) -> Result<Taking<'_>, StatsError> {
        // Whoever had begun one before has died, as there is one collector.
        let begun = |connection: &Connection| {
            let mut begun = connection.prepare_cached("SELECT id FROM collections WHERE done = 0")?;
            begun.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>().map(Ok)
        };
        for id in self.database.read_here::<_, StatsError>(begun)? {
            self.drop_rows(id)?;
        }
        let id = self.database.write_here(|transaction| {
            let insert = "INSERT INTO collections (source, day) VALUES (?1, ?2)";
            transaction.prepare_cached(insert)?.insert(params![source, day.number()])
        })?;
        Ok(Taking {
            collector: self,
            id,
            day,
            most,
            unpacked: 0,
            stream: Some(Decompress::new(false)),
            buffer: vec![0; UNPACKED],
            records: Records::default(),
            lines: Vec::new(),
            agents: HashSet::new(),
            taken: Taken::default(),
        })
    }

    /// Takes out what a collection that is not done has written, step by step.
    fn drop_rows(&self, id: i64) -> Result<(), StatsError> {
        let some = "DELETE FROM collected WHERE collection = ?1 AND file <= \
                    (SELECT file FROM collected WHERE collection = ?1 ORDER BY file LIMIT 1 OFFSET ?2)";
        while self
            .database
            .write_here(|transaction| transaction.prepare_cached(some)?.execute(params![id, LINES]))?
            > 0
        {}
        self.database.write_here(|transaction| {
            transaction.execute("DELETE FROM collected WHERE collection = ?1", [id])?;
            transaction.execute("DELETE FROM collections WHERE id = ?1 AND done = 0", [id]).map(|_| ())
        })
    }
}

/// A day that is being taken. Dropped before its end, nothing of it is.
pub struct Taking<'a> {
    collector: &'a Collector,
    id: i64,
    day: Day,
    most: u64,
    unpacked: u64,
    /// `None` behind the end of a stream; there is one before the first byte too.
    stream: Option<Decompress>,
    buffer: Vec<u8>,
    records: Records,
    lines: Vec<foreign::Line>,
    agents: HashSet<i64>,
    taken: Taken,
}

impl Taking<'_> {
    /// Takes the next packed bytes.
    pub fn feed(&mut self, mut packed: &[u8]) -> Result<(), TakeError> {
        while !packed.is_empty() {
            // Some programs write several streams one behind the other.
            let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
            let (before, out_before) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(packed, &mut self.buffer);
            let status = status.map_err(|_| TakeError::Bzip2("damaged, or something else"))?;
            let read = usize::try_from(stream.total_in() - before).unwrap_or(packed.len());
            let written = usize::try_from(stream.total_out() - out_before).unwrap_or(0);
            if status == Status::StreamEnd {
                self.stream = None;
            } else if read == 0 && written == 0 {
                return Err(TakeError::Bzip2("it does not go on"));
            }
            packed = &packed[read..];
            self.unpacked += written as u64;
            if self.unpacked > self.most {
                return Err(TakeError::TooLarge(self.most));
            }
            self.unpacked_bytes(written)?;
        }
        // What is unpacked may be much more than fits at once.
        while let Some(stream) = &mut self.stream {
            let before = stream.total_out();
            let status = stream.decompress(&[], &mut self.buffer);
            let written = usize::try_from(stream.total_out() - before).unwrap_or(0);
            match status {
                Ok(Status::StreamEnd) => self.stream = None,
                // It waits for more.
                Ok(_) | Err(_) if written == 0 => break,
                Ok(_) => {}
                Err(_) => return Err(TakeError::Bzip2("damaged, or something else")),
            }
            self.unpacked += written as u64;
            if self.unpacked > self.most {
                return Err(TakeError::TooLarge(self.most));
            }
            self.unpacked_bytes(written)?;
        }
        Ok(())
    }

    /// All has come: the day counts from here on.
    pub fn finish(mut self) -> Result<Taken, TakeError> {
        if self.stream.is_some() {
            return Err(TakeError::Bzip2("it is cut"));
        }
        let mut records = std::mem::take(&mut self.records);
        records.finish(|record| self.record(record))?;
        self.write()?;
        let (id, day) = (self.id, self.day);
        self.collector.database.write_here(|transaction| count(transaction, id, day))?;
        Ok(self.taken)
    }

    /// Gives up; what was written is taken out.
    pub fn abandon(self) -> Result<(), StatsError> {
        self.collector.drop_rows(self.id)
    }

    fn unpacked_bytes(&mut self, written: usize) -> Result<(), StatsError> {
        let (buffer, mut records) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.records));
        let done = records.feed(&buffer[..written], |record| self.record(record));
        (self.buffer, self.records) = (buffer, records);
        done
    }

    fn record(&mut self, record: Option<&[u8]>) -> Result<(), StatsError> {
        let text = record.map(|record| record.strip_suffix(b"\r").unwrap_or(record));
        if text.is_some_and(<[u8]>::is_empty) {
            return Ok(());
        }
        match text.and_then(foreign::Line::read) {
            Some(line) => self.lines.push(line),
            None => self.taken.left_out += 1,
        }
        if self.lines.len() >= LINES as usize { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StatsError> {
        let lines = std::mem::take(&mut self.lines);
        let (id, most, agents) = (self.id, self.collector.agents_a_day, &mut self.agents);
        let agent_bytes = self.collector.agent_bytes;
        self.collector.database.write_here(|transaction| {
            let add = format!(
                "INSERT INTO collected (collection, file, agent, count) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET count = min(count + excluded.count, {MOST})"
            );
            let mut add = transaction.prepare_cached(&add)?;
            for line in &lines {
                let project = collected_project(transaction, line)?;
                let file = intern::file(transaction, project, &line.filename, &line.version)?;
                let named = Agent::named(&cleaned(&line.agent, agent_bytes));
                let agent = match intern::known_agent(transaction, &named)? {
                    Some(known) if agents.len() < most || agents.contains(&known) => known,
                    _ if agents.len() < most => intern::agent(transaction, &named)?,
                    _ => intern::agent(transaction, &Agent::named(OTHER))?,
                };
                if agents.len() < most {
                    agents.insert(agent);
                }
                add.execute(params![id, file, agent, line.count])?;
            }
            Ok(())
        })?;
        self.taken.lines += lines.len() as u64;
        self.taken.downloads += lines.iter().map(|line| line.count.unsigned_abs()).sum::<u64>();
        Ok(())
    }
}

/// A project by any spelling; one that is not known yet has that of the mirror.
fn collected_project(connection: &Connection, line: &foreign::Line) -> rusqlite::Result<i64> {
    let name: &ProjectName = &line.project;
    let id = intern::project(connection, name.as_str(), None)?;
    // Until the registered spelling is known.
    let spell = "UPDATE projects SET spelling = ?2 WHERE id = ?1 AND spelling = name AND count = 0";
    connection.prepare_cached(spell)?.execute(params![id, line.spelling])?;
    Ok(id)
}

/// Adds a collection to the sums, and marks it as done.
fn count(connection: &Connection, id: i64, day: Day) -> rusqlite::Result<()> {
    let of_files = "SELECT file, sum(count) AS count FROM collected WHERE collection = ?1 GROUP BY file";
    let of_projects = "SELECT f.project AS project, sum(c.count) AS count FROM collected c JOIN files f ON f.id = c.file \
                       WHERE c.collection = ?1 GROUP BY f.project";
    let files = format!(
        "UPDATE files SET count = min(files.count + s.count, {MOST}) FROM ({of_files}) s WHERE files.id = s.file"
    );
    let projects = format!(
        "UPDATE projects SET count = min(projects.count + s.count, {MOST}) FROM ({of_projects}) s \
         WHERE projects.id = s.project"
    );
    let days = format!(
        "INSERT INTO project_days (project, day, count) SELECT project, ?2, count FROM ({of_projects}) WHERE 1 \
         ON CONFLICT DO UPDATE SET count = min(count + excluded.count, {MOST})"
    );
    connection.prepare_cached(&files)?.execute([id])?;
    connection.prepare_cached(&projects)?.execute([id])?;
    connection.prepare_cached(&days)?.execute(params![id, day.number()])?;
    connection.prepare_cached("UPDATE collections SET done = 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}
