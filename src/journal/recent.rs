//! The newest events, and the newest releases and projects that they tell of: for feeds and for people.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Journal, JournalError, releases, wording};
use crate::model::{Event, Serial};

/// Events that are looked through at once: some 20 ms.
const STEP: i64 = 20_000;
/// The most that are looked through. A tenth of PyPI's events make a release, and one in a hundred a project.
const MOST: i64 = 400_000;

/// What feeds tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecentKind {
    /// Releases: `new release` events.
    Releases,
    /// Projects: `create` events.
    Projects,
}

/// One of them, that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// The name, as the event has it.
    pub name: String,
    /// The version, of a release.
    pub version: Option<String>,
    /// Unix seconds.
    pub time: i64,
    /// What the project is, in one line, as far as a document told it; empty if none did.
    pub summary: String,
}

/// Where an event's columns stand, in the order that [`event`] reads them in.
const EVENT: &str = "SELECT e.serial, names.spelling, e.version, e.time, verbs.text, e.object FROM events AS e \
                     CROSS JOIN names ON names.id = e.name CROSS JOIN verbs ON verbs.id = e.verb";

/// A walk through the events, from the last one back.
struct Walk {
    kind: RecentKind,
    most: usize,
    /// Events before this serial are to be looked at.
    before: i64,
    left: i64,
    /// By the normalised name: events may spell one in several ways.
    seen: HashSet<(String, Option<String>)>,
    found: Vec<Recent>,
}

impl Journal {
    /// The events with the highest serials of those that are known here, at most so many, the newest first. Between them some may be
    /// missing. It reads that many rows and no more.
    pub async fn newest_events(&self, most: usize) -> Result<Vec<Event>, JournalError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let sql = format!("{EVENT} ORDER BY e.serial DESC LIMIT ?1");
            let mut newest = connection.prepare_cached(&sql)?;
            newest.query_map([most], event)?.collect()
        })
        .await
    }

    /// The newest of a kind, at most so many, the newest first. One that was removed since, or is in quarantine, is left out,
    /// and each is told of once. They are looked for among the last 400,000 events.
    pub async fn recent(&self, kind: RecentKind, most: usize) -> Result<Vec<Recent>, JournalError> {
        let mut walk =
            Walk { kind, most, before: i64::MAX, left: MOST, seen: HashSet::new(), found: Vec::new() };
        loop {
            // Step by step: others read as well.
            let (back, ended) = self
                .read(move |connection| {
                    let ended = walk.step(connection)?;
                    Ok((walk, ended))
                })
                .await?;
            if ended {
                return Ok(back.found);
            }
            walk = back;
        }
    }
}

impl Walk {
    /// Looks through some events; whether that was all.
    fn step(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "SELECT e.serial, e.time, e.name, e.version, names.spelling, names.normal, verbs.text FROM \
                   (SELECT serial, time, name, version, verb FROM events WHERE serial < ?1 ORDER BY serial DESC LIMIT ?2) AS e \
                   CROSS JOIN verbs ON verbs.id = e.verb CROSS JOIN names ON names.id = e.name ORDER BY e.serial DESC";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([self.before, STEP])?;
        let mut looked = 0;
        while let Some(row) = rows.next()? {
            looked += 1;
            let serial = row.get::<_, i64>(0)?;
            self.before = serial;
            let verb = row.get_ref(6)?.as_str()?;
            let version: Option<String> = match (self.kind, verb) {
                (RecentKind::Releases, "new release") => row.get(3)?,
                (RecentKind::Projects, "create") => None,
                _ => continue,
            };
            if self.kind == RecentKind::Releases && version.is_none() {
                continue;
            }
            let (name, normal) = (row.get::<_, i64>(2)?, row.get::<_, Option<String>>(5)?);
            let is_new = |normal: &String| self.seen.insert((normal.clone(), version.clone()));
            let Some(normal) = normal.filter(is_new) else { continue };
            if !is_listed(connection, &normal)?
                || releases::is_gone(connection, name, version.as_deref(), serial)?
            {
                continue;
            }
            let summary = summary(connection, &normal)?;
            self.found.push(Recent { name: row.get(4)?, version, time: row.get(1)?, summary });
            if self.found.len() >= self.most {
                return Ok(true);
            }
        }
        self.left -= looked;
        Ok(looked < STEP || self.left <= 0)
    }
}

/// The event of a serial, if it is known here.
pub(super) fn event_at(connection: &Connection, serial: i64) -> rusqlite::Result<Option<Event>> {
    let sql = format!("{EVENT} WHERE e.serial = ?1");
    connection.prepare_cached(&sql)?.query_row([serial], event).optional()
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        serial: Serial(row.get(0)?),
        name: row.get(1)?,
        version: row.get(2)?,
        time: row.get(3)?,
        action: wording::join(row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str_or_null()?),
    })
}

/// A project that was removed or is in quarantine is not.
fn is_listed(connection: &Connection, project: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM projects WHERE name = ?1")?.exists([project])
}

fn summary(connection: &Connection, project: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare_cached("SELECT summary FROM learned WHERE project = ?1")?;
    let found = statement.query_row([project], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::JournalSettings;
    use super::*;

    fn event(serial: i64, name: &str, version: Option<&str>, action: &str) -> Event {
        let (name, version) = (name.to_owned(), version.map(str::to_owned));
        Event { serial: Serial(serial), name, version, time: 1000 + serial, action: action.to_owned() }
    }

    async fn journal(events: Vec<Event>) -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        let listed = ["a", "B.b", "c"].map(|name| (name.to_owned(), Some(Serial(1)))).to_vec();
        journal.seed(listed, Serial(1)).await.unwrap();
        let last = events.last().unwrap().serial;
        journal.append(events, Serial(1), last).await.unwrap();
        (folder, journal)
    }

    #[tokio::test]
    async fn what_is_removed_is_left_out_and_each_release_is_told_of_once() {
        let (_folder, journal) = journal(vec![
            event(2, "a", None, "create"),
            event(3, "a", Some("1"), "new release"),
            event(4, "B.b", Some("1"), "new release"),
            event(5, "a", Some("2"), "new release"),
            event(6, "a", Some("2"), "remove release"),
            event(7, "a", Some("1"), "new release"),
            event(8, "c", None, "create"),
            event(9, "c", Some("1"), "new release"),
            event(10, "c", None, "remove project"),
            event(11, "a", Some("3"), "add py3 file a-3.whl"),
        ])
        .await;
        let told = |found: Vec<Recent>| -> Vec<_> {
            found.into_iter().map(|one| (one.name, one.version.unwrap_or_default(), one.time)).collect()
        };
        let found = told(journal.recent(RecentKind::Releases, 10).await.unwrap());
        let row = |name: &str, version: &str, time| (name.to_owned(), version.to_owned(), time);
        assert_eq!(found, [row("a", "1", 1007), row("B.b", "1", 1004)]);
        let found = told(journal.recent(RecentKind::Projects, 10).await.unwrap());
        assert_eq!(found, [row("a", "", 1002)]);
        assert_eq!(journal.recent(RecentKind::Releases, 1).await.unwrap().len(), 1);
    }
    #[tokio::test]
    async fn the_newest_events_are_those_with_the_highest_serials_whatever_their_times() {
        let (_folder, journal) = journal(vec![
            Event { time: 9_000, ..event(2, "a", None, "create") },
            event(3, "a", Some("1"), "add py3 file a-1.whl"),
            event(7, "B.b", None, "add Owner <b>"),
        ])
        .await;
        let told = journal.newest_events(2).await.unwrap();
        assert_eq!(
            told,
            [event(7, "B.b", None, "add Owner <b>"), event(3, "a", Some("1"), "add py3 file a-1.whl")]
        );
        assert_eq!(journal.newest_events(9).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn the_newest_events_cost_so_many_rows_and_no_scan() {
        let (_folder, journal) = journal(vec![event(2, "a", None, "create")]).await;
        let plan = journal.read(|connection| {
            let sql = format!("EXPLAIN QUERY PLAN {EVENT} ORDER BY e.serial DESC LIMIT 20");
            let mut plan = connection.prepare(&sql)?;
            plan.query_map([], |row| row.get::<_, String>(3))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        let plan = plan.await.unwrap();
        // By the events' own key, the others looked up; and nothing is sorted.
        assert_eq!(plan.len(), 3, "{plan:?}");
        assert!(
            plan[0].starts_with("SCAN e") && !plan.iter().any(|step| step.contains("TEMP B-TREE")),
            "{plan:?}"
        );
        assert!(plan[1..].iter().all(|step| step.contains("USING INTEGER PRIMARY KEY")), "{plan:?}");
    }
}
