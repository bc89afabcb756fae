//! Events that were made by comparing listings: kept with what the next comparison needs, in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::append::{Appended, keep};
use super::committed::Committed;
use super::interned::Interned;
use super::lead::{self, Lead};
use super::parsed_event::ParsedEvent;
use super::position::{self, Position};
use super::{
    Journal, JournalError, absence, compress, coverage, facts, quarantine, restore, search, silent, tombstone,
};
use crate::metric;
use crate::model::{Event, ProjectName, Serial};

/// What a part of a comparison found.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// Where the project table stands, by our numbers; if it has moved meanwhile, nothing is kept.
    pub since: Serial,
    /// Up to where everything is found: no serial of the events is higher.
    pub upto: Serial,
    /// What happened, in the order of serials.
    pub events: Vec<Event>,
    /// Projects with their spelling and serial as listed, if that is used.
    pub listed: Vec<(ProjectName, String, Option<Serial>)>,
    /// Projects in quarantine, with their spelling and the serial that upstream states, if it does.
    pub quarantined: Vec<(ProjectName, String, Option<Serial>)>,
    /// Projects that are no more.
    pub gone: Vec<ProjectName>,
    /// How pages looked, for the next comparison.
    pub sightings: Vec<(ProjectName, Vec<u8>)>,
    /// The listing's own serial.
    pub head: Serial,
    /// This is the end of a comparison after which upstream's serials tell again what changes.
    pub restated: bool,
    /// It is not known what else happened: there are no events, and no number moves.
    pub untold: bool,
    /// When the listing was made, if this is the last part of its comparison.
    pub taken: Option<i64>,
    /// Projects of which upstream has lost events, and that were looked at; see [`super::Lost`].
    pub settled: Vec<ProjectName>,
    /// This is the end of a comparison that was owed because upstream was restored.
    pub relisted: bool,
}

impl Journal {
    /// Keeps what a comparison found. Tells whether it was kept: it is not if the table no longer stands at
    /// `since`.
    pub async fn derive(&self, derived: Derived) -> Result<bool, JournalError> {
        let (most, texts) = (self.settings().tombstones, Arc::clone(self.event_texts()));
        let packed = tokio::task::spawn_blocking(move || {
            let pack = |(name, body): &(ProjectName, Vec<u8>)| {
                Ok((name.clone(), i64::try_from(body.len()).unwrap_or(i64::MAX), compress::pack(body)?))
            };
            let packed: std::io::Result<Vec<_>> = derived.sightings.iter().map(pack).collect();
            packed.map(|packed| (derived, packed))
        });
        let packed = packed.await.map_err(|_| JournalError::Closed)?;
        let (derived, packed) = packed.map_err(JournalError::system)?;
        let work = move |connection: &Connection| {
            let mut committed = Committed::default();
            let Some(at) = position::get(connection)?.filter(|at| at.ours == derived.since) else {
                return Ok((false, committed));
            };
            let events = ParsedEvent::all(&derived.events);
            let reached = put(connection, at, &derived, &events, &packed, &texts.names, &mut committed)?;
            if derived.untold {
                committed.version = silent::changed(connection)?;
            }
            for event in &events {
                committed.removed |= tombstone::carry(connection, event)?;
            }
            if committed.removed {
                tombstone::bound(connection, most)?;
            }
            let heard = facts::raise(connection, facts::HEARD_SERIAL, derived.upto.0)?;
            (committed.position, committed.heard) = (Some(reached), Some(Serial(heard)));
            Ok((true, committed))
        };
        let kept = self.commit(work).await?;
        self.note_head().await;
        Ok(kept)
    }

    /// How a project's page looked when its events were last derived.
    pub async fn sighting(&self, name: &ProjectName) -> Result<Option<Vec<u8>>, JournalError> {
        let name = name.clone();
        let found = self.read(move |connection| {
            let sql = "SELECT size, body FROM sightings WHERE project = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
            statement.query_row([name.as_str()], row).optional()
        });
        // A damaged one is as good as none.
        Ok(found.await?.and_then(|(size, body)| compress::unpack(&body, u64::try_from(size).ok()?).ok()))
    }

    /// When upstream made the last listing whose changes are all events, in Unix seconds.
    pub async fn listed_at(&self) -> Result<Option<i64>, JournalError> {
        self.read(|connection| facts::get(connection, facts::LISTED_AT)).await
    }

    /// Whether the last comparison did not come to its end. As long as that is so upstream's changelog must not be
    /// followed: some of what it tells next is told already.
    pub async fn comparison_owed(&self) -> Result<bool, JournalError> {
        let owed = self.read(|connection| facts::get(connection, facts::COMPARISON_OWED)).await?;
        Ok(owed.is_some_and(|owed| owed != 0))
    }

    /// The time of the newest event, in Unix seconds.
    pub async fn newest_time(&self) -> Result<Option<i64>, JournalError> {
        self.read(|connection| connection.query_row("SELECT max(time) FROM events", [], |row| row.get(0)))
            .await
    }

    /// Notes when upstream made the listing that the project table was filled from.
    pub async fn note_listed_at(&self, taken: i64) -> Result<(), JournalError> {
        self.write(move |connection| facts::set(connection, facts::LISTED_AT, taken)).await
    }

    /// Whether upstream ever answered a call for its changelog.
    pub async fn calls_answered(&self) -> Result<bool, JournalError> {
        Ok(self.read(|connection| facts::get(connection, facts::CALLS_ANSWERED)).await?.is_some())
    }

    /// Notes that upstream answered a call for its changelog.
    pub async fn note_calls_answered(&self) -> Result<(), JournalError> {
        self.write(|connection| facts::set(connection, facts::CALLS_ANSWERED, 1)).await
    }

    /// The time of a project's last event, if that is kept.
    pub async fn last_event_time(&self, name: &ProjectName) -> Result<Option<i64>, JournalError> {
        let name = name.clone();
        self.read(move |connection| {
            let sql = "SELECT time FROM events WHERE serial = (SELECT max(serial) FROM \
                       (SELECT serial FROM projects WHERE name = ?1 UNION ALL \
                       SELECT serial FROM quarantined WHERE project = ?1))";
            connection.prepare_cached(sql)?.query_row([name.as_str()], |row| row.get(0)).optional()
        })
        .await
    }
}

/// Tells where the project table stands then.
fn put(
    connection: &Connection,
    at: Position,
    derived: &Derived,
    events: &[ParsedEvent<'_>],
    packed: &[(ProjectName, i64, Vec<u8>)],
    texts: &Interned,
    committed: &mut Committed,
) -> rusqlite::Result<Position> {
    let reached =
        if derived.untold { at } else { keep_events(connection, at, derived, events, texts, committed)? };
    let sql = "INSERT INTO projects (name, spelling, serial) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO UPDATE SET spelling = excluded.spelling, serial = excluded.serial";
    let mut listed = connection.prepare_cached(sql)?;
    let mut last = HashMap::new();
    for event in &derived.events {
        last.insert(event.name.as_str(), event.serial);
    }
    // A project's number never goes back.
    let sql = "SELECT max(serial) FROM (SELECT serial FROM projects WHERE name = ?1 UNION ALL \
               SELECT serial FROM quarantined WHERE project = ?1)";
    let mut before = connection.prepare_cached(sql)?;
    let mut told = |name: &ProjectName, spelling: &String, stated: Option<Serial>| -> rusqlite::Result<_> {
        let before = before.query_row([name.as_str()], |row| row.get::<_, Option<i64>>(0))?.map(Serial);
        let told = stated.max(last.get(spelling.as_str()).copied()).max(before);
        if let (Some(stated), Some(told)) = (stated, told) {
            lead::note(connection, name.as_str(), Lead { stated, told })?;
        }
        Ok(told)
    };
    for (name, spelling, stated) in &derived.listed {
        // Of an index without serials each project has a number once changes are told.
        let told = told(name, spelling, *stated)?.or((!derived.untold).then_some(derived.since));
        listed.execute(params![name.as_str(), spelling, told.map(|told| told.0)])?;
        quarantine::leave(connection, name.as_str())?;
        absence::forget(connection, name.as_str())?;
    }
    for (name, spelling, stated) in &derived.quarantined {
        let told = told(name, spelling, *stated)?;
        quarantine::enter(connection, name.as_str(), Some(spelling), told)?;
        absence::forget(connection, name.as_str())?;
    }
    let mut seen = connection.prepare_cached("INSERT OR REPLACE INTO sightings VALUES (?1, ?2, ?3)")?;
    for (name, size, body) in packed {
        seen.execute(params![name.as_str(), size, body])?;
    }
    for name in &derived.gone {
        connection.prepare_cached("DELETE FROM projects WHERE name = ?1")?.execute([name.as_str()])?;
        connection.prepare_cached("DELETE FROM sightings WHERE project = ?1")?.execute([name.as_str()])?;
        lead::forget(connection, name.as_str())?;
        quarantine::leave(connection, name.as_str())?;
        absence::forget(connection, name.as_str())?;
        search::unlearn(connection, name.as_str())?;
    }
    for event in events {
        search::heed(connection, event)?;
    }
    let nothing = derived.untold
        || (derived.events.is_empty() && derived.upto == derived.since && derived.taken.is_none());
    let owed = !nothing && derived.taken.is_none() && derived.settled.is_empty();
    if !nothing || facts::get(connection, facts::COMPARISON_OWED)?.is_none() {
        facts::set(connection, facts::COMPARISON_OWED, i64::from(owed))?;
    }
    if let Some(taken) = derived.taken {
        facts::set(connection, facts::LISTED_AT, taken)?;
    }
    restore::settled(connection, &derived.settled)?;
    if derived.relisted {
        facts::unset(connection, facts::RELISTING_OWED)?;
    }
    let listed = derived.listed.iter().map(|(name, ..)| name);
    let quarantined = derived.quarantined.iter().map(|(name, ..)| name);
    let touched =
        listed.chain(quarantined).chain(&derived.gone).map(|name| name.as_str().to_owned()).collect();
    committed.projects = search::changes(connection, touched)?;
    Ok(reached)
}

/// Keeps the events, and moves both numbers over them: where they are then.
fn keep_events(
    connection: &Connection,
    at: Position,
    derived: &Derived,
    events: &[ParsedEvent<'_>],
    texts: &Interned,
    committed: &mut Committed,
) -> rusqlite::Result<Position> {
    let mut appended = Appended::default();
    keep(connection, texts, events, &mut appended, committed)?;
    metrics::counter!(metric::JOURNAL_ROWS_TOTAL, "outcome" => "derived").increment(appended.added);
    coverage::insert(connection, derived.since.0, derived.upto.0)?;
    // The listing has told all that upstream's changelog says up to its serial. That goes on from there, and polls of it
    // would from ours.
    let owed = facts::get(connection, facts::COMPARISON_OWED)?.is_some_and(|owed| owed != 0);
    let listed = match derived.taken {
        None => at.theirs,
        Some(_) if derived.restated => derived.head,
        // Journals of before have no number of upstream's where ours went above it.
        Some(_) if owed && !at.is_ahead() => derived.head,
        Some(_) => at.theirs.max(derived.head),
    };
    let reached = Position { ours: derived.upto, theirs: listed.min(derived.upto) };
    position::set(connection, reached)?;
    Ok(reached)
}
