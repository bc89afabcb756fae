//! What changed after a moment, newest first.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::project::Chunks;
use super::since_time::TimeRules;
use super::want::{Want, Wanted};
use super::{Journal, JournalError};

/// Rows that are looked through at a time: some 5 ms.
const CHUNK: usize = 5_000;

/// The answer to "what changed after this moment".
pub enum Changed {
    /// Each once: names, or names with versions. No piece at all means that nothing changed.
    Rows(Chunks<(String, Option<String>)>),
    /// More events than are looked through for one answer.
    TooMany,
    /// We don't know, and upstream is asked.
    NotCovered(Wanted),
}

/// What is being looked through.
struct Search {
    journal: Journal,
    since: i64,
    releases: bool,
    /// Time and serial of the last row looked at.
    at: (i64, i64),
    /// By name's id.
    seen: HashSet<(i64, Option<String>)>,
}

impl Journal {
    /// Names with an event after `time`, the last changed first; with `releases` the name and version of each
    /// `new release` instead. `most` events are looked through, which bounds time and memory.
    pub async fn changed_since(
        &self,
        time: i64,
        releases: bool,
        most: usize,
        rules: TimeRules,
    ) -> Result<Changed, JournalError> {
        let Some(head) = self.known_ref().current() else {
            return Ok(Changed::NotCovered(self.want(Want::LastSerial)));
        };
        let missing =
            self.read(move |connection| super::since_time::missing(connection, time, rules, head)).await?;
        if let Some(want) = missing {
            return Ok(Changed::NotCovered(self.want(want)));
        }
        let (any, too_many) = self.read(move |connection| counted(connection, time, most)).await?;
        if too_many {
            return Ok(Changed::TooMany);
        }
        if !any && !head.current {
            return Ok(Changed::NotCovered(self.want(Want::Since(head.serial))));
        }
        let at = (i64::MAX, i64::MAX);
        let search = Search { journal: self.clone(), since: time, releases, at, seen: HashSet::new() };
        Ok(Changed::Rows(stream::unfold(Some(search), Search::next).boxed()))
    }
}

/// Whether there is an event after `time`, and whether there are more than `most`.
fn counted(connection: &Connection, time: i64, most: usize) -> rusqlite::Result<(bool, bool)> {
    let sql = "SELECT 1 FROM events WHERE time > ?1 ORDER BY time LIMIT 1 OFFSET ?2";
    let mut found = connection.prepare_cached(sql)?;
    let mut beyond = |skipped: usize| {
        let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
        found.query_row([time, skipped], |_| Ok(())).optional().map(|row| row.is_some())
    };
    Ok((beyond(0)?, beyond(most)?))
}

type Piece = Result<Vec<(String, Option<String>)>, JournalError>;

impl Search {
    async fn next(search: Option<Self>) -> Option<(Piece, Option<Self>)> {
        let mut search = search?;
        loop {
            let journal = search.journal.clone();
            let read = journal
                .read(move |connection| {
                    let rows = search.look(connection)?;
                    Ok((search, rows))
                })
                .await;
            match read {
                Ok((_, None)) => return None,
                Ok((back, Some(rows))) if rows.is_empty() => search = back,
                Ok((back, Some(rows))) => return Some((Ok(rows), Some(back))),
                Err(error) => return Some((Err(error), None)),
            }
        }
    }

    /// The next rows that were not seen yet; `None` at the end.
    fn look(&mut self, connection: &Connection) -> rusqlite::Result<Option<Vec<(String, Option<String>)>>> {
        let sql = "SELECT time, serial, name, version, names.spelling, verbs.text FROM events \
                   CROSS JOIN names ON names.id = events.name CROSS JOIN verbs ON verbs.id = events.verb \
                   WHERE time > ?1 AND time <= ?2 AND (time < ?2 OR serial < ?3) \
                   ORDER BY time DESC, serial DESC LIMIT ?4";
        let mut statement = connection.prepare_cached(sql)?;
        let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
        let mut found = statement.query(params![self.since, self.at.0, self.at.1, chunk])?;
        let (mut rows, mut any) = (Vec::new(), false);
        while let Some(row) = found.next()? {
            any = true;
            self.at = (row.get(0)?, row.get(1)?);
            if self.releases && row.get_ref(5)?.as_str()? != "new release" {
                continue;
            }
            let version = if self.releases { row.get::<_, Option<String>>(3)? } else { None };
            if self.seen.insert((row.get(2)?, version.clone())) {
                rows.push((row.get(4)?, version));
            }
        }
        Ok(any.then_some(rows))
    }
}
