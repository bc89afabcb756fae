//! Numbers that stand alone.

use rusqlite::{Connection, OptionalExtension as _, params};

/// The project table is right up to this serial.
pub(super) const PROJECTS_SERIAL: &str = "projects_serial";
/// Upstream's own number for that, where it is not the same: see [`super::Position`].
pub(super) const UPSTREAM_SERIAL: &str = "upstream_serial";
/// The highest serial that upstream ever told us.
pub(super) const HEARD_SERIAL: &str = "heard_serial";
/// What upstream named as its last serial a while ago, and when, in Unix seconds; see `pace`.
pub(super) const PACE_FROM_SERIAL: &str = "pace_from_serial";
/// See above.
pub(super) const PACE_FROM_TIME: &str = "pace_from_time";
/// What it named last, and when.
pub(super) const PACE_SERIAL: &str = "pace_serial";
/// See above.
pub(super) const PACE_TIME: &str = "pace_time";
/// Unix seconds of when upstream's last serial was lower than before for the first time, as long as it is.
pub(super) const BEHIND_SINCE: &str = "behind_since";
/// The lowest that it named since then.
pub(super) const BEHIND_LEAST: &str = "behind_least";
/// The serial of the last row that its changelog has told, by its numbers.
pub(super) const LAST_ROW: &str = "last_row";
/// The serial that upstream was restored to when that was last found, by its numbers; see `restore`.
pub(super) const RESTORED_TO: &str = "restored_to";
/// Our last serial at that time.
pub(super) const RESTORED_HEAD: &str = "restored_head";
/// Unix seconds of when that was.
pub(super) const RESTORED_AT: &str = "restored_at";
/// Unix seconds by our clock: see [`super::Journal::as_of`].
pub(super) const AS_OF: &str = "as_of";
/// 1 as long as a listing has to be compared with what was known before upstream was restored.
pub(super) const RELISTING_OWED: &str = "relisting_owed";
/// Unix seconds by upstream's clock: the last listing whose changes are all events.
pub(super) const LISTED_AT: &str = "listed_at";
/// 1 as long as listings have to be compared before the changelog may be followed: see [`super::Derived`].
pub(super) const COMPARISON_OWED: &str = "comparison_owed";
/// Unix seconds by upstream's clock: the listing that the first row of `known_since` stands for.
pub(super) const FIRST_LISTED_AT: &str = "first_listed_at";
/// Of a journal that is older than its first row of `known_since`: the last serial that counts by its time alone.
pub(super) const KNOWN_FROM: &str = "known_from";
/// From this serial on, rows of `known_since` were not thinned to one a minute yet.
pub(super) const KNOWN_BY_MINUTES: &str = "known_by_minutes";
/// The same to one a day.
pub(super) const KNOWN_BY_DAYS: &str = "known_by_days";
/// Set once upstream has answered a call for its changelog.
pub(super) const CALLS_ANSWERED: &str = "calls_answered";
/// Up to here the changelog was looked through for files to be fetched in advance.
pub(super) const PREFETCHED_SERIAL: &str = "prefetched_serial";
/// Unix seconds of the last attempt to write after writes had failed; nobody reads it.
pub(super) const WRITTEN: &str = "written";
/// The day that the next number is of, since 1970.
pub(super) const PREFETCH_DAY: &str = "prefetch_day";
/// Bytes fetched in advance on that day.
pub(super) const PREFETCH_BYTES: &str = "prefetch_bytes";
/// What the kept documents weigh; kept right by triggers.
pub(super) const DOCUMENTS_BYTES: &str = "documents_bytes";
/// What the kept answers to calls weigh; kept right by triggers.
pub(super) const ANSWERS_BYTES: &str = "answers_bytes";

/// 1 if the index's serials say nothing: see `follow::derive`.
pub(super) const SERIALS_SAY_NOTHING: &str = "serials_say_nothing";
/// A backup was put back: up to here numbers may have been told before, and none of our own was needed yet.
pub(super) const TOLD_BEFORE_RESTORE: &str = "told_before_restore";
/// Unix seconds by the exporter's clock: when the bundle was made that was imported last.
pub(super) const BUNDLE_TAKEN: &str = "bundle_taken";
/// Counts changes of the project table that no serial tells.
pub(super) const PROJECTS_VERSION: &str = "projects_version";

pub(super) fn get(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM facts WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

pub(super) fn set(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![name, value]).map(|_| ())
}

pub(super) fn unset(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM facts WHERE name = ?1")?.execute([name]).map(|_| ())
}

/// Sets the number unless it is higher already; tells what it is now.
pub(super) fn raise(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<i64> {
    match get(connection, name)? {
        Some(known) if known >= value => Ok(known),
        Some(_) | None => set(connection, name, value).map(|()| value),
    }
}
