//! Which events made, removed or hid releases, by the name of their project: what is known of its versions before a document
//! tells them.
//!
//! Events are kept in the order of their serials, and to look through all of them for a name would take seconds. An
//! index of all names that is kept while history comes more than doubles the time that history takes, because the rows of
//! a slice go all over it. So rows of small slices, which are those of polls, are entered with their slice; large slices are
//! noted, and looked through when no more of them come.

use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::{Journal, JournalError};
use crate::model::{Action, Event};

/// The largest slice whose rows are entered at once: some 10 ms.
const AT_ONCE: usize = 10_000;
/// Rows that are looked through in one go: some 50 ms of the writer's time.
const STEP: i64 = 20_000;
/// The pause after that, in multiples of the time that it took: others want to write too.
const PAUSES: u32 = 3;
/// History is not coming any more when no large slice has come for so long. Upstream gives about one a second.
const QUIET: Duration = Duration::from_secs(10);
/// The pause after a failure.
const FAILED: Duration = Duration::from_mins(1);
/// The events of one project that are looked at, the last ones: more than the largest known has.
const MOST: i64 = 5_000;

/// Enters what was kept, or notes it for later; tells whether it did the latter. `names`: the id of each event's name.
pub(super) fn enter(connection: &Connection, events: &[Event], names: &[i64]) -> rusqlite::Result<bool> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(false) };
    if events.len() > AT_ONCE {
        let sql = "INSERT INTO releases_due VALUES (?1, ?2) \
                   ON CONFLICT DO UPDATE SET upto = max(upto, excluded.upto)";
        connection.prepare_cached(sql)?.execute([first.serial.0 - 1, last.serial.0])?;
        return Ok(true);
    }
    let mut insert = insert(connection)?;
    for (event, name) in events.iter().zip(names) {
        if is_about_a_release(&event.action, event.version.is_some()) {
            insert.execute([*name, event.serial.0])?;
        }
    }
    Ok(false)
}

/// The versions of a project that events made and none took away since, the oldest event first; of the projects's name as
/// registered.
pub(super) fn versions(connection: &Connection, spelling: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT e.version, v.text FROM names n JOIN releases r ON r.name = n.id \
               JOIN events e ON e.serial = r.serial JOIN verbs v ON v.id = e.verb \
               WHERE n.spelling = ?1 ORDER BY r.serial DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?));
    let events: Vec<_> = statement.query_map(params![spelling, MOST], row)?.collect::<Result<_, _>>()?;
    let mut versions: Vec<String> = Vec::new();
    for (version, action) in events.into_iter().rev() {
        let action = Action::parse(&action, version.is_some());
        match (action, version) {
            (Action::NewRelease | Action::ReleaseQuarantineCleared, Some(version))
                if !versions.contains(&version) =>
            {
                versions.push(version);
            }
            (Action::RemoveRelease | Action::ReleaseQuarantined, Some(version)) => {
                versions.retain(|known| *known != version);
            }
            (Action::RemoveProject, _) => versions.clear(),
            // Not entered.
            _ => {}
        }
    }
    Ok(versions)
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
    let sql = "SELECT e.name, e.serial, e.version IS NOT NULL, v.text FROM events e JOIN verbs v ON v.id = e.verb \
               WHERE e.serial > ?1 AND e.serial <= ?2 AND e.object IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([after, end])?;
    let mut found: Vec<[i64; 2]> = Vec::new();
    while let Some(row) = rows.next()? {
        if is_about_a_release(row.get_ref(3)?.as_str()?, row.get(2)?) {
            found.push([row.get(0)?, row.get(1)?]);
        }
    }
    // Neighbours are written together.
    found.sort_unstable();
    let mut insert = insert(connection)?;
    for row in found {
        insert.execute(row)?;
    }
    connection.prepare_cached("DELETE FROM releases_due WHERE after = ?1")?.execute([after])?;
    if end < upto {
        let sql = "INSERT INTO releases_due VALUES (?1, ?2) \
                   ON CONFLICT DO UPDATE SET upto = max(upto, excluded.upto)";
        connection.prepare_cached(sql)?.execute([end, upto])?;
    }
    Ok(())
}

fn insert(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached("INSERT OR IGNORE INTO releases VALUES (?1, ?2)")
}

fn is_about_a_release(action: &str, has_version: bool) -> bool {
    matches!(
        Action::parse(action, has_version),
        Action::NewRelease
            | Action::RemoveRelease
            | Action::RemoveProject
            | Action::ReleaseQuarantined
            | Action::ReleaseQuarantineCleared
    )
}
