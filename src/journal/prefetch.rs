//! Files that are to be fetched in advance: a queue on disk, with how far the changelog was looked through for it.

use rusqlite::{Connection, Row, params};

use super::{Journal, JournalError, coverage, facts, wording};
use crate::metric;
use crate::model::{Action, ProjectName, Serial};

/// Events that are looked through at a time: some 5 ms.
const CHUNK: i64 = 5_000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// A file that the changelog announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub filename: String,
    /// Its release.
    pub version: Option<String>,
    /// The announcement's serial: a page older than that cannot name it.
    pub serial: Serial,
}

/// A file in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its place.
    pub id: i64,
    /// The file.
    pub file: Announced,
    /// How often it was tried.
    pub attempts: u32,
}

/// The queue of one journal. Clones are one queue.
#[derive(Clone)]
pub struct PrefetchQueue(Journal);

impl Journal {
    /// The queue of files to be fetched in advance.
    pub fn prefetch_queue(&self) -> PrefetchQueue {
        PrefetchQueue(self.clone())
    }
}

impl PrefetchQueue {
    /// Files announced since this was asked last and [`PrefetchQueue::note`]d, with the serial up to which that is
    /// all; `None` if there are no further events. The first time everything is history: nothing of it is told.
    pub async fn announced(&self) -> Result<Option<(Vec<Announced>, Serial)>, JournalError> {
        let Some(head) = self.0.projects_serial() else { return Ok(None) };
        self.0
            .read(move |connection| match facts::get(connection, facts::PREFETCHED_SERIAL)? {
                Some(after) => after_serial(connection, after, head.0),
                None => Ok(Some((Vec::new(), head))),
            })
            .await
    }

    /// Puts files in the queue, at most so many that it has `most`, and notes how far the changelog is looked
    /// through. Returns how many found no place.
    pub async fn note(
        &self,
        wanted: Vec<Announced>,
        upto: Serial,
        most: usize,
    ) -> Result<usize, JournalError> {
        let now = self.0.clock().unix();
        self.0
            .write(move |connection| {
                let known: i64 =
                    connection.query_row("SELECT count(*) FROM prefetch", [], |row| row.get(0))?;
                let room = most.saturating_sub(usize::try_from(known).unwrap_or(usize::MAX));
                let sql = "INSERT INTO prefetch (project, filename, version, serial, attempts, noted, due) \
                           VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5) ON CONFLICT (project, filename) DO UPDATE \
                           SET serial = excluded.serial, version = excluded.version, attempts = 0, \
                           noted = excluded.noted, due = excluded.due";
                let mut insert = connection.prepare_cached(sql)?;
                for file in wanted.iter().take(room) {
                    let (name, serial) = (file.project.as_str(), file.serial.0);
                    insert.execute(params![name, file.filename, file.version, serial, now])?;
                }
                facts::raise(connection, facts::PREFETCHED_SERIAL, upto.0)?;
                Ok(wanted.len().saturating_sub(room))
            })
            .await
    }

    /// At most `most` files whose time has come, the longest due first; with the seconds until the next one's
    /// time has come, if there are none now.
    pub async fn due(&self, most: usize) -> Result<(Vec<Queued>, Option<u64>), JournalError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let now = self.0.clock().unix();
        self.0
            .read(move |connection| {
                // What was put off by a clock that was ahead then, and came back, waits for nothing.
                let sql = "SELECT * FROM (SELECT id, project, filename, version, serial, attempts FROM prefetch \
                           WHERE due <= ?1 ORDER BY due, id LIMIT ?2) \
                           UNION ALL SELECT id, project, filename, version, serial, attempts FROM prefetch \
                           WHERE noted > ?1 AND due > ?1 LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([now, most], queued)?;
                let rows: Vec<Queued> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
                let sql = "SELECT max(min(due) - ?1, 0), count(*) FROM prefetch";
                let mut left = connection.prepare_cached(sql)?;
                let (wait, waiting): (Option<i64>, f64) =
                    left.query_row([now], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into())))?;
                metrics::gauge!(metric::PREFETCH_WAITING).set(waiting);
                Ok((rows, wait.and_then(|wait| u64::try_from(wait).ok())))
            })
            .await
    }

    /// A file is tried again later.
    pub async fn put_off(&self, id: i64, attempts: u32, seconds: u64) -> Result<(), JournalError> {
        let now = self.0.clock().unix();
        let due = now.saturating_add_unsigned(seconds);
        self.0
            .write(move |connection| {
                let sql = "UPDATE prefetch SET attempts = ?2, noted = ?3, due = ?4 WHERE id = ?1";
                connection.prepare_cached(sql)?.execute(params![id, attempts, now, due]).map(|_| ())
            })
            .await
    }

    /// A file is here, or given up.
    pub async fn end(&self, id: i64) -> Result<(), JournalError> {
        self.0
            .write(move |connection| {
                connection.prepare_cached("DELETE FROM prefetch WHERE id = ?1")?.execute([id]).map(|_| ())
            })
            .await
    }

    /// Adds to the bytes of the day (UTC); their sum. 0 asks for it.
    pub async fn spend(&self, bytes: u64) -> Result<u64, JournalError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let today = self.0.clock().unix().div_euclid(DAY);
        let spent = self.0.write(move |connection| {
            let mut spent = 0;
            if facts::get(connection, facts::PREFETCH_DAY)? == Some(today) {
                spent = facts::get(connection, facts::PREFETCH_BYTES)?.unwrap_or(0);
            } else {
                facts::set(connection, facts::PREFETCH_DAY, today)?;
            }
            let spent = i64::saturating_add(spent, bytes);
            facts::set(connection, facts::PREFETCH_BYTES, spent)?;
            Ok(spent)
        });
        spent.await.map(|spent| u64::try_from(spent).unwrap_or(0))
    }
}

fn after_serial(
    connection: &Connection,
    after: i64,
    head: i64,
) -> rusqlite::Result<Option<(Vec<Announced>, Serial)>> {
    if after >= head {
        return Ok(None);
    }
    // What lies between and is not known was not followed; what follows it is.
    let Some(upto) = coverage::known_upto(connection, after)? else {
        return Ok(Some((Vec::new(), Serial(head))));
    };
    let sql = "SELECT serial, names.spelling, version, verbs.text, object FROM events \
               CROSS JOIN names ON names.id = events.name CROSS JOIN verbs ON verbs.id = events.verb \
               WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([after, upto, CHUNK])?;
    let (mut found, mut seen, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        seen += 1;
        last = row.get(0)?;
        let action = wording::join(row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str_or_null()?);
        let version: Option<String> = row.get(2)?;
        if let Action::AddFile { filename, .. } = Action::parse(&action, version.is_some())
            && let Ok(project) = ProjectName::parse(row.get_ref(1)?.as_str()?)
        {
            found.push(Announced { project, filename: filename.to_owned(), version, serial: Serial(last) });
        }
    }
    // With fewer rows than could be there are none behind the last.
    Ok(Some((found, Serial(if seen < CHUNK { upto } else { last }))))
}

/// `None` for a row that is none of ours.
fn queued(row: &Row<'_>) -> rusqlite::Result<Option<Queued>> {
    let Ok(project) = ProjectName::parse(row.get_ref(1)?.as_str()?) else { return Ok(None) };
    let file =
        Announced { project, filename: row.get(2)?, version: row.get(3)?, serial: Serial(row.get(4)?) };
    Ok(Some(Queued { id: row.get(0)?, file, attempts: row.get(5)? }))
}
