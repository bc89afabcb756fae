//! What events changed, newest first.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use rusqlite::Connection;

use super::project::Chunks;
use super::{Bounds, Journal, JournalError, ReadPosition, releases};
use crate::model::Serial;

/// Rows that are looked through at a time: some 5 ms.
const CHUNK: u32 = 5_000;

/// What is being looked through.
struct Search {
    journal: Journal,
    events: Bounds,
    releases: bool,
    /// The last row looked at.
    at: ReadPosition,
    /// By name's id.
    seen: HashSet<(i64, Option<String>)>,
}

impl Journal {
    /// Names of the events, the last changed first; with `releases` the name and version of each `new release` instead, if it
    /// is still there. Each once.
    pub fn changed(&self, events: Bounds, releases: bool) -> Chunks<(String, Option<String>)> {
        let at = Bounds::end();
        let search = Search { journal: self.clone(), events, releases, at, seen: HashSet::new() };
        stream::unfold(Some(search), Search::next).boxed()
    }
}

/// A name, and with releases a version.
type Row = (String, Option<String>);
type Piece = Result<Vec<Row>, JournalError>;

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
    fn look(&mut self, connection: &Connection) -> rusqlite::Result<Option<Vec<Row>>> {
        let (sql, then) = self.events.backward(self.at);
        let sql = format!(
            "SELECT events.time, events.serial, events.name, version, names.spelling, verbs.text FROM ({sql}) AS events \
             CROSS JOIN names ON names.id = events.name CROSS JOIN verbs ON verbs.id = events.verb \
             ORDER BY events.time DESC, events.serial DESC"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut found = statement.query(self.events.parameters(self.at, CHUNK))?;
        let (mut rows, mut any) = (Vec::new(), false);
        while let Some(row) = found.next()? {
            any = true;
            self.at = ReadPosition { time: row.get(0)?, serial: Serial(row.get(1)?) };
            if self.releases && row.get_ref(5)?.as_str()? != "new release" {
                continue;
            }
            let version = if self.releases { row.get::<_, Option<String>>(3)? } else { None };
            let name: i64 = row.get(2)?;
            // Of the same release an earlier event says nothing new, also not of one that is gone.
            if self.seen.insert((name, version.clone()))
                && !(self.releases
                    && releases::is_gone(connection, name, version.as_deref(), self.at.serial.0)?)
            {
                rows.push((row.get(4)?, version));
            }
        }
        match then {
            Some(then) if !any => self.at = then,
            Some(_) | None if !any => return Ok(None),
            Some(_) | None => {}
        }
        Ok(Some(rows))
    }
}
