//! When which serial became known here.
//!
//! A client that asks by time remembers when it asked last, by its own clock, and comes back with that. What it has not
//! got is what became known here since, whatever time upstream gave it: an event can reach us minutes after its time
//! (polls, a slow upstream, an outage), and upstream adds some late.
//!
//! A row says that at its moment everything up to its serial could be answered. The rules that keep this true:
//!
//! - The moment is read after the commit of what it is about, so that a slow disk makes no row too early. A row that is
//!   missing because the process died between the two only makes answers larger.
//! - Serials and moments rise together. While the clock stands before the newest row (it was ahead then, or is behind
//!   now) no row is added. If what upstream told meanwhile is dated by the clock as it is now, it was ahead then, and
//!   those rows go: see [`note`].
//! - Any row but the first can go: then an older one answers, with a lower serial.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::facts;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What is kept of old rows, and how far the thinning has come, as a fact. The last hour stays as it is: most clients ask
/// about that or about yesterday. A row a minute for a month is 43,000 rows, a row a day for ever is nothing.
const THINNINGS: [Thinning; 2] = [
    Thinning { older: HOUR, keeps: MINUTE, done: facts::KNOWN_BY_MINUTES },
    Thinning { older: 30 * DAY, keeps: DAY, done: facts::KNOWN_BY_DAYS },
];
/// Rows that one thinning looks at. Each time one row is added, so this keeps up.
const STEP: i64 = 64;

struct Thinning {
    /// The age of the rows that it is for, in milliseconds.
    older: i64,
    /// Of so many milliseconds the last row stays.
    keeps: i64,
    /// The fact that has the serial from which on rows were not looked at yet.
    done: &'static str,
}

/// What was known at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownSince {
    /// Everything up to here was known, as far as it ever became known to whoever asked then.
    pub(super) serial: i64,
    /// The highest serial that any answer was known to reach; answers have to reach it again.
    pub(super) newest: i64,
    /// It was before the folder's first row: what that had already may be later.
    pub(super) before: bool,
}

/// A question by time that is asked without a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Unix seconds.
    pub(super) since: i64,
    /// How far clocks differ.
    pub(super) slack: Duration,
    /// News come by comparing listings, so that nothing is ever told of what the first listing had.
    pub(super) by_listings: bool,
}

/// Adds the first row, if there is none.
pub(super) fn begin(connection: &Connection, moment: i64, serial: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO known_since (serial, moment) SELECT ?1, ?2 \
               WHERE NOT EXISTS (SELECT 1 FROM known_since)";
    connection.prepare_cached(sql)?.execute([serial, moment]).map(|_| ())
}

/// Adds a row: everything up to `serial` was known at `moment`. Thins out older ones, some at a time.
pub(super) fn note(connection: &Connection, moment: i64, serial: i64) -> rusqlite::Result<()> {
    let newest = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let sql = "SELECT serial, moment FROM known_since ORDER BY serial DESC LIMIT 1";
    let Some((last, before)) = connection.prepare_cached(sql)?.query_row([], newest).optional()? else {
        return begin(connection, moment, serial);
    };
    if serial <= last {
        return Ok(());
    }
    if moment < before && !was_ahead(connection, moment, (last, before), serial)? {
        return Ok(());
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO known_since (serial, moment) VALUES (?1, ?2)")?
        .execute([serial, moment])?;
    THINNINGS.iter().try_for_each(|thinning| thin(connection, moment, thinning))
}

/// The clock went back by more than a day. If all that upstream told since the newest row is dated before the clock as
/// it is now, the rows beyond that are of a clock that was ahead: they go, or answers would have everything since then
/// until the clock has passed them. If it is behind now instead, events have times beyond it, for times step back by a
/// day at most.
fn was_ahead(
    connection: &Connection,
    moment: i64,
    (last, before): (i64, i64),
    serial: i64,
) -> rusqlite::Result<bool> {
    if before - moment <= DAY {
        return Ok(false);
    }
    let sql = "SELECT max(time) FROM events WHERE serial > ?1 AND serial <= ?2";
    let newest: Option<i64> = connection.prepare_cached(sql)?.query_row([last, serial], |row| row.get(0))?;
    if newest.is_none_or(|newest| newest.saturating_mul(SECOND) > moment) {
        return Ok(false);
    }
    tracing::warn!("the clock was more than a day ahead: what it dated is forgotten");
    let sql = "DELETE FROM known_since WHERE moment > ?1 AND serial > (SELECT min(serial) FROM known_since)";
    connection.prepare_cached(sql)?.execute([moment])?;
    // The first row stays, and it is true of any later moment.
    connection.prepare_cached("UPDATE known_since SET moment = ?1 WHERE moment > ?1")?.execute([moment])?;
    Ok(true)
}

fn thin(connection: &Connection, now: i64, thinning: &Thinning) -> rusqlite::Result<()> {
    let first: i64 =
        connection.prepare_cached("SELECT min(serial) FROM known_since")?.query_row([], |row| row.get(0))?;
    let from = facts::get(connection, thinning.done)?.unwrap_or(first);
    let sql =
        "SELECT serial, moment FROM known_since WHERE serial >= ?1 AND moment < ?2 ORDER BY serial LIMIT ?3";
    let mut rows = connection.prepare_cached(sql)?;
    let rows = rows.query_map([from, now - thinning.older, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    let mut remove = connection.prepare_cached("DELETE FROM known_since WHERE serial = ?1")?;
    for pair in rows.windows(2) {
        let [(serial, moment), (_, next)] = *pair else { continue };
        if serial != first && moment.div_euclid(thinning.keeps) == next.div_euclid(thinning.keeps) {
            remove.execute([serial])?;
        }
    }
    let Some((last, _)) = rows.last().filter(|(last, _)| *last != from) else { return Ok(()) };
    facts::set(connection, thinning.done, *last)
}

/// The first listing, whose serial is `serial`, was made at `taken`, in Unix seconds by upstream's clock.
pub(super) fn first_listed(connection: &Connection, serial: i64, taken: i64) -> rusqlite::Result<()> {
    let first: Option<i64> =
        connection.prepare_cached("SELECT min(serial) FROM known_since")?.query_row([], |row| row.get(0))?;
    if first == Some(serial) && facts::get(connection, facts::FIRST_LISTED_AT)?.is_none() {
        facts::set(connection, facts::FIRST_LISTED_AT, taken)?;
    }
    Ok(())
}

/// What was known when who asks asked last; `None` before anything was.
pub(super) fn at(connection: &Connection, question: Question) -> rusqlite::Result<Option<KnownSince>> {
    let Question { since, slack, by_listings } = question;
    let sql = "SELECT (SELECT min(serial) FROM known_since), (SELECT max(serial) FROM known_since)";
    let ends = connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(newest)) = ends else { return Ok(None) };
    let slack = i64::try_from(slack.as_secs()).unwrap_or(i64::MAX);
    let moment = since.saturating_sub(slack).saturating_mul(SECOND);
    let sql = "SELECT serial FROM known_since WHERE moment <= ?1 ORDER BY moment DESC, serial DESC LIMIT 1";
    let known: Option<i64> =
        connection.prepare_cached(sql)?.query_row([moment], |row| row.get(0)).optional()?;
    let before = match facts::get(connection, facts::FIRST_LISTED_AT)? {
        // What happened just before the first listing is not to be had, and clocks differ.
        Some(listed) if by_listings => since.saturating_add(slack) < listed,
        Some(listed) => since <= listed,
        None => known.is_none(),
    };
    let serial = match known {
        Some(serial) => serial,
        None => facts::get(connection, facts::KNOWN_FROM)?.unwrap_or(first),
    };
    Ok(Some(KnownSince { serial, newest, before }))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::{Journal, JournalSettings, Upkeep};
    use super::*;
    use crate::model::{Clock, Event, Serial};

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for sql in [include_str!("schema/1.sql"), include_str!("schema/8.sql")] {
            connection.execute_batch(sql).unwrap();
        }
        connection
    }

    fn happened(connection: &Connection, serial: i64, time: i64) {
        let sql = "INSERT INTO events (serial, name, time, verb) VALUES (?1, 1, ?2, 1)";
        connection.execute(sql, [serial, time]).unwrap();
    }

    fn known(connection: &Connection, since: i64) -> i64 {
        let question = Question { since, slack: Duration::ZERO, by_listings: false };
        at(connection, question).unwrap().unwrap().serial
    }

    fn rows(connection: &Connection) -> Vec<(i64, i64)> {
        let mut rows = connection.prepare("SELECT serial, moment FROM known_since ORDER BY serial").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn of_old_rows_one_a_minute_stays_and_then_one_a_day_and_each_answers_with_no_more_than_was_known() {
        let table = table();
        // Some 40 days of news at odd intervals, each noted.
        let mut noted = Vec::new();
        let (mut moment, mut serial) = (1_000_000_000_000, 10);
        let end = moment + 40 * DAY;
        while moment < end {
            note(&table, moment, serial).unwrap();
            noted.push((moment, serial));
            // Dense at times, as polls that questions cause are.
            moment += if serial % 97 < 40 { 7 * SECOND } else { 9 * MINUTE };
            serial += 1 + serial % 5;
        }
        let kept = rows(&table);
        assert_eq!(kept[0], (10, 1_000_000_000_000), "the first row says when all began");
        let now = noted.last().unwrap().0;
        let within = |from: i64, to: i64| kept[1..].iter().filter(|row| row.1 >= from && row.1 < to).count();
        let one_for = |from: i64, to: i64, width: i64| {
            let parts: std::collections::BTreeSet<i64> =
                kept[1..].iter().filter(|row| row.1 >= from && row.1 < to).map(|row| row.1 / width).collect();
            parts.len()
        };
        let (month, hour) = (now - 30 * DAY, now - HOUR - 2 * MINUTE);
        assert_eq!(within(0, month - DAY), one_for(0, month - DAY, DAY));
        assert!((9..=11).contains(&within(0, month)), "{}", within(0, month));
        assert_eq!(within(month, hour), one_for(month, hour, MINUTE));
        let last_hour = noted.iter().filter(|row| row.0 >= now - HOUR).count();
        assert_eq!(within(now - HOUR, i64::MAX), last_hour, "the last hour stays as it was");
        for &(moment, serial) in noted.iter().skip(1).step_by(13) {
            let (before, exact) = (known(&table, moment / SECOND - 1), known(&table, moment / SECOND + 1));
            assert!(before < serial && exact <= serial, "{moment}: {before}, {exact}, {serial}");
            let width = if moment < month { DAY } else { MINUTE };
            let far = noted.iter().rev().find(|row| row.0 < moment / width * width).map_or(10, |row| row.1);
            assert!(exact >= far, "{moment}: {exact} is further back than {far}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_dates_nothing() {
        let table = table();
        note(&table, 1_000 * SECOND, 1).unwrap();
        note(&table, 100_000 * SECOND, 2).unwrap();
        // It is behind now: upstream's events are later than it.
        happened(&table, 3, 100_400);
        note(&table, 500 * SECOND, 3).unwrap();
        happened(&table, 4, 100_500);
        note(&table, 600 * SECOND, 4).unwrap();
        assert_eq!((known(&table, 100_100), known(&table, 100_700)), (2, 2));
        note(&table, 100_800 * SECOND, 4).unwrap();
        assert_eq!((known(&table, 100_700), known(&table, 100_800)), (2, 4));
    }

    #[test]
    fn what_a_clock_dated_that_was_far_ahead_is_forgotten_once_upstream_shows_it() {
        let table = table();
        let ahead = 30 * DAY / SECOND;
        note(&table, 1_000 * SECOND, 1).unwrap();
        for serial in 2..5 {
            note(&table, (1_000 + serial + ahead) * SECOND, serial).unwrap();
        }
        // It came back, and nothing shows yet which of the two is right.
        happened(&table, 5, i64::from(i32::MAX));
        note(&table, 1_100 * SECOND, 5).unwrap();
        assert_eq!((rows(&table).len(), known(&table, 1_200)), (4, 1));
        happened(&table, 6, 1_150);
        note(&table, 1_200 * SECOND, 6).unwrap();
        assert_eq!(known(&table, 1_200), 1, "one event is dated beyond any clock");
        table.execute("UPDATE events SET time = 1090 WHERE serial = 5", []).unwrap();
        note(&table, 1_200 * SECOND, 6).unwrap();
        assert_eq!(rows(&table), [(1, 1_000 * SECOND), (6, 1_200 * SECOND)]);
        // The first row of all was of such a clock: it stays, for it says what was there when all began.
        table.execute("UPDATE known_since SET moment = moment + 30 * 86400000", []).unwrap();
        happened(&table, 7, 1_250);
        note(&table, 1_300 * SECOND, 7).unwrap();
        assert_eq!(rows(&table), [(1, 1_300 * SECOND), (7, 1_300 * SECOND)]);
    }

    #[test]
    fn before_the_first_listing_times_count_and_after_it_nothing_that_it_had_is_later() {
        let table = table();
        note(&table, 2_000 * SECOND, 7).unwrap();
        let before = |since, by_listings| {
            let question = Question { since, slack: Duration::from_secs(5), by_listings };
            at(&table, question).unwrap().unwrap().before
        };
        assert!(before(2_004, false) && !before(2_005, false));
        // By upstream's clock, whose times are compared; ours may have been wrong.
        for listed in [1_900, 2_100] {
            facts::set(&table, facts::FIRST_LISTED_AT, listed).unwrap();
            assert!(before(listed, false) && !before(listed + 1, false));
            assert!(before(listed - 6, true) && !before(listed - 5, true), "no clock is that exact");
        }
    }

    /// An event that upstream tells late.
    fn event(serial: i64) -> Event {
        let (serial, action) = (Serial(serial), "create".to_owned());
        Event { serial, name: "a".to_owned(), version: None, time: 7, action }
    }

    async fn known_at(journal: &Journal, since: i64) -> i64 {
        let question = Question { since, slack: Duration::ZERO, by_listings: false };
        journal.read(move |connection| at(connection, question)).await.unwrap().unwrap().serial
    }

    #[tokio::test]
    async fn a_commit_that_takes_long_dates_what_it_brings_after_itself_and_a_restart_forgets_nothing() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::standing_at(1_000));
        let settings = || JournalSettings { clock: clock.clone(), ..JournalSettings::default() };
        let journal = Journal::open(folder.path(), settings()).await.unwrap();
        journal.set_upkeep(Upkeep::Polled { head: Duration::from_mins(1) });
        journal.seed(Vec::new(), Serial(10)).await.unwrap();
        // The writer is busy until all of what follows waits, and then takes it into one transaction.
        let (release, held) = sync_channel(1);
        let busy = tokio::spawn({
            let journal = journal.clone();
            async move { journal.write(move |_| Ok(held.recv().is_ok())).await }
        });
        tokio::task::yield_now().await;
        let append = tokio::spawn({
            let journal = journal.clone();
            async move { journal.append(vec![event(11)], Serial(10), Serial(11)).await }
        });
        tokio::task::yield_now().await;
        let slow = clock.clone();
        let disk = tokio::spawn({
            let journal = journal.clone();
            let wait = move |_: &Connection| {
                slow.set(1_100);
                Ok(())
            };
            async move { journal.write(wait).await }
        });
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        append.await.unwrap().unwrap();
        disk.await.unwrap().unwrap();
        // Whoever asked before the commit has not got it.
        assert_eq!((known_at(&journal, 1_099).await, known_at(&journal, 1_100).await), (10, 11));
        clock.set(1_200);
        journal.append(vec![event(12)], Serial(11), Serial(12)).await.unwrap();
        // A process that dies before it notes something loses no more than that.
        journal
            .write(|connection| connection.execute("DELETE FROM known_since WHERE serial = 12", []))
            .await
            .unwrap();
        journal.close().await;
        clock.set(1_300);
        let journal = Journal::open(folder.path(), settings()).await.unwrap();
        let known = [
            known_at(&journal, 1_150).await,
            known_at(&journal, 1_250).await,
            known_at(&journal, 1_300).await,
        ];
        assert_eq!(known, [11, 11, 12]);
    }

    #[test]
    fn of_a_journal_that_is_older_than_this_the_last_day_counts_as_news() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        for (serial, time) in [(1, 1_000), (5, 400_000), (6, 450_000), (7, 486_000), (8, 486_400)] {
            happened(&connection, serial, time);
        }
        connection.execute_batch(include_str!("schema/8.sql")).unwrap();
        begin(&connection, 500_000 * SECOND, 8).unwrap();
        assert_eq!((known(&connection, 470_000), known(&connection, 500_000)), (5, 8));
    }
}
