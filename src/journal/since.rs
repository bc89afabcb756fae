//! The events after a serial.

use futures_util::StreamExt as _;
use futures_util::stream;
use rusqlite::{Connection, params};

use super::project::{CHUNK_ROWS, Chunks};
use super::want::{Want, Wanted};
use super::{Journal, JournalError, coverage, wording};
use crate::model::{Event, Serial};

/// The answer to "what happened after this serial".
pub enum Since {
    /// Events in ascending order: all, or a prefix without a gap (WIRE.md section 6, slices). No piece at all
    /// means that nothing happened as far as upstream is known; it is never the answer where we don't know.
    Events(Chunks<Event>),
    /// We don't know. Upstream is asked for the first serials that are missing; the caller may wait for that and
    /// ask again, or say when to come back.
    NotCovered(Wanted),
}

/// Where an answer ends.
enum End {
    Nothing,
    At(i64),
    Missing(i64),
}

impl Journal {
    /// The events with serials greater than `serial`, at most `limit` of them and at least one: an answer that is
    /// cut to nothing would say that nothing happened.
    pub async fn since_serial(&self, serial: Serial, limit: usize) -> Result<Since, JournalError> {
        // Read before the tables: if both move meanwhile, the answer is a shorter prefix and still right.
        let head = self.known_ref().current_head();
        let end = self.read(move |connection| end(connection, serial.0, head)).await?;
        match end {
            End::Nothing => Ok(Since::Events(stream::empty().boxed())),
            End::At(upto) => Ok(Since::Events(self.events(serial.0, upto, limit))),
            End::Missing(after) => Ok(Since::NotCovered(self.want(Want::Since(Serial(after))))),
        }
    }

    /// Whether it is known what came right after `serial`.
    pub async fn knows_after(&self, serial: Serial) -> Result<bool, JournalError> {
        self.read(move |connection| coverage::known_upto(connection, serial.0))
            .await
            .map(|upto| upto.is_some())
    }

    /// The events in `(after, upto]`, which must be covered.
    fn events(&self, after: i64, upto: i64, limit: usize) -> Chunks<Event> {
        let journal = self.clone();
        stream::unfold(Some((after, limit.max(1))), move |from| {
            let journal = journal.clone();
            async move {
                let (after, left) = from?;
                if left == 0 {
                    return None;
                }
                let rows = u32::try_from(left).unwrap_or(u32::MAX).min(CHUNK_ROWS);
                let read = journal.read(move |connection| chunk(connection, after, upto, rows)).await;
                match read {
                    Ok(events) => {
                        let last = events.last()?.serial.0;
                        let left = left - events.len();
                        Some((Ok(events), Some((last, left))))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
        .boxed()
    }
}

fn end(connection: &Connection, serial: i64, head: Option<Serial>) -> rusqlite::Result<End> {
    let upto = coverage::known_upto(connection, serial)?;
    if let Some(upto) = upto {
        let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE serial > ?1 AND serial <= ?2)";
        if connection.prepare_cached(sql)?.query_row([serial, upto], |row| row.get(0))? {
            return Ok(End::At(upto));
        }
    }
    // Known to be empty up to here: serials are not dense.
    let known = upto.unwrap_or(serial);
    let nothing = head.is_some_and(|head| known >= head.0);
    Ok(if nothing { End::Nothing } else { End::Missing(known) })
}

fn chunk(connection: &Connection, after: i64, upto: i64, rows: u32) -> rusqlite::Result<Vec<Event>> {
    let sql = "SELECT serial, names.spelling, version, time, verbs.text, object FROM events \
               JOIN names ON names.id = events.name JOIN verbs ON verbs.id = events.verb \
               WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![after, upto, rows])?;
    let mut events = Vec::new();
    while let Some(row) = found.next()? {
        let action = wording::join(row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str_or_null()?);
        events.push(Event {
            serial: Serial(row.get(0)?),
            name: row.get(1)?,
            version: row.get(2)?,
            time: row.get(3)?,
            action,
        });
    }
    Ok(events)
}
