//! Days of clients that run once in a while, in no time: a journal whose clock is set, an upstream and a poller that are
//! played second by second as the real ones behave, at the defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use cheesewire::follow::FollowSettings;
use cheesewire::journal::{Journal, JournalSettings, QuestionStart, Slice, Uncut, Upkeep};
use cheesewire::model::{Clock, Event, Serial};
use cheesewire::rpc::RpcSettings;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

/// When it begins.
const BEGIN: i64 = 1_750_000_000;
const PUBLICATIONS: usize = 200;
/// So long all of it lasts: one publication in half a minute.
const LASTING: i64 = 6_000;
/// Of upstream, with the default budget, in seconds.
const CALL: i64 = 1;

/// A journal that is open in a folder.
struct Relay {
    folder: TempDir,
    clock: Clock,
    journal: Journal,
}

impl Relay {
    async fn start(folder: TempDir, clock: Clock) -> Self {
        let settings = JournalSettings { clock: clock.clone(), ..JournalSettings::default() };
        let journal = Journal::open(folder.path(), settings).await.unwrap();
        journal.set_upkeep(Upkeep::Polled { head: Duration::MAX });
        Self { folder, clock, journal }
    }

    async fn restart(self) -> Self {
        self.journal.close().await;
        Self::start(self.folder, self.clock).await
    }

    /// The answer to a question by time: its rows' times and serials. None if it is a fault.
    async fn ask(&self, since: i64) -> Option<Vec<(i64, i64)>> {
        let settings = RpcSettings::default();
        let bounds = match self.journal.uncut(since, settings.uncut_rows, settings.times).await.unwrap() {
            Uncut::Events(bounds) => bounds,
            Uncut::Nothing => return Some(Vec::new()),
            Uncut::NotHeard(_) => return None,
            Uncut::TooMany | Uncut::NotCovered(_) => panic!("it is all there"),
        };
        let slice = Slice::Uncut(bounds);
        let (mut rows, mut next) = (Vec::new(), Some(slice.start()));
        while let Some(from) = next {
            let read = self.journal.read_rows(slice, from, 1000, rows, |rows: &mut Vec<_>, row| {
                rows.push((row.time, row.serial.0));
                ControlFlow::Continue(())
            });
            let read = read.await.unwrap();
            (rows, next) = (read.sink, read.next);
        }
        assert!(rows.is_sorted(), "not by time");
        Some(rows)
    }

    async fn append(&self, events: Vec<Event>, since: i64, upto: i64) {
        self.journal.append(events, Serial(since), Serial(upto)).await.unwrap();
    }
}

fn event(serial: i64, time: i64) -> Event {
    let (name, action) = (format!("project-{}", serial % 1000), "new release".to_owned());
    Event { serial: Serial(serial), name, version: Some("1.0".to_owned()), time, action }
}

/// A poll on its way: each call is answered with what upstream has when it comes.
#[derive(Clone, Copy)]
enum Poll {
    /// Its last serial.
    Named { begun: i64, answered: i64, last: i64 },
    /// The events up to there.
    Rows { begun: i64, answered: i64, upto: i64 },
}

impl Poll {
    fn begun(self) -> i64 {
        match self {
            Self::Named { begun, .. } | Self::Rows { begun, .. } => begun,
        }
    }
}

struct Client {
    /// By how much its clock is ahead.
    skew: i64,
    since: i64,
    got: BTreeMap<i64, usize>,
    /// When it asked, and its own clock then.
    asking: Option<(i64, i64)>,
}

/// What happens when, in seconds after the beginning.
#[derive(Debug, Clone)]
struct Plan {
    /// Each with how long before it its event is dated.
    publications: Vec<(i64, i64)>,
    asks: [BTreeSet<i64>; 3],
}

fn plan() -> impl Strategy<Value = Plan> {
    let late = prop_oneof![20 => 0..3i64, 1 => 0..300i64];
    let publications = prop::collection::vec((30..LASTING, late), PUBLICATIONS);
    let asks = || prop::collection::btree_set(30..LASTING, 25);
    (publications, [asks(), asks(), asks()]).prop_map(|(publications, asks)| Plan { publications, asks })
}

/// One day with an upstream whose calls take so long.
#[allow(clippy::too_many_lines)]
async fn day(delay: i64, plan: Plan) {
    let follow = FollowSettings::default();
    let interval = i64::try_from(follow.interval.as_secs()).unwrap();
    let deadline = i64::try_from(RpcSettings::default().deadline.as_secs()).unwrap();
    let clock = Clock::standing_at(BEGIN);
    let mut relay = Relay::start(tempfile::tempdir().unwrap(), clock.clone()).await;
    relay.journal.seed(Vec::new(), Serial(1000)).await.unwrap();
    relay.journal.note_first_listing(Serial(1000), BEGIN - 1).await.unwrap();
    relay.journal.caught_up(QuestionStart::now(&clock)).await;
    // Two rows a release, dated by when its transaction began.
    let mut upstream: Vec<Event> = Vec::new();
    let mut clients: Vec<Client> = [-3, 0, 3]
        .map(|skew| Client { skew, since: BEGIN + 20 + skew, got: BTreeMap::new(), asking: None })
        .into();
    let (mut head, mut poll, mut begun, mut pause, mut next) = (1000, None, i64::MIN, BEGIN, BEGIN);
    let mut last_poll_ended = i64::MIN;
    for now in BEGIN..BEGIN + LASTING + 1_000 {
        clock.set(now);
        for (_, late) in plan.publications.iter().filter(|(moment, _)| BEGIN + moment == now) {
            let (serial, dated) = (upstream.last().map_or(1000, |event| event.serial.0), now - late);
            upstream.extend([event(serial + 1, dated), event(serial + 3, dated)]);
        }
        let last = upstream.last().map_or(1000, |event| event.serial.0);
        if now == BEGIN + LASTING / 2 {
            // What was on its way is lost.
            relay = relay.restart().await;
            (poll, pause) = (None, now);
            relay.journal.caught_up(QuestionStart::now(&clock)).await;
        }
        // A question wants a poll that began a second ago at most; half of the calls may go into those.
        let wanted = clients.iter().any(|client| client.asking.is_some_and(|(asked, _)| begun < asked - 1));
        if poll.is_none() && (now >= pause || wanted && now >= next) {
            poll = Some(Poll::Named { begun: now, answered: now + delay, last });
            next = now + 2 * CALL;
        }
        match poll {
            Some(Poll::Named { begun: at, answered, last }) if answered <= now => {
                if last > head {
                    next += 2 * CALL;
                    poll = Some(Poll::Rows { begun: at, answered: now + delay.max(1), upto: last.max(head) });
                } else {
                    (poll, pause, last_poll_ended) = (None, now + interval, at);
                    relay.journal.caught_up(QuestionStart::now(&clock)).await;
                }
            }
            Some(Poll::Rows { begun: at, answered, upto }) if answered <= now => {
                let rows = upstream.iter().filter(|event| event.serial.0 > head && event.serial.0 <= upto);
                relay.append(rows.cloned().collect(), head, upto).await;
                (head, poll, pause, last_poll_ended) = (upto, None, now + interval, at);
                relay.journal.caught_up(QuestionStart::now(&clock)).await;
            }
            Some(_) | None => {}
        }
        begun = poll.map_or(last_poll_ended, Poll::begun);
        for (client, asks) in clients.iter_mut().zip(&plan.asks) {
            let Some((asked, its)) = client.asking else {
                if asks.contains(&(now - BEGIN)) || now == BEGIN + LASTING + 500 {
                    client.asking = Some((now, now + client.skew));
                }
                continue;
            };
            let polled = last_poll_ended >= asked - 1;
            if polled || now >= asked + deadline - 1 {
                for (_, serial) in relay.ask(client.since).await.expect("upstream is heard all the time") {
                    *client.got.entry(serial).or_default() += 1;
                }
                (client.since, client.asking) = (its, None);
            }
        }
    }
    let all: BTreeSet<i64> = upstream.iter().map(|event| event.serial.0).collect();
    assert_eq!(all.len(), 2 * PUBLICATIONS);
    for client in clients {
        let got: BTreeSet<i64> = client.got.keys().copied().collect();
        let lost: Vec<&i64> = all.difference(&got).collect();
        assert!(lost.is_empty(), "delay {delay}, clock {}: {lost:?} of {plan:?}", client.skew);
        let times: usize = client.got.values().sum();
        assert!(times < 2 * all.len(), "{times} rows for {} events", all.len());
    }
}

#[tokio::test]
async fn whoever_remembers_when_it_began_loses_nothing_however_slow_upstream_is() {
    let mut runner = TestRunner::deterministic();
    for delay in [0, 3, 20] {
        for _ in 0..3 {
            day(delay, plan().new_tree(&mut runner).unwrap().current()).await;
        }
    }
}

#[tokio::test]
async fn a_hundred_and_twenty_thousand_events_between_two_runs_are_all_there() {
    const EVENTS: i64 = 120_000;
    let clock = Clock::standing_at(BEGIN);
    let relay = Relay::start(tempfile::tempdir().unwrap(), clock.clone()).await;
    relay.journal.seed(Vec::new(), Serial(1000)).await.unwrap();
    relay.journal.caught_up(QuestionStart::now(&clock)).await;
    let since = BEGIN + 600;
    assert_eq!(relay.ask(since).await, Some(Vec::new()));
    // A week without upstream, and then all of it at once: most is dated before it became known, and some before the
    // first run.
    let now = since + 7 * 86_400;
    clock.set(now);
    let time = |n: i64| if n % 10_000 == 7 { 1_000_000_000 + n } else { since - 3_000 + n * 5 };
    let events: Vec<Event> = (1..=EVENTS).map(|n| event(1000 + n, time(n))).collect();
    for (n, page) in (0..).zip(events.chunks(50_000)) {
        let upto = page.last().unwrap().serial.0;
        relay.append(page.to_vec(), 1000 + n * 50_000, upto).await;
    }
    relay.journal.caught_up(QuestionStart::now(&clock)).await;
    let mut expected: Vec<(i64, i64)> = (1..=EVENTS).map(|n| (time(n), 1000 + n)).collect();
    expected.sort_unstable();
    let answer = relay.ask(since).await.unwrap();
    assert!(answer == expected, "{} of {EVENTS}", answer.len());
    clock.set(now + 60);
    assert_eq!(relay.ask(now + 30).await, Some(Vec::new()));
}
