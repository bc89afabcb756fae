//! Which events made, removed or hid releases, by the name of their project: what is known of its versions before a document
//! tells them, and whether a release is still there.
//!
//! Events are kept in the order of their serials, and to look through all of them for a name would take seconds. An
//! index of all names that is kept while history comes more than doubles the time that history takes, because the rows of
//! a slice go all over it. So events of small slices, which are those of polls, are entered with their slice. Of large ones only
//! those are that take something away, some in a hundred; the others are looked through when no more slices come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use self::told::Told;
use super::parsed_event::ParsedEvent;
use super::{Journal, JournalError};
use crate::model::{Action, Serial};

mod told;

/// The largest slice whose rows are entered at once: some 10 ms.
pub(super) const AT_ONCE: usize = 10_000;
/// Rows that are looked through in one go: some 50 ms of the writer's time.
const STEP: i64 = 20_000;
/// The pause after that, in multiples of the time that it took: others want to write too.
const PAUSES: u32 = 3;
/// History is not coming any more when no large slice has come for so long. Upstream gives about one a second.
const QUIET: Duration = Duration::from_secs(10);
/// The pause after a failure.
const FAILED: Duration = Duration::from_mins(1);
/// The events of one project that are looked at, the last ones: more than the largest known has.
const MOST: usize = 5_000;

/// What an event tells, by what its action says: whether it made a release, or else removed, hid or showed one or all of
/// its project; `None` of others.
pub(super) fn tells(action: &str) -> Option<bool> {
    // The version only decides whether an old `remove` took one release or all.
    match Action::parse(action, true) {
        Action::NewRelease => Some(true),
        Action::RemoveRelease
        | Action::RemoveProject
        | Action::ReleaseQuarantined
        | Action::ReleaseQuarantineCleared
        | Action::ProjectQuarantined
        | Action::ProjectQuarantineCleared => Some(false),
        Action::Create
        | Action::AddFile { .. }
        | Action::RemoveFile { .. }
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::Other(_) => None,
    }
}

/// Which events of a slice made or took away releases, by the id of the name.
pub(super) struct Entries {
    range: Option<(Serial, Serial)>,
    later: bool,
    told: Vec<(i64, Told)>,
}

impl Entries {
    /// Of these events, in ascending order.
    pub(super) fn new(events: &[ParsedEvent<'_>]) -> Self {
        let range =
            events.first().zip(events.last()).map(|(first, last)| (first.event.serial, last.event.serial));
        Self { range, later: events.len() > AT_ONCE, told: Vec::new() }
    }

    /// Takes what an event tells: see [`tells`].
    pub(super) fn push(&mut self, name: i64, serial: Serial, tells: Option<bool>) {
        if let Some(made) = tells.filter(|made| !(self.later && *made)) {
            self.told.push((name, Told { serial: serial.0, made }));
        }
    }

    /// Enters what was taken, and notes a large slice for later; tells whether it did the latter.
    pub(super) fn enter(self, connection: &Connection) -> rusqlite::Result<bool> {
        if let Some((first, last)) = self.range.filter(|_| self.later) {
            note(connection, first.0 - 1, last.0)?;
        }
        enter(connection, self.told)?;
        Ok(self.later)
    }
}

/// Whether a release that an event of this serial made was removed since, or is in quarantine. `name`: the id of the event's.
pub(super) fn is_gone(
    connection: &Connection,
    name: i64,
    version: Option<&str>,
    serial: i64,
) -> rusqlite::Result<bool> {
    let mut event = said(connection)?;
    let (mut removed, mut release_shut, mut project_shut) = (false, false, false);
    for told in told_of(connection, name)?.iter().filter(|told| told.serial > serial && !told.made) {
        let Some((about, action)) = event(told.serial)? else { continue };
        let this = about.as_deref() == version;
        match Action::parse(&action, about.is_some()) {
            Action::RemoveProject => removed = true,
            Action::RemoveRelease if this => removed = true,
            Action::ReleaseQuarantined if this => release_shut = true,
            Action::ReleaseQuarantineCleared if this => release_shut = false,
            Action::ProjectQuarantined => project_shut = true,
            Action::ProjectQuarantineCleared => project_shut = false,
            // Of another release, or not entered.
            _ => {}
        }
    }
    Ok(removed || release_shut || project_shut)
}

/// The versions of a project that events made and none took away since, the oldest event first; of the project's name as
/// registered.
pub(super) fn versions(connection: &Connection, spelling: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT id FROM names WHERE spelling = ?1";
    let name = connection.prepare_cached(sql)?.query_row([spelling], |row| row.get(0)).optional()?;
    let Some(name) = name else { return Ok(Vec::new()) };
    let all = told_of(connection, name)?;
    let mut event = said(connection)?;
    // Each with the event that made it.
    let mut versions: HashMap<String, i64> = HashMap::new();
    for told in &all[all.len().saturating_sub(MOST)..] {
        let Some((version, action)) = event(told.serial)? else { continue };
        let action = Action::parse(&action, version.is_some());
        match (action, version) {
            (Action::NewRelease | Action::ReleaseQuarantineCleared, Some(version)) => {
                versions.entry(version).or_insert(told.serial);
            }
            (Action::RemoveRelease | Action::ReleaseQuarantined, Some(version)) => {
                versions.remove(&version);
            }
            (Action::RemoveProject, _) => versions.clear(),
            // Of the whole project, or not entered.
            _ => {}
        }
    }
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_unstable_by_key(|&(_, made)| made);
    Ok(versions.into_iter().map(|(version, _)| version).collect())
}

/// The version and the action of an event that says something of releases.
type Said = (Option<String>, String);

/// Reads what an event says, by its serial.
fn said(connection: &Connection) -> rusqlite::Result<impl FnMut(i64) -> rusqlite::Result<Option<Said>>> {
    let sql = "SELECT e.version, v.text FROM events e JOIN verbs v ON v.id = e.verb WHERE e.serial = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(move |serial| statement.query_row([serial], |row| Ok((row.get(0)?, row.get(1)?))).optional())
}

/// What is entered of a name, ascending.
fn told_of(connection: &Connection, name: i64) -> rusqlite::Result<Vec<Told>> {
    let mut statement = connection.prepare_cached("SELECT told FROM releases WHERE name = ?1")?;
    let mut rows = statement.query([name])?;
    let Some(row) = rows.next()? else { return Ok(Vec::new()) };
    let broken = || {
        let message = format!("what events tell of the releases of name {name} is broken");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, message.into())
    };
    told::unpack(row.get_ref(0)?.as_blob()?).ok_or_else(broken)
}

/// Adds what events tell, by the id of the name, in any order.
fn enter(connection: &Connection, mut told: Vec<(i64, Told)>) -> rusqlite::Result<()> {
    // Neighbours are written together.
    told.sort_unstable();
    let sql = "INSERT INTO releases VALUES (?1, ?2) ON CONFLICT DO UPDATE SET told = excluded.told";
    let mut write = connection.prepare_cached(sql)?;
    for of_one in told.chunk_by(|one, next| one.0 == next.0) {
        let name = of_one[0].0;
        let before = told_of(connection, name)?;
        let mut all = before.clone();
        told::merge(&mut all, of_one.iter().map(|(_, told)| *told));
        if all != before {
            write.execute(params![name, told::pack(&all)])?;
        }
    }
    Ok(())
}

impl Journal {
    /// Looks through large slices as long as it is not dropped, when no more of them come.
    pub async fn enter_releases_for_ever(&self) {
        let mut due = self.releases_due().subscribe();
        loop {
            let started = Instant::now();
            let pause = match self.enter_some().await {
                Ok(true) => started.elapsed() * PAUSES,
                Ok(false) => Duration::MAX,
                Err(JournalError::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "what events tell of releases cannot be entered");
                    FAILED
                }
            };
            // Its sender is ours. As long as slices come there is better to do.
            let mut come = tokio::time::timeout(pause, due.changed()).await.is_ok();
            while come {
                come = tokio::time::timeout(QUIET, due.changed()).await.is_ok();
            }
        }
    }

    /// Looks through some rows of a large slice; whether there were any.
    async fn enter_some(&self) -> Result<bool, JournalError> {
        self.write(|connection| {
            let sql = "SELECT after, upto FROM releases_due ORDER BY after LIMIT 1";
            let due = connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
            let Some((after, upto)) = due.optional()? else { return Ok(false) };
            enter_after(connection, after, upto).map(|()| true)
        })
        .await
    }
}

fn enter_after(connection: &Connection, after: i64, upto: i64) -> rusqlite::Result<()> {
    let sql =
        "SELECT serial FROM events WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT 1 OFFSET ?3";
    let end = connection.prepare_cached(sql)?.query_row([after, upto, STEP - 1], |row| row.get(0));
    let end: i64 = end.optional()?.unwrap_or(upto);
    // Those with an object are about files and users.
    let sql = "SELECT e.name, e.serial, v.text FROM events e JOIN verbs v ON v.id = e.verb \
               WHERE e.serial > ?1 AND e.serial <= ?2 AND e.object IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([after, end])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(made) = tells(row.get_ref(2)?.as_str()?) {
            found.push((row.get(0)?, Told { serial: row.get(1)?, made }));
        }
    }
    enter(connection, found)?;
    connection.prepare_cached("DELETE FROM releases_due WHERE after = ?1")?.execute([after])?;
    if end < upto {
        note(connection, end, upto)?;
    }
    Ok(())
}

/// Notes events that are to be looked through.
fn note(connection: &Connection, after: i64, upto: i64) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO releases_due VALUES (?1, ?2) ON CONFLICT DO UPDATE SET upto = max(upto, excluded.upto)";
    connection.prepare_cached(sql)?.execute([after, upto]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::append::{Appended, keep};
    use crate::journal::committed::Committed;
    use crate::journal::interned::Interned;
    use crate::journal::schema::SCHEMA;
    use crate::model::Event;

    fn event(serial: i64, version: Option<&str>, action: &str) -> Event {
        let version = version.map(str::to_owned);
        Event {
            serial: Serial(serial),
            name: "A".to_owned(),
            version,
            time: serial,
            action: action.to_owned(),
        }
    }

    fn kept(connection: &Connection, events: &[Event]) -> Committed {
        let (names, mut committed) = (Interned::names(1 << 20), Committed::default());
        let events = ParsedEvent::all(events);
        keep(connection, &names, &events, &mut Appended::default(), &mut committed).unwrap();
        committed
    }

    /// What a large slice tells, whose other rows are about another project.
    fn large(told: Vec<Event>) -> Vec<Event> {
        let first = told.last().map_or(0, |event| event.serial.0) + 1;
        let last = first + i64::try_from(AT_ONCE).unwrap();
        let others = (first..=last)
            .map(|serial| Event { name: "b".to_owned(), ..event(serial, Some("1"), "new release") });
        told.into_iter().chain(others).collect()
    }

    #[test]
    fn slices_of_either_size_tell_the_same_in_the_end_and_what_is_gone_at_once() {
        let events = || {
            vec![
                event(1, None, "create"),
                event(2, Some("1.0"), "new release"),
                event(3, Some("1.0"), "add source file a-1.0.tar.gz"),
                event(4, Some("2.0"), "new release"),
                event(5, Some("2.0"), "remove release"),
                event(6, Some("3.0"), "new release"),
                event(7, Some("3.0"), "release quarantined"),
                event(8, Some("4.0"), "new release"),
                event(9, Some("4.0"), "remove"),
                event(10, Some("4.0"), "new release"),
                event(11, Some("1.0"), "remove file a-1.0.tar.gz"),
            ]
        };
        for slice in [events(), large(events())] {
            let folder = tempfile::tempdir().unwrap();
            let connection = SCHEMA.open(&folder.path().join("journal.sqlite3")).unwrap();
            let is_large = slice.len() > AT_ONCE;
            assert_eq!(kept(&connection, &slice).releases, is_large);
            let name: i64 = connection
                .query_row("SELECT id FROM names WHERE spelling = 'A'", [], |row| row.get(0))
                .unwrap();
            let gone = |version: &str, serial| is_gone(&connection, name, Some(version), serial).unwrap();
            assert_eq!(
                [gone("1.0", 2), gone("2.0", 4), gone("3.0", 6), gone("4.0", 8), gone("4.0", 10)],
                [false, true, true, true, false]
            );
            if is_large {
                assert_eq!(versions(&connection, "A").unwrap(), [""; 0]);
                let due = |sql| {
                    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional().unwrap()
                };
                while let Some((after, upto)) = due("SELECT after, upto FROM releases_due") {
                    enter_after(&connection, after, upto).unwrap();
                }
            }
            assert_eq!(versions(&connection, "A").unwrap(), ["1.0", "4.0"]);
            // What is told twice changes nothing; a removed project has none, and one that is shut none for a while.
            kept(&connection, &events());
            assert_eq!(versions(&connection, "A").unwrap(), ["1.0", "4.0"]);
            kept(&connection, &[event(20_000, None, "project quarantined")]);
            assert!(gone("1.0", 2));
            kept(&connection, &[event(20_001, None, "project quarantine cleared")]);
            assert!(!gone("1.0", 2) && gone("2.0", 4));
            // An action that nobody knows, whose first words are one's.
            kept(&connection, &[event(20_002, Some("9.0"), "new release candidate")]);
            assert_eq!(versions(&connection, "A").unwrap(), ["1.0", "4.0"]);
            kept(&connection, &[event(20_003, None, "remove project")]);
            assert!(gone("1.0", 2) && gone("4.0", 10));
            assert_eq!(versions(&connection, "A").unwrap(), [""; 0]);
        }
    }
}
