//! The events after a moment.
//!
//! An answer is right only if every event after that moment is known, and upstream tells events by serial, whose
//! times are not monotonic. The rule: times step back against serials by at most [`TimeRules::step_back`]. Then
//!
//! - all events up to serial S have times ≤ t if an event at or after S has a time ≤ t − step: so a covered range
//!   answers for t if an event in it is that old, or if it starts at serial 0;
//! - all events after S have times ≥ T if an event at or before S has a time ≥ T + step: so below the head, a covered
//!   range is complete up to its newest time less the step. At the head it is complete.
//!
//! At the head one more thing can go wrong: the newest second may still get events. So events wait until upstream was
//! asked [`TimeRules::settle`] after their second; nobody gets half a second.
//!
//! This is for those who loop, with a limit. The known hole of the method: an event that upstream adds later with a time
//! before what a client already has never reaches that client. Upstream's own had it too; `changelog_since_serial`,
//! `changelog_page` and questions without a limit ([`super::uncut`]) do not.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::cut::{Cut, cut};
use super::known::Head;
use super::want::{Want, Wanted};
use super::{Journal, JournalError, Slice, coverage};
use crate::model::{Serial, settings};

/// Serials of one question to upstream: as many as it gives events (docs/wire.md section 6), so that a question this far
/// below what is known leaves no gap.
const PAGE: i64 = 50_000;
/// Events at a range's ends whose times are looked at. More would find an older one now and then; a page of history
/// does so too.
const SAMPLE: i64 = 100;

settings! {
    /// What is assumed of times.
    #[derive(Debug, Clone, Copy)]
    pub struct TimeRules in "rpc" {
        /// By how much callers' clocks may differ: a question by time also gets what became known so long before.
        ///
        /// Clocks that are set over the network differ by less.
        clock_slack: Duration = Duration::from_secs(5),
        /// How far an event's time may lie before that of an earlier one; questions by time rely on it.
        ///
        /// It costs up to a page of history more. Minutes are seen in upstream's, where a serial is taken before a commit; hours
        /// in the oldest, from its clocks.
        step_back: Duration = Duration::from_hours(24),
        /// How long after a second changelog with a limit still waits for events of that second. A longer time also catches
        /// events that upstream adds late.
        ///
        /// Commits take less.
        settle: Duration = Duration::from_secs(2),
        /// Most events of one second, which changelog with a limit cannot cut.
        ///
        /// Some 27 MB, which go out at once.
        second_rows: usize = 100_000,
    }
}

/// The answer to "what happened after this moment".
pub enum SinceTime {
    /// At least one event; all, or a prefix that ends where the time changes.
    Slice(Slice),
    /// Nothing happened.
    Nothing,
    /// More events in one second than may go out at once.
    TooFull,
    /// We don't know yet.
    Unsure(Unsure),
}

/// Why a question by time has no answer yet, and what to do.
pub enum Unsure {
    /// Upstream is asked for what is missing.
    NotCovered(Wanted),
    /// Events are known, but their second may get more. Wait, and then ask upstream for what follows this serial.
    Settling {
        /// How long.
        wait: Duration,
        /// Our last serial.
        head: Serial,
    },
}

enum Plan {
    Slice(Slice),
    Nothing,
    TooFull,
    Want(Want),
    Settling { until: i64, head: i64 },
}

/// A covered range that has all events after a moment, from its start on.
struct Range {
    after: i64,
    upto: i64,
    /// Where the next known range starts, or our head.
    next: i64,
}

impl Journal {
    /// The events with times after `time`, by time and then serial, about `limit` of them: a second that is begun is
    /// given whole.
    pub async fn slice_since(
        &self,
        time: i64,
        limit: usize,
        rules: TimeRules,
    ) -> Result<SinceTime, JournalError> {
        // Read before the tables, as for serials.
        let Some(head) = self.known_ref().current() else {
            return Ok(SinceTime::Unsure(Unsure::NotCovered(self.want(Want::LastSerial))));
        };
        let plan = self.read(move |connection| plan(connection, time, limit, rules, head)).await?;
        Ok(match plan {
            Plan::Slice(slice) => SinceTime::Slice(slice),
            Plan::Nothing => SinceTime::Nothing,
            Plan::TooFull => SinceTime::TooFull,
            Plan::Want(want) => SinceTime::Unsure(Unsure::NotCovered(self.want(want))),
            Plan::Settling { until, head } => {
                let now = self.clock().unix();
                let wait = Duration::from_secs(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
                SinceTime::Unsure(Unsure::Settling { wait, head: Serial(head) })
            }
        })
    }

    /// A serial that no event with a time after `time` precedes, close to the first of them.
    pub async fn serial_before(
        &self,
        time: i64,
        rules: TimeRules,
    ) -> Result<Result<Serial, Wanted>, JournalError> {
        let Some(head) = self.known_ref().current() else { return Ok(Err(self.want(Want::LastSerial))) };
        let found = self.read(move |connection| serial_before(connection, time, rules, head)).await?;
        Ok(found.map(Serial).map_err(|want| self.want(want)))
    }
}

fn plan(
    connection: &Connection,
    time: i64,
    limit: usize,
    rules: TimeRules,
    head: Head,
) -> rusqlite::Result<Plan> {
    let oldest = time.saturating_sub(seconds(rules.step_back));
    let range = match range(connection, oldest, head)? {
        Ok(range) => range,
        Err(want) => return Ok(Plan::Want(want)),
    };
    let at_head = range.upto >= head.serial.0;
    let newest = newest(connection, &range)?;
    let upto = if at_head {
        let (open, far) = open(newest, rules, head);
        // What claims to be from beyond any clock would wait for ever: it waits for nothing but the others.
        if exists(connection, time.max(open.saturating_sub(1)), far)? {
            open.saturating_sub(1)
        } else {
            i64::MAX
        }
    } else {
        newest.saturating_sub(seconds(rules.step_back)).saturating_sub(1)
    };
    match cut(connection, time, upto, limit, rules.second_rows)? {
        Cut::After(upto) => return Ok(Plan::Slice(Slice::Times { after: time, upto })),
        Cut::TooFull => return Ok(Plan::TooFull),
        Cut::Empty => {}
    }
    if !at_head {
        return Ok(Plan::Want(forward(&range, newest, time)));
    }
    let first = first_after(connection, time)?;
    Ok(match first {
        Some(first) => {
            let until = first.saturating_add(seconds(rules.settle)).saturating_add(1);
            Plan::Settling { until, head: head.serial.0 }
        }
        None if head.current => Plan::Nothing,
        None => Plan::Want(Want::Since(head.serial)),
    })
}

/// `(first, last)` of the seconds that may still get events at the head.
fn open(newest: i64, rules: TimeRules, head: Head) -> (i64, i64) {
    let (settle, step) = (seconds(rules.settle), seconds(rules.step_back));
    // Upstream's clock may be ahead of ours; a time further ahead than it steps back is no time.
    let (now, far) = match head.as_of {
        Some(as_of) => {
            let far = as_of.saturating_add(step);
            (as_of.max(newest.min(far)), far)
        }
        // Not heard in this run: all that is known of upstream's clock is its newest event.
        None => (newest, i64::MAX),
    };
    (now.saturating_sub(settle), far)
}

/// The highest covered range with all events after `oldest` plus the step, or what to ask for to get one.
fn range(connection: &Connection, oldest: i64, head: Head) -> rusqlite::Result<Result<Range, Want>> {
    let mut next = head.serial.0;
    for (after, upto) in coverage::from_the_top(connection)? {
        if after <= 0 || sample(connection, after, upto, End::Start)?.is_some_and(|time| time <= oldest) {
            return Ok(Ok(Range { after, upto, next }));
        }
        next = next.min(after);
    }
    if oldest <= 0 {
        // No event is that old: it is the beginning that is asked for.
        return Ok(Err(Want::Since(Serial(0))));
    }
    // Newest first, each time twice as far: what clients ask for is mostly of the last days.
    let reach = head.serial.0.saturating_sub(next).max(PAGE);
    Ok(Err(Want::Since(Serial(next.saturating_sub(reach).max(0)))))
}

/// What to ask for if a range below the head has nothing to give yet for `time`.
fn forward(range: &Range, newest: i64, time: i64) -> Want {
    let gap = range.next.saturating_sub(range.upto);
    // A range that ends long before the moment is approached by halves, the rest by pages.
    let skip = if newest >= time || gap <= 2 * PAGE { 0 } else { gap / 2 };
    Want::Since(Serial(range.upto + skip))
}

fn serial_before(
    connection: &Connection,
    time: i64,
    rules: TimeRules,
    head: Head,
) -> rusqlite::Result<Result<i64, Want>> {
    let oldest = time.saturating_sub(seconds(rules.step_back));
    let range = match range(connection, oldest, head)? {
        Ok(range) => range,
        Err(want) => return Ok(Err(want)),
    };
    let newest = newest(connection, &range)?;
    if range.upto < head.serial.0 && newest < time {
        return Ok(Err(forward(&range, newest, time)));
    }
    // The newest event that is old enough to prove that all before it are.
    let sql = "SELECT serial FROM events WHERE time <= ?1 AND serial > ?2 AND serial <= ?3 \
               ORDER BY time DESC, serial DESC LIMIT 1";
    let params = [oldest, range.after, range.upto];
    let proof = connection.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
    Ok(Ok(proof.unwrap_or(range.after)))
}

/// What to ask for if not every event after `time` is known, up to our head: first for a range that begins early enough, then
/// for what lies between that and the head, so that each page is full.
pub(super) fn missing(
    connection: &Connection,
    time: i64,
    rules: TimeRules,
    head: Head,
) -> rusqlite::Result<Option<Want>> {
    let oldest = time.saturating_sub(seconds(rules.step_back));
    Ok(match range(connection, oldest, head)? {
        Ok(range) if range.upto >= head.serial.0 => None,
        Ok(range) => Some(Want::Since(Serial(range.upto))),
        Err(want) => Some(want),
    })
}

/// An end of a range.
#[derive(Clone, Copy)]
enum End {
    Start,
    Finish,
}

/// The oldest time at a range's start, or the newest at its end.
fn sample(connection: &Connection, after: i64, upto: i64, end: End) -> rusqlite::Result<Option<i64>> {
    let sql = match end {
        End::Start => {
            "SELECT min(time) FROM (SELECT time FROM events WHERE serial > ?1 AND serial <= ?2 \
             ORDER BY serial LIMIT ?3)"
        }
        End::Finish => {
            "SELECT max(time) FROM (SELECT time FROM events WHERE serial > ?1 AND serial <= ?2 \
             ORDER BY serial DESC LIMIT ?3)"
        }
    };
    connection.prepare_cached(sql)?.query_row([after, upto, SAMPLE], |row| row.get(0))
}

/// The newest time at a range's end; the dawn of time for one without events.
fn newest(connection: &Connection, range: &Range) -> rusqlite::Result<i64> {
    Ok(sample(connection, range.after, range.upto, End::Finish)?.unwrap_or(i64::MIN))
}

fn exists(connection: &Connection, after: i64, upto: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE time > ?1 AND time <= ?2)";
    connection.prepare_cached(sql)?.query_row([after, upto], |row| row.get(0))
}

fn first_after(connection: &Connection, time: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(time) FROM events WHERE time > ?1";
    connection.prepare_cached(sql)?.query_row([time], |row| row.get(0))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: i64 = 40;

    fn rules(settle: u64) -> TimeRules {
        TimeRules {
            step_back: Duration::from_secs(STEP.unsigned_abs()),
            settle: Duration::from_secs(settle),
            second_rows: 1000,
            clock_slack: Duration::from_secs(5),
        }
    }

    /// An upstream's events `(serial, time)`, and what a journal has of them.
    struct Model {
        events: Vec<(i64, i64)>,
        connection: Connection,
        page: usize,
        asked: usize,
    }

    impl Model {
        fn new(events: Vec<(i64, i64)>, page: usize) -> Self {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(include_str!("schema/1.sql")).unwrap();
            Self { events, connection, page, asked: 0 }
        }

        fn last(&self) -> i64 {
            self.events.last().map_or(0, |event| event.0)
        }

        /// As the follower does it: one page of upstream's.
        fn fetch(&mut self, since: i64) {
            self.asked += 1;
            let rows = self.events.iter().filter(|event| event.0 > since).take(self.page);
            let mut upto = since;
            for (serial, time) in rows {
                let sql = "INSERT OR IGNORE INTO events (serial, name, time, verb) VALUES (?1, 1, ?2, 1)";
                self.connection.execute(sql, [serial, time]).unwrap();
                upto = *serial;
            }
            coverage::insert(&self.connection, since, upto).unwrap();
        }

        fn head(&self, as_of: i64) -> Head {
            Head { serial: Serial(self.last()), current: true, as_of: Some(as_of) }
        }

        fn read(&self, after: i64, upto: i64) -> Vec<(i64, i64)> {
            let sql = "SELECT time, serial FROM events WHERE time > ?1 AND time <= ?2 ORDER BY time, serial";
            let mut statement = self.connection.prepare(sql).unwrap();
            let rows = statement.query_map([after, upto], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }
    }

    /// Ascending serials, and times that step back by less than [`STEP`] against any before.
    fn events() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((1..40_000i64, 0..60i64, 0..STEP), 1..60).prop_map(|steps| {
            let (mut serial, mut front) = (0, 1_000_000);
            let mut made = Vec::new();
            for (gap, ahead, back) in steps {
                (serial, front) = (serial + gap, front + ahead);
                made.push((serial, front - back));
            }
            made
        })
    }

    proptest! {
        #[test]
        fn who_loops_gets_every_event_once_whatever_is_known_when(
            events in events(),
            page in 1..9usize,
            limit in 1..9usize,
            known in prop::collection::vec(0..2_000_000i64, 0..4),
            since in 999_900..1_002_000i64,
        ) {
            let mut model = Model::new(events, page);
            for start in known {
                model.fetch(start.min(model.last()));
            }
            let mut expected: Vec<_> = model.events.iter().map(|&(serial, time)| (time, serial)).collect();
            expected.retain(|event| event.0 > since);
            expected.sort_unstable();
            let (mut got, mut last) = (Vec::new(), since);
            loop {
                match plan(&model.connection, last, limit, rules(2), model.head(i64::MAX)).unwrap() {
                    Plan::Slice(Slice::Times { after, upto }) => {
                        let rows = model.read(after, upto);
                        prop_assert!(!rows.is_empty());
                        last = rows.last().unwrap().0;
                        got.extend(rows);
                    }
                    Plan::Want(Want::Since(serial)) => {
                        model.fetch(serial.0);
                        prop_assert!(model.asked < 300, "it asks for ever");
                    }
                    Plan::Nothing => break,
                    Plan::Slice(Slice::Serials { .. } | Slice::Uncut(_)) | Plan::TooFull | Plan::Want(_) | Plan::Settling { .. } => {
                        prop_assert!(false, "no such plan");
                    }
                }
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn no_later_event_precedes_the_serial_before_a_time(
            events in events(),
            page in 1..9usize,
            since in 999_900..1_002_000i64,
        ) {
            let mut model = Model::new(events, page);
            let serial = loop {
                match serial_before(&model.connection, since, rules(2), model.head(i64::MAX)).unwrap() {
                    Ok(serial) => break serial,
                    Err(Want::Since(serial)) => model.fetch(serial.0),
                    Err(want) => prop_assert!(false, "{:?}", want),
                }
                prop_assert!(model.asked < 300, "it asks for ever");
            };
            prop_assert!(model.events.iter().all(|&(at, time)| at > serial || time <= since));
        }
    }

    proptest! {
        #[test]
        fn all_events_after_a_time_are_there_once_nothing_is_missing(
            events in events(),
            page in 1..9usize,
            known in prop::collection::vec(0..2_000_000i64, 0..4),
            since in prop_oneof![999_900..1_002_000i64, Just(0)],
        ) {
            let mut model = Model::new(events, page);
            for start in known {
                model.fetch(start.min(model.last()));
            }
            while let Some(want) = missing(&model.connection, since, rules(2), model.head(i64::MAX)).unwrap() {
                let Want::Since(serial) = want else { panic!("{want:?}") };
                model.fetch(serial.0);
                prop_assert!(model.asked < 300, "it asks for ever");
            }
            let mut expected: Vec<_> = model.events.iter().map(|&(serial, time)| (time, serial)).collect();
            expected.retain(|event| event.0 > since);
            expected.sort_unstable();
            prop_assert_eq!(model.read(since, i64::MAX), expected);
        }
    }

    #[test]
    fn the_newest_second_waits_until_it_is_over() {
        let mut model = Model::new(vec![(1, 100), (2, 200), (3, 200)], 9);
        model.fetch(0);
        let plan = |as_of, since| plan(&model.connection, since, 9, rules(2), model.head(as_of)).unwrap();
        let upto = |plan| match plan {
            Plan::Slice(Slice::Times { upto, .. }) => Some(upto),
            _ => None,
        };
        assert_eq!(upto(plan(201, 0)), Some(100));
        assert!(matches!(plan(202, 100), Plan::Settling { until: 203, head: 3 }));
        assert_eq!(upto(plan(203, 100)), Some(200));
        assert!(matches!(plan(203, 200), Plan::Nothing));
        // Our clock is behind upstream's: its own newest second still waits for the next.
        assert!(matches!(plan(190, 100), Plan::Settling { until: 203, .. }));
        // A time from beyond any clock does not block.
        assert_eq!(upto(plan(200 - 2 * STEP, 0)), Some(200));
    }

    #[test]
    fn nothing_happened_needs_an_upstream_that_said_so() {
        let mut model = Model::new(vec![(1, 100)], 9);
        model.fetch(0);
        let head = Head { current: false, ..model.head(500) };
        let plan = |since| plan(&model.connection, since, 9, rules(2), head).unwrap();
        assert!(matches!(plan(50), Plan::Slice(_)));
        assert!(matches!(plan(100), Plan::Want(Want::Since(Serial(1)))));
        assert!(matches!(plan(i64::MAX), Plan::Want(Want::Since(Serial(1)))));
    }
}
