//! Slices of the changelog, read a piece at a time without copying what a row says.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::bounds::{Bounds, ReadPosition};
use super::interned::EventTexts;
use super::{Journal, JournalError};
use crate::model::Serial;

/// A set of events that is known to be complete, in the order of the question that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slice {
    /// By serial: those in `(after, upto]`.
    Serials {
        /// The serial before the first.
        after: Serial,
        /// The last serial.
        upto: Serial,
    },
    /// By time, then serial: those with times in `(after, upto]`.
    Times {
        /// The second before the first.
        after: i64,
        /// The last second.
        upto: i64,
    },
    /// By time, then serial: those of a question without a limit.
    Uncut(Bounds),
}

/// An event, borrowed from the database's page.
#[derive(Debug, Clone, Copy)]
pub struct EventRow<'a> {
    /// Its number.
    pub serial: Serial,
    /// The project's spelling in this event.
    pub name: &'a str,
    /// The release it is about, if it is not about the whole project.
    pub version: Option<&'a str>,
    /// Unix time in seconds.
    pub time: i64,
    /// The action's text, or with an object its first part.
    pub verb: &'a str,
    /// The rest of the action's text, after a space.
    pub object: Option<&'a str>,
}

/// What a reading brought.
pub struct Read<S> {
    /// What the caller gave, with the rows in it.
    pub sink: S,
    /// From where to read on; `None` at the slice's end.
    pub next: Option<ReadPosition>,
    /// How many rows were read.
    pub rows: usize,
}

/// Rows' worth of names that are read at once while nobody waits for them: some 5 ms.
const WARMED: usize = 2000;

impl Slice {
    /// Before the first row.
    pub fn start(self) -> ReadPosition {
        match self {
            Self::Serials { after, .. } => ReadPosition { time: i64::MIN, serial: after },
            // No serial is higher: rows of this very second come before the slice.
            Self::Times { after, .. } => ReadPosition { time: after, serial: Serial(i64::MAX) },
            Self::Uncut(bounds) => bounds.start(),
        }
    }
}

impl Journal {
    /// Reads at most `most` rows of a slice, and gives each to `each` until that breaks off. The rows before `from`
    /// are not read; the caller holds no lock between two readings, however slow its client.
    pub async fn read_rows<S, F>(
        &self,
        slice: Slice,
        from: ReadPosition,
        most: u32,
        sink: S,
        each: F,
    ) -> Result<Read<S>, JournalError>
    where
        S: Send + 'static,
        F: FnMut(&mut S, &EventRow<'_>) -> ControlFlow<()> + Send + 'static,
    {
        let texts = Arc::clone(self.event_texts());
        let read = move |connection: &Connection| {
            let read = rows(connection, &texts, slice, from, most, sink, each)?;
            texts.names.read_ahead(connection, read.rows)?;
            texts.verbs.read_ahead(connection, read.rows)?;
            Ok(read)
        };
        self.read(read).await
    }

    /// Reads the names of events into memory, some at a time, as far as there is room for them. Else the first large pages
    /// after a start would, and take ten times as long as others.
    pub async fn warm(&self) -> Result<(), JournalError> {
        let mut more = true;
        while more {
            let texts = Arc::clone(self.event_texts());
            more = self.read(move |connection| texts.names.read_ahead(connection, WARMED)).await?;
        }
        Ok(())
    }
}

fn rows<S>(
    connection: &Connection,
    texts: &EventTexts,
    slice: Slice,
    from: ReadPosition,
    most: u32,
    mut sink: S,
    mut each: impl FnMut(&mut S, &EventRow<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<Read<S>> {
    let (mut statement, mut then) = (None, None);
    let mut found = match slice {
        Slice::Serials { upto, .. } => {
            let sql = "SELECT serial, name, version, time, verb, object FROM events \
                       WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT ?3";
            statement.insert(connection.prepare_cached(sql)?).query(params![from.serial.0, upto.0, most])?
        }
        Slice::Times { upto, .. } => {
            // The index on time has the serial too, so the rows of a second that were read are skipped in it.
            let sql = "SELECT serial, name, version, time, verb, object FROM events \
                       WHERE time >= ?1 AND time <= ?2 AND (time > ?1 OR serial > ?3) \
                       ORDER BY time, serial LIMIT ?4";
            let statement = statement.insert(connection.prepare_cached(sql)?);
            statement.query(params![from.time, upto, from.serial.0, most])?
        }
        Slice::Uncut(bounds) => {
            let sql;
            (sql, then) = bounds.forward(from);
            statement.insert(connection.prepare_cached(sql)?).query(bounds.parameters(from, most))?
        }
    };
    let (names, verbs) = (texts.names.texts(), texts.verbs.texts());
    let (mut count, mut next) = (0, None);
    while let Some(row) = found.next()? {
        let name = texts.names.text(&names, connection, row.get(1)?)?;
        let verb = texts.verbs.text(&verbs, connection, row.get(4)?)?;
        let row = EventRow {
            serial: Serial(row.get(0)?),
            name: &name,
            version: row.get_ref(2)?.as_str_or_null()?,
            time: row.get(3)?,
            verb: &verb,
            object: row.get_ref(5)?.as_str_or_null()?,
        };
        count += 1;
        next = Some(ReadPosition { time: row.time, serial: row.serial });
        if each(&mut sink, &row).is_break() {
            return Ok(Read { sink, next, rows: count });
        }
    }
    let next = next.filter(|_| count == most as usize).or(then);
    Ok(Read { sink, next, rows: count })
}
