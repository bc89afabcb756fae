//! The events of a question by time that is asked without a limit, as those ask who do not loop: with the moment of their
//! last question, by their own clock.
//!
//! They get what has a time at or after that moment, and what became known here at or after it (less
//! [`TimeRules::clock_slack`], for clocks that differ). So who asks again with the moment of its last question, or any earlier,
//! gets everything, however late it came. What it needs:
//!
//! - Everything after the serial that was known then ([`super::known_since`]) has to be there, up to our head.
//! - What was known then happened before. Only of a moment from before the folder's first row that says nothing: then
//!   the rules for times hold ([`super::since_time`]), from the moment to the head.
//!
//! It is cut nowhere. The order is by time, then serial, and so late events come first. They are read off the index on
//! time as well, which is walked from the first of them on; the few that are so much older that others in between would
//! have to be skipped by the hundred thousand ([`SKIPPED`]) are sorted out by their serials before.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::bounds::Bounds;
use super::known::Head;
use super::known_since::{self, Question};
use super::want::{Want, Wanted};
use super::{Journal, JournalError, TimeRules, coverage, since_time};
use crate::model::Serial;

/// Rows that the index is walked over in vain for late ones, all in all: some 20 ms.
const SKIPPED: i64 = if cfg!(test) { 8 } else { 250_000 };

/// The answer to "what happened since, all of it".
pub enum Uncut {
    /// At least one event.
    Events(Bounds),
    /// Nothing happened.
    Nothing,
    /// More events than one answer may have.
    TooMany,
    /// Upstream was not heard for too long. It is being asked, or known to be down, and then for so long.
    NotHeard(Option<Duration>),
    /// We don't know, and upstream is asked.
    NotCovered(Wanted),
}

enum Plan {
    Events(Bounds),
    Nothing,
    TooMany,
    Missing(Want),
}

impl Journal {
    /// The events with a time at or after `since` (Unix seconds) and those that became known since; at most `most`.
    pub async fn uncut(&self, since: i64, most: usize, rules: TimeRules) -> Result<Uncut, JournalError> {
        // Read before the tables: what comes meanwhile is not in the answer, and counts as known later.
        let Some(head) = self.known_ref().current() else {
            return Ok(Uncut::NotCovered(self.want(Want::LastSerial)));
        };
        let by_listings = self.polls().by_listings();
        let question = Question { since, slack: rules.clock_slack, by_listings };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Ok(match self.read(move |connection| plan(connection, question, most, rules, head)).await? {
            Plan::TooMany => Uncut::TooMany,
            Plan::Missing(want) => Uncut::NotCovered(self.want(want)),
            Plan::Nothing | Plan::Events(_) if !head.current && (by_listings || self.is_on_demand()) => {
                Uncut::NotCovered(self.want(Want::Since(head.serial)))
            }
            Plan::Nothing | Plan::Events(_) if !head.current => Uncut::NotHeard(self.polls().retry()),
            Plan::Nothing => Uncut::Nothing,
            Plan::Events(bounds) => Uncut::Events(bounds),
        })
    }
}

fn plan(
    connection: &Connection,
    question: Question,
    most: i64,
    rules: TimeRules,
    head: Head,
) -> rusqlite::Result<Plan> {
    // Without a row yet the first is being written: everything counts by its time.
    let known = known_since::at(connection, question)?;
    let (after, before, newest) =
        known.map_or((head.serial.0, true, 0), |known| (known.serial, known.before, known.newest));
    let head = Head { serial: head.serial.max(Serial(newest)), ..head };
    let (since, upto) = (question.since, head.serial.0);
    let main = timely(connection, since, upto, most)?;
    let late = late(connection, since, after, upto, most)?;
    let Some(late) = late.filter(|late| main.saturating_add(late.rows) <= most) else {
        return Ok(Plan::TooMany);
    };
    let missing = if before {
        since_time::missing(connection, since.saturating_sub(1), rules, head)?
    } else {
        let known = coverage::known_upto(connection, after)?.unwrap_or(after);
        (known < upto).then_some(Want::Since(Serial(known)))
    };
    if let Some(want) = missing {
        return Ok(Plan::Missing(want));
    }
    if main + late.rows == 0 {
        return Ok(Plan::Nothing);
    }
    let oldest = late.oldest.unwrap_or(since);
    let floor = if late.rows > 0 { oldest.max(far(connection, since, late.rows)?) } else { since };
    Ok(Plan::Events(Bounds { since, known: after, upto, floor, older: oldest < floor }))
}

/// The time of the row so far before a moment that the index is not walked from further back for `late` rows.
fn far(connection: &Connection, since: i64, late: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT time FROM events WHERE time < ?1 ORDER BY time DESC LIMIT 1 OFFSET ?2";
    let at = [since, SKIPPED.saturating_add(late)];
    let far = connection.prepare_cached(sql)?.query_row(at, |row| row.get(0)).optional()?;
    Ok(far.unwrap_or(i64::MIN))
}

/// How many events have a time at or after `since`: at most one more than `most`.
fn timely(connection: &Connection, since: i64, upto: i64, most: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY events_time \
               WHERE time >= ?1 AND +serial <= ?2 LIMIT ?3)";
    connection.prepare_cached(sql)?.query_row([since, upto, most.saturating_add(1)], |row| row.get(0))
}

/// Events above a serial that have a time before a moment.
struct Late {
    rows: i64,
    oldest: Option<i64>,
}

/// `None` if there are more than `most` events above the serial.
fn late(
    connection: &Connection,
    since: i64,
    after: i64,
    upto: i64,
    most: i64,
) -> rusqlite::Result<Option<Late>> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE time < ?4), min(time) FROM \
               (SELECT time FROM events WHERE serial > ?1 AND serial <= ?2 ORDER BY serial LIMIT ?3)";
    let mut found = connection.prepare_cached(sql)?;
    let (all, rows, oldest): (i64, i64, Option<i64>) = found
        .query_row([after, upto, most.saturating_add(1), since], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok((all <= most).then_some(Late { rows, oldest: oldest.filter(|oldest| *oldest < since) }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::bounds::ReadPosition;
    use super::*;

    const SLACK: i64 = 5;
    /// When all begins, by every clock that is right.
    const BEGIN: i64 = 1_000_000;
    const MOST: i64 = 1_000;

    fn rules() -> TimeRules {
        TimeRules {
            step_back: Duration::from_hours(24),
            settle: Duration::from_secs(2),
            second_rows: 1000,
            clock_slack: Duration::from_secs(SLACK.unsigned_abs()),
        }
    }

    /// An upstream, a journal that is polled, and clients that ask once in a while, each with the moment of its last
    /// question by its own clock.
    struct Model {
        connection: Connection,
        /// The time in truth, in milliseconds.
        now: i64,
        /// By how much our clock is ahead.
        ahead: i64,
        /// Upstream's events: serial and time.
        events: Vec<(i64, i64)>,
        head: i64,
        clients: Vec<Client>,
    }

    struct Client {
        /// By how much its clock differs, in milliseconds.
        skew: i64,
        /// The moment of its last question.
        since: i64,
        /// What it need not get: it was there before it began.
        before: i64,
        got: BTreeSet<i64>,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Publish {
            gap: i64,
            late: i64,
        },
        /// Takes so long; upstream's last serial is that of its beginning.
        Poll {
            millis: i64,
        },
        /// The commit of what is noted takes longer than clocks differ.
        SlowPoll,
        Ask(usize),
        Wait {
            millis: i64,
        },
        /// Our clock is ahead from now on.
        Ahead {
            seconds: i64,
        },
        Restart,
    }

    impl Model {
        fn new(skews: [i64; 3]) -> Self {
            let connection = Connection::open_in_memory().unwrap();
            for sql in [include_str!("schema/1.sql"), include_str!("schema/8.sql")] {
                connection.execute_batch(sql).unwrap();
            }
            let now = BEGIN * 1000;
            known_since::begin(&connection, now, 100).unwrap();
            let client = |skew| Client { skew, since: 0, before: 100, got: BTreeSet::new() };
            let mut model = Self {
                connection,
                now,
                ahead: 0,
                events: vec![(100, BEGIN - 50)],
                head: 100,
                clients: skews.map(client).into(),
            };
            // They begin after the first listing, or what is from before it would have to be fetched.
            model.now += 2 * SLACK * 1000;
            for client in &mut model.clients {
                client.since = (model.now + client.skew) / 1000;
            }
            model
        }

        fn last(&self) -> i64 {
            self.events.last().map_or(0, |event| event.0)
        }

        fn our_clock(&self) -> i64 {
            self.now + self.ahead
        }

        fn append(&mut self, upto: i64) {
            let new = self.events.iter().filter(|event| event.0 > self.head && event.0 <= upto);
            for (serial, time) in new {
                let sql = "INSERT INTO events (serial, name, time, verb) VALUES (?1, 1, ?2, 1)";
                self.connection.execute(sql, [serial, time]).unwrap();
            }
            coverage::insert(&self.connection, self.head, upto).unwrap();
            self.head = upto;
        }

        fn note(&self) {
            known_since::note(&self.connection, self.our_clock(), self.head).unwrap();
        }

        fn plan(&self, since: i64) -> Plan {
            let head = Head { serial: Serial(self.head), current: true, as_of: None };
            let question = Question { since, slack: rules().clock_slack, by_listings: false };
            plan(&self.connection, question, MOST, rules(), head).unwrap()
        }

        /// The answer's rows, read some at a time one way or the other.
        fn read(&self, bounds: Bounds, backward: bool) -> Vec<(i64, i64)> {
            let mut at = if backward { Bounds::end() } else { bounds.start() };
            let mut rows = Vec::new();
            loop {
                let (sql, then) = if backward { bounds.backward(at) } else { bounds.forward(at) };
                let mut statement = self.connection.prepare(sql).unwrap();
                let mut found = statement.query(bounds.parameters(at, 3)).unwrap();
                let before = rows.len();
                while let Some(row) = found.next().unwrap() {
                    let (serial, time): (i64, i64) = (row.get(0).unwrap(), row.get(3).unwrap());
                    at = ReadPosition { time, serial: Serial(serial) };
                    rows.push((time, serial));
                }
                match then {
                    Some(then) if rows.len() < before + 3 => at = then,
                    None if rows.len() == before => return rows,
                    Some(_) | None => {}
                }
            }
        }

        fn ask(&mut self, client: usize) {
            let since = self.clients[client].since;
            let rows = match self.plan(since) {
                Plan::Events(bounds) => {
                    let rows = self.read(bounds, false);
                    assert!(rows.is_sorted() && !rows.is_empty(), "{bounds:?}: {rows:?}");
                    let mut back = self.read(bounds, true);
                    back.reverse();
                    assert_eq!(back, rows, "{bounds:?}");
                    rows
                }
                Plan::Nothing => Vec::new(),
                Plan::TooMany | Plan::Missing(_) => panic!("nothing is missing"),
            };
            let known = self.events.iter().filter(|event| event.0 <= self.head && event.0 > 100);
            let timely: BTreeSet<i64> = known.filter(|event| event.1 >= since).map(|event| event.0).collect();
            let client = &mut self.clients[client];
            client.got.extend(rows.iter().map(|row| row.1));
            assert!(
                timely.iter().all(|serial| rows.iter().any(|row| row.1 == *serial)),
                "{timely:?}, {rows:?}"
            );
            // It remembers when it began.
            client.since = (self.now + client.skew) / 1000;
        }

        fn step(&mut self, step: &Step) {
            match *step {
                Step::Publish { gap, late } => {
                    let serial = self.last() + gap;
                    self.events.push((serial, self.now / 1000 - late));
                }
                Step::Poll { millis } => {
                    let upto = self.last();
                    self.now += millis;
                    self.append(upto);
                    self.note();
                }
                Step::SlowPoll => {
                    self.append(self.last());
                    // A client that asks now is not answered with it: it is not committed. So nothing is noted.
                    self.now += 20_000;
                    self.note();
                }
                Step::Ask(client) => self.ask(client),
                Step::Wait { millis } => self.now += millis,
                Step::Ahead { seconds } => self.ahead = seconds * 1000,
                Step::Restart => self.note(),
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let late = prop_oneof![8 => 0..3i64, 2 => 0..90i64, 1 => 0..40_000i64];
        let step = prop_oneof![
            6 => (1..5i64, late).prop_map(|(gap, late)| Step::Publish { gap, late }),
            4 => (0..40_000i64).prop_map(|millis| Step::Poll { millis }),
            1 => Just(Step::SlowPoll),
            4 => (0..3usize).prop_map(Step::Ask),
            3 => (0..70_000i64).prop_map(|millis| Step::Wait { millis }),
            1 => (0..400_000_000i64).prop_map(|millis| Step::Wait { millis }),
            1 => prop_oneof![Just(0), 0..10_000i64, 0..9_000_000i64].prop_map(|seconds| Step::Ahead { seconds }),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        #[test]
        fn who_asks_again_with_the_moment_of_its_last_question_gets_everything(
            steps in steps(),
            skews in prop::array::uniform3(-4_000..4_000i64),
        ) {
            let mut model = Model::new(skews);
            for step in &steps {
                model.step(step);
            }
            model.step(&Step::Poll { millis: 3_000 });
            for client in 0..skews.len() {
                model.step(&Step::Ask(client));
                let client = &model.clients[client];
                let expected = model.events.iter().map(|event| event.0).filter(|serial| *serial > client.before);
                prop_assert_eq!(&client.got, &expected.collect::<BTreeSet<i64>>());
            }
        }
    }
}
