//! The events after a serial.

use std::ops::ControlFlow;

use futures_util::StreamExt as _;
use futures_util::stream;
use rusqlite::{Connection, OptionalExtension as _};

use super::known::Head;
use super::project::{CHUNK_ROWS, Chunks};
use super::want::{Want, Wanted};
use super::{EventRow, Journal, JournalError, Slice, coverage, wording};
use crate::model::{Event, Serial};

/// The answer to "what happened after this serial".
pub enum Since {
    /// Events in ascending order: all, or a prefix without a gap (docs/wire.md section 6, slices). No piece at all
    /// means that nothing happened as far as upstream is known; it is never the answer where we don't know.
    Events(Chunks<Event>),
    /// We don't know. Upstream is asked for the first serials that are missing; the caller may wait for that and
    /// ask again, or say when to come back.
    NotCovered(Wanted),
}

/// The same, with the events still to be read.
pub enum Found {
    /// At least one event.
    Slice(Slice),
    /// Nothing happened.
    Nothing,
    /// We don't know, and upstream is asked.
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
        Ok(match self.slice_after(serial, limit).await? {
            Found::Slice(slice) => Since::Events(self.events(slice)),
            Found::Nothing => Since::Events(stream::empty().boxed()),
            Found::NotCovered(wanted) => Since::NotCovered(wanted),
        })
    }

    /// As [`Journal::since_serial`], for who reads the rows with [`Journal::read_rows`].
    pub async fn slice_after(&self, serial: Serial, limit: usize) -> Result<Found, JournalError> {
        // Read before the tables: if both move meanwhile, the answer is a shorter prefix and still right.
        let head = self.known_ref().current();
        let end = self.read(move |connection| end(connection, serial.0, limit, head)).await?;
        Ok(match end {
            End::Nothing => Found::Nothing,
            End::At(upto) => Found::Slice(Slice::Serials { after: serial, upto: Serial(upto) }),
            End::Missing(after) => Found::NotCovered(self.want(Want::Since(Serial(after)))),
        })
    }

    /// Whether it is known what came right after `serial`.
    pub async fn knows_after(&self, serial: Serial) -> Result<bool, JournalError> {
        self.read(move |connection| coverage::known_upto(connection, serial.0))
            .await
            .map(|upto| upto.is_some())
    }

    fn events(&self, slice: Slice) -> Chunks<Event> {
        let journal = self.clone();
        stream::unfold(Some(slice.start()), move |from| {
            let journal = journal.clone();
            async move {
                let keep = |events: &mut Vec<Event>, row: &EventRow<'_>| {
                    events.push(Event {
                        serial: row.serial,
                        name: row.name.to_owned(),
                        version: row.version.map(str::to_owned),
                        time: row.time,
                        action: wording::join(row.verb, row.object),
                    });
                    ControlFlow::Continue(())
                };
                match journal.read_rows(slice, from?, CHUNK_ROWS, Vec::new(), keep).await {
                    Ok(read) if read.sink.is_empty() => None,
                    Ok(read) => Some((Ok(read.sink), read.next)),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
        .boxed()
    }
}

fn end(connection: &Connection, serial: i64, limit: usize, head: Option<Head>) -> rusqlite::Result<End> {
    let upto = coverage::known_upto(connection, serial)?;
    if let Some(upto) = upto {
        // The last row that the limit lets through; with fewer rows, the last one. Some 2 ms for 50,000.
        let sql =
            "SELECT serial FROM events WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT 1 OFFSET ?3";
        let offset = i64::try_from(limit.max(1)).unwrap_or(i64::MAX) - 1;
        let mut cut = connection.prepare_cached(sql)?;
        if let Some(last) = cut.query_row([serial, upto, offset], |row| row.get(0)).optional()? {
            return Ok(End::At(last));
        }
        let sql = "SELECT max(serial) FROM events WHERE serial > ?1 AND serial <= ?2";
        let last: Option<i64> =
            connection.prepare_cached(sql)?.query_row([serial, upto], |row| row.get(0))?;
        if let Some(last) = last {
            return Ok(End::At(last));
        }
    }
    // Known to be empty up to here: serials are not dense.
    let known = upto.unwrap_or(serial);
    Ok(match head {
        Some(head) if known >= head.serial.0 && head.current => End::Nothing,
        // A number beyond our head is nobody's serial: upstream is asked for what follows the head instead.
        Some(head) => {
            let after = known.min(head.serial.0);
            End::Missing(coverage::known_upto(connection, after)?.unwrap_or(after))
        }
        None => End::Missing(known),
    })
}
