//! Slices of upstream's changelog as they come: events, their coverage and the projects, in one transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::committed::Committed;
use super::interned::Interned;
use super::lead::{self, Lead};
use super::parsed_event::ParsedEvent;
use super::position::{self, Numbered};
use super::{Journal, JournalError, coverage, facts, project, releases, removal, search, tombstone, wording};
use crate::metric;
use crate::model::{Event, ProjectName, Serial};

/// What became of a slice's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// New ones.
    pub added: u64,
    /// Known and the same, or given twice in the slice.
    pub repeated: u64,
    /// Known, but now different: the first stays.
    pub changed: u64,
    /// Outside the question's range: left out.
    pub outside: u64,
}

/// Rows whose names are looked for in memory at once: readers may need the place.
const LOOKED_FOR: usize = 256;

impl Journal {
    /// Keeps the rows that upstream gave for "since `asked_since`" and notes that all serials in
    /// `(asked_since, complete_to]`, by upstream's numbers, are known now. Their order does not matter. If the slice
    /// continues what the project table knows, the projects move with it. Where our numbers are ahead of upstream's, its
    /// rows get our next ones (see [`super::Position`]).
    pub async fn append(
        &self,
        mut events: Vec<Event>,
        asked_since: Serial,
        complete_to: Serial,
    ) -> Result<Appended, JournalError> {
        let (most, texts) = (self.settings().tombstones, Arc::clone(self.event_texts()));
        let work = move |connection: &Connection| {
            events.sort_by_key(|event| event.serial);
            let inside = |event: &Event| event.serial > asked_since && event.serial <= complete_to;
            let all = events.len();
            events.retain(inside);
            let outside = count(all - events.len());
            let last_row = events.last().map(|event| event.serial);
            let numbered = position::number(connection, events, asked_since, complete_to)?;
            let mut appended = Appended { outside, ..Appended::default() };
            let mut committed = Committed { position: numbered.reached, ..Committed::default() };
            let events = ParsedEvent::all(&numbered.events);
            keep(connection, &texts.names, &events, &mut appended, &mut committed)?;
            for &(after, upto) in &numbered.complete {
                coverage::insert(connection, after.0, upto.0)?;
            }
            carry_projects(connection, &numbered, &events, &mut committed)?;
            if let Some(row) = last_row.filter(|_| numbered.reached.is_some()) {
                facts::set(connection, facts::LAST_ROW, row.0)?;
            }
            if committed.removed {
                tombstone::bound(connection, most)?;
            }
            let upto = numbered.complete.iter().map(|&(_, upto)| upto.0).max().unwrap_or(complete_to.0);
            let heard = facts::raise(connection, facts::HEARD_SERIAL, upto)?;
            committed.heard = Some(Serial(heard));
            Ok((appended, committed))
        };
        let appended = self.commit(work).await?;
        self.note_head().await;
        let counted = [
            ("added", appended.added),
            ("repeated", appended.repeated),
            ("changed", appended.changed),
            ("outside", appended.outside),
        ];
        for (outcome, rows) in counted {
            metrics::counter!(metric::JOURNAL_ROWS_TOTAL, "outcome" => outcome).increment(rows);
        }
        if appended.changed > 0 || appended.outside > 0 {
            let (changed, outside) = (appended.changed, appended.outside);
            tracing::warn!(%asked_since, changed, outside, "upstream gave rows that contradict its earlier ones");
        }
        Ok(appended)
    }
}

/// Keeps rows. `known`: names that are in memory.
pub(super) fn keep(
    connection: &Connection,
    known: &Interned,
    events: &[ParsedEvent<'_>],
    appended: &mut Appended,
    committed: &mut Committed,
) -> rusqlite::Result<()> {
    let horizon = removal::horizon(connection, events)?;
    let (mut names, mut verbs) = (HashMap::new(), HashMap::new());
    let sql = "INSERT INTO events (serial, name, version, time, verb, object) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    let mut told = releases::Entries::new(events);
    for events in events.chunks(LOOKED_FOR) {
        let ids = known.ids(events.iter().map(|parsed| parsed.event.name.as_str()));
        for (parsed, id) in events.iter().zip(ids) {
            let event = parsed.event;
            let (verb, object) = wording::split(&event.action);
            let mut look = |spelling: &str| name_id(connection, spelling, &mut committed.names);
            let name = id.map_or_else(|| interned(&mut names, &event.name, &mut look), Ok)?;
            let (verb, tells) =
                interned(&mut verbs, verb, |text| Ok((verb_id(connection, text)?, releases::tells(text))))?;
            // What has an object is about a file or a user.
            told.push(name, event.serial, tells.filter(|_| object.is_none()));
            let row = params![event.serial.0, name, event.version, event.time, verb, object];
            if insert.execute(row)? > 0 {
                appended.added += 1;
                removal::note(connection, parsed, horizon)?;
            } else if same(connection, event, name, verb, object)? {
                appended.repeated += 1;
            } else {
                appended.changed += 1;
            }
        }
    }
    committed.releases = told.enter(connection)?;
    Ok(())
}

/// Whether the row that has the event's serial says the same.
fn same(
    connection: &Connection,
    event: &Event,
    name: i64,
    verb: i64,
    object: Option<&str>,
) -> rusqlite::Result<bool> {
    let sql = "SELECT name = ?2 AND version IS ?3 AND time = ?4 AND verb = ?5 AND object IS ?6 \
               FROM events WHERE serial = ?1";
    let row = params![event.serial.0, name, event.version, event.time, verb, object];
    connection.prepare_cached(sql)?.query_row(row, |row| row.get(0))
}

/// An id that a slice needs often, asked of the database once.
fn interned<'a, T: Copy>(
    seen: &mut HashMap<&'a str, T>,
    text: &'a str,
    id: impl FnOnce(&str) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if let Some(&known) = seen.get(text) {
        return Ok(known);
    }
    let id = id(text)?;
    seen.insert(text, id);
    Ok(id)
}

/// The id of a name, which is put with the others in `added` if it had none.
fn name_id(connection: &Connection, spelling: &str, added: &mut Vec<(i64, String)>) -> rusqlite::Result<i64> {
    let mut found = connection.prepare_cached("SELECT id FROM names WHERE spelling = ?1")?;
    if let Some(id) = found.query_row([spelling], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let normal = ProjectName::parse(spelling).ok();
    let sql = "INSERT INTO names (spelling, normal) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![spelling, normal.as_ref().map(ProjectName::as_str)])?;
    let id = connection.last_insert_rowid();
    added.push((id, spelling.to_owned()));
    Ok(id)
}

fn verb_id(connection: &Connection, text: &str) -> rusqlite::Result<i64> {
    let mut found = connection.prepare_cached("SELECT id FROM verbs WHERE text = ?1")?;
    if let Some(id) = found.query_row([text], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO verbs (text) VALUES (?1)")?.execute([text])?;
    Ok(connection.last_insert_rowid())
}

/// Moves the project table and the tombstones over the slice if it starts no later than where the table stands. Other
/// slices are history, or beyond a gap: applied to a newer table they would bring removed projects back.
fn carry_projects(
    connection: &Connection,
    numbered: &Numbered,
    events: &[ParsedEvent<'_>],
    committed: &mut Committed,
) -> rusqlite::Result<()> {
    let (Some(reached), Some(stands)) = (numbered.reached, position::get(connection)?) else {
        return Ok(());
    };
    let mut touched = BTreeMap::new();
    for event in events.iter().filter(|parsed| parsed.event.serial > stands.ours) {
        project::apply(connection, event)?;
        search::heed(connection, event)?;
        committed.removed |= tombstone::carry(connection, event)?;
        if let Some((project, _)) = event.meaning() {
            touched.insert(project.as_str().to_owned(), event.event.serial);
        }
    }
    if position::has_own_numbers(connection)? {
        // How the page looked once is not how it looked before what a later comparison will find.
        let mut forget = connection.prepare_cached("DELETE FROM sightings WHERE project = ?1")?;
        for (name, &told) in &touched {
            forget.execute([name])?;
            let stated = numbered.stated.get(&told).copied().unwrap_or(told);
            lead::note(connection, name, Lead { stated, told })?;
        }
    }
    position::set(connection, reached)?;
    let touched = touched.into_keys().collect();
    committed.projects = search::changes(connection, touched)?;
    Ok(())
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
