//! An upstream that was restored from an older copy: it has lost events, and gives their numbers to others.
//!
//! Ours stay: clients have read them. What upstream tells from there on gets our next numbers ([`super::Position`]); of
//! the numbers that it has lost nothing is asked any more; and each project with an event that is lost is looked at once,
//! so that it is told how it is now (see `follow`).

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::committed::Committed;
use super::position::{self, Position};
use super::{Journal, JournalError, coverage, facts, wording};
use crate::model::{Event, ProjectName, Serial};

/// Since when upstream's last serial is lower than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Unix milliseconds of the first lower answer.
    pub since: i64,
    /// The lowest that it named.
    pub least: Serial,
}

/// How far rows of upstream's are the ones that we have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Common {
    /// The last of those with none before it that we have not.
    pub last: Option<Position>,
    /// There is one that we have not.
    pub differs: bool,
}

/// A restored upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The last serial that it still has of what we know, by its numbers.
    pub to: Serial,
    /// Our last serial when that was found.
    pub head: Serial,
    /// Unix seconds of its first lower answer.
    pub at: i64,
}

/// A project with an event that upstream has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The project.
    pub name: ProjectName,
    /// As events spell it.
    pub spelling: String,
    /// It is in the project table.
    pub known: bool,
    /// It was quarantined.
    pub quarantined: bool,
}

/// A project's normalised name, a version and an action.
pub type Told = (String, Option<String>, String);

impl Journal {
    /// Notes that upstream's last serial is lower than it was.
    pub async fn note_behind(&self, last: Serial) -> Result<Behind, JournalError> {
        let now = self.clock().unix_millis();
        let known = self.read(behind).await?;
        let behind = Behind {
            // A clock that was set back starts anew.
            since: known.map_or(now, |known| known.since.min(now)),
            least: known.map_or(last, |known| known.least.min(last)),
        };
        if known != Some(behind) {
            self.write(move |connection| {
                facts::set(connection, facts::BEHIND_SINCE, behind.since)?;
                facts::set(connection, facts::BEHIND_LEAST, behind.least.0)
            })
            .await?;
        }
        Ok(behind)
    }

    /// Notes that it is not lower.
    pub async fn note_abreast(&self) -> Result<(), JournalError> {
        if self.read(behind).await?.is_none() {
            return Ok(());
        }
        self.write(forget_behind).await
    }

    /// Whether upstream's changelog has told all up to `serial`, by its numbers, and a row with it.
    pub async fn ends_with_row(&self, serial: Serial) -> Result<bool, JournalError> {
        if self.position().is_none_or(|at| at.theirs != serial) {
            return Ok(false);
        }
        Ok(self.read(|connection| facts::get(connection, facts::LAST_ROW)).await? == Some(serial.0))
    }

    /// How far these rows of upstream's, in ascending order, are events that we have, whatever their numbers here.
    pub async fn common_with(&self, rows: Vec<Event>) -> Result<Common, JournalError> {
        self.read(move |connection| common(connection, &rows)).await
    }

    /// Where the newest range of serials begins that is known to be complete.
    pub async fn known_from(&self) -> Result<Option<Serial>, JournalError> {
        let ranges = self.read(coverage::from_the_top).await?;
        Ok(ranges.first().map(|&(after, _)| Serial(after)))
    }

    /// Upstream was restored to `to`. What it lost beyond that is gone for good: its numbers here are known to be
    /// complete, tombstones that only lost events made go, and projects with lost events are to be looked at. With
    /// `relist` a listing is to be compared as well; so it is if not all of what is lost was known.
    pub async fn restore(&self, to: Position, relist: bool) -> Result<Restored, JournalError> {
        let now = self.clock().unix();
        let ours = self.last_serial().unwrap_or(to.ours);
        let work = move |connection: &Connection| {
            let head = position::get(connection)?.map_or(ours, |at| at.ours.max(ours));
            // From here on numbers are given a second time.
            let told = facts::get(connection, facts::TOLD_BEFORE_RESTORE)?.map(Serial);
            facts::unset(connection, facts::TOLD_BEFORE_RESTORE)?;
            let head = told.map_or(head, |told| head.max(told));
            let since = behind(connection)?.map_or(now, |behind| behind.since.div_euclid(1000));
            let complete = coverage::known_upto(connection, to.ours.0)?.is_some_and(|upto| upto >= head.0);
            lose(connection, to.ours, head)?;
            let position = Position { ours: head, theirs: to.theirs.min(head) };
            position::set(connection, position)?;
            facts::set(connection, facts::HEARD_SERIAL, head.0)?;
            if facts::get(connection, facts::COMPARISON_OWED)?.is_none() {
                // From now on there are numbers of our own.
                facts::set(connection, facts::COMPARISON_OWED, 0)?;
            }
            if relist || (!complete && to.ours < head) {
                facts::set(connection, facts::RELISTING_OWED, 1)?;
            }
            let restored = Restored { to: to.theirs, head, at: since };
            facts::set(connection, facts::RESTORED_TO, restored.to.0)?;
            facts::set(connection, facts::RESTORED_HEAD, restored.head.0)?;
            facts::set(connection, facts::RESTORED_AT, restored.at)?;
            forget_behind(connection)?;
            let mut committed = Committed { removed: true, ..Committed::default() };
            (committed.position, committed.heard) = (Some(position), Some(head));
            Ok((restored, committed))
        };
        self.commit(work).await
    }

    /// The last time that upstream was restored, if ever.
    pub async fn restored(&self) -> Result<Option<Restored>, JournalError> {
        self.read(|connection| {
            let to = facts::get(connection, facts::RESTORED_TO)?.map(Serial);
            let head = facts::get(connection, facts::RESTORED_HEAD)?.map(Serial);
            let at = facts::get(connection, facts::RESTORED_AT)?;
            Ok(to.zip(head).zip(at).map(|((to, head), at)| Restored { to, head, at }))
        })
        .await
    }

    /// Whether a listing has to be compared because upstream was restored.
    pub async fn relisting_owed(&self) -> Result<bool, JournalError> {
        self.read(|connection| Ok(facts::get(connection, facts::RELISTING_OWED)?.is_some())).await
    }

    /// Projects with lost events that are still to be looked at, at most `most`.
    pub async fn lost(&self, most: usize) -> Result<Vec<Lost>, JournalError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let sql = "SELECT project, spelling, project IN \
                       (SELECT name FROM projects UNION ALL SELECT project FROM quarantined), \
                       project IN (SELECT project FROM quarantined) FROM lost ORDER BY project LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([most])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                if let Ok(name) = ProjectName::parse(row.get_ref(0)?.as_str()?) {
                    let (spelling, known, quarantined) = (row.get(1)?, row.get(2)?, row.get(3)?);
                    found.push(Lost { name, spelling, known, quarantined });
                }
            }
            Ok(found)
        })
        .await
    }

    /// What was told of those projects after a serial.
    pub async fn told_of_lost(&self, after: Serial) -> Result<HashSet<Told>, JournalError> {
        self.read(move |connection| {
            let sql = "SELECT names.normal, version, verbs.text, object FROM events \
                       JOIN names ON names.id = events.name JOIN verbs ON verbs.id = events.verb \
                       WHERE serial > ?1 AND names.normal IN (SELECT project FROM lost)";
            let mut statement = connection.prepare_cached(sql)?;
            let told = |row: &rusqlite::Row<'_>| {
                let action = wording::join(row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str_or_null()?);
                Ok((row.get(0)?, row.get(1)?, action))
            };
            statement.query_map([after.0], told)?.collect()
        })
        .await
    }
}

fn behind(connection: &Connection) -> rusqlite::Result<Option<Behind>> {
    let since = facts::get(connection, facts::BEHIND_SINCE)?;
    let least = facts::get(connection, facts::BEHIND_LEAST)?.map(Serial);
    Ok(since.zip(least).map(|(since, least)| Behind { since, least }))
}

fn forget_behind(connection: &Connection) -> rusqlite::Result<()> {
    facts::unset(connection, facts::BEHIND_SINCE)?;
    facts::unset(connection, facts::BEHIND_LEAST)
}

fn common(connection: &Connection, rows: &[Event]) -> rusqlite::Result<Common> {
    let sql = "SELECT serial FROM events JOIN names ON names.id = events.name JOIN verbs ON verbs.id = events.verb \
               WHERE time = ?2 AND spelling = ?3 AND version IS ?4 AND verbs.text = ?5 AND object IS ?6 \
               ORDER BY serial = ?1 DESC, serial DESC LIMIT 1";
    let mut find = connection.prepare_cached(sql)?;
    let mut common = Common::default();
    for row in rows {
        let (verb, object) = wording::split(&row.action);
        let values = params![row.serial.0, row.time, row.name, row.version, verb, object];
        let Some(ours) = find.query_row(values, |row| row.get(0)).optional()? else {
            return Ok(Common { differs: true, ..common });
        };
        common.last = Some(Position { ours: Serial(ours), theirs: row.serial });
    }
    Ok(common)
}

/// Gives up what upstream has lost beyond `after`, by our numbers.
fn lose(connection: &Connection, after: Serial, head: Serial) -> rusqlite::Result<()> {
    coverage::insert(connection, after.0, head.0)?;
    let sql = "INSERT OR IGNORE INTO lost SELECT name, spelling FROM projects WHERE serial > ?1 UNION ALL \
               SELECT project, ifnull(spelling, project) FROM quarantined WHERE serial > ?1";
    connection.prepare_cached(sql)?.execute([after.0])?;
    let sql = "INSERT OR IGNORE INTO lost SELECT normal, spelling FROM events JOIN names ON names.id = events.name \
               WHERE serial > ?1 AND normal IS NOT NULL ORDER BY serial DESC";
    connection.prepare_cached(sql)?.execute([after.0])?;
    // What took files away has not happened; what a page still lacks has no address either.
    connection.prepare_cached("DELETE FROM tombstones WHERE serial > ?1")?.execute([after.0])?;
    connection.prepare_cached("DELETE FROM removals WHERE serial > ?1")?.execute([after.0]).map(|_| ())
}

/// Whether projects with lost events are still to be looked at.
pub(super) fn is_unsettled(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM lost")?.exists([])
}

/// Projects that are looked at.
pub(super) fn settled(connection: &Connection, projects: &[ProjectName]) -> rusqlite::Result<()> {
    let mut forget = connection.prepare_cached("DELETE FROM lost WHERE project = ?1")?;
    for project in projects {
        forget.execute([project.as_str()])?;
    }
    Ok(())
}
