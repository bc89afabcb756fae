//! Clients that run once in a while and remember when they last began, by their own clocks, while releases are published:
//! whole processes, the real clock, every setting at its default.

use std::collections::BTreeSet;
use std::iter::zip;
use std::ops::Range;
use std::time::Duration;

use cheesewire::model::Clock;
use cheesewire::sandbox::{Change, Publication, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::{Fault, Limits, Value, decode_response, encode_call};
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{after, is_later, row};
use crate::support::process::Process;
use crate::support::{client as http_client, until, within};

const PUBLICATIONS: usize = 200;
/// So long it is published, in milliseconds: two polls at the default interval.
const LASTING: u64 = 120_000;
/// How long the client of the story waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

fn unix() -> i64 {
    Clock::system().unix()
}

/// What happens when, in milliseconds.
struct Plan {
    publications: Vec<u64>,
    /// Of each client, from one run to the next.
    pauses: [Vec<u64>; 3],
}

impl Plan {
    fn draw(seed: &mut TestRunner) -> Self {
        let mut some =
            |range: Range<u64>, count| prop::collection::vec(range, count).new_tree(seed).unwrap().current();
        let mut publications = some(0..LASTING, PUBLICATIONS);
        publications.sort_unstable();
        Self { publications, pauses: [(); 3].map(|()| some(500..30_000, 20)) }
    }
}

/// None: there was no whole answer.
async fn try_call(base: &str, method: &str, params: &[Value]) -> Option<Result<Value, Fault>> {
    let body = encode_call(method, params).unwrap();
    let request = http_client().post(format!("{base}pypi")).header("content-type", "text/xml").body(body);
    let body = request.send().await.ok()?.bytes().await.ok()?;
    Some(decode_response(&body, Limits { depth: 64 }).unwrap())
}

/// One client, whose clock is ahead by `skew` seconds: it asks until it was told all. Of a run that failed it does not
/// remember when it began.
async fn client(
    relay: watch::Receiver<String>,
    all: watch::Receiver<Vec<Value>>,
    skew: i64,
    pauses: Vec<u64>,
) {
    let (mut since, mut got) = (unix() + skew, BTreeSet::new());
    for pause in pauses.into_iter().cycle() {
        sleep(Duration::from_millis(pause)).await;
        let (began, base) = (unix() + skew, relay.borrow().clone());
        let asked = timeout(PATIENCE, try_call(&base, "changelog", &[Value::Int(since)])).await;
        match asked.unwrap_or_else(|_| panic!("clock {skew}: no answer within {PATIENCE:?}")) {
            Some(Ok(answer)) => {
                got.extend(answer.as_array().unwrap().iter().map(|row| format!("{row:?}")));
                since = began;
            }
            Some(Err(fault)) => assert!(is_later(&fault), "{fault:?}"),
            None => {}
        }
        let all = all.borrow();
        if !all.is_empty() && all.iter().all(|row| got.contains(&format!("{row:?}"))) {
            return;
        }
    }
}

/// Publications and a restart in the middle, before an upstream whose calls take so long, for three clients.
async fn run(delay: Duration, plan: Plan) {
    let methods =
        ["changelog", "changelog_since_serial", "changelog_last_serial", "list_packages_with_serial"];
    let delays = methods.map(|method| (method.to_owned(), delay)).into();
    let clock = Some(Clock::system());
    let sandbox =
        Sandbox::start(SandboxSettings { delays, clock, ..SandboxSettings::default() }).await.unwrap();
    let (folder, before) = (tempfile::tempdir().unwrap(), sandbox.last_serial());
    let start =
        async || Process::start(folder.path(), &sandbox.url(), &["upstream.calls_per_second=1"]).await;
    let mut relay = start().await;
    let (address, address_now) = watch::channel(relay.url.clone());
    until("it never heard upstream", async || {
        matches!(try_call(&relay.url, "changelog", &[Value::Int(unix())]).await, Some(Ok(_)))
    })
    .await;
    let (all, all_now) = watch::channel(Vec::new());
    let clients: Vec<_> = zip([-3, 0, 3], plan.pauses)
        .map(|(skew, pauses)| tokio::spawn(client(address_now.clone(), all_now.clone(), skew, pauses)))
        .collect();
    // Each client has begun.
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    for (n, moment) in plan.publications.iter().enumerate() {
        sleep_until(begun + Duration::from_millis(*moment)).await;
        let publication = Publication::new(format!("project-{}", n % 50), format!("{n}.0"));
        sandbox.change(Change::Publish(publication.into())).await.unwrap();
        if n == PUBLICATIONS / 2 {
            relay.terminate();
            relay.end().await;
            relay = start().await;
            address.send_replace(relay.url.clone());
        }
    }
    let events = after(&sandbox, before.0);
    assert!(events.len() >= 2 * PUBLICATIONS);
    all.send_replace(events.iter().map(|event| row(event, false)).collect());
    for client in clients {
        within(&format!("upstream takes {delay:?}: some are lost"), client).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes: the real clock, and polls at the default interval"]
async fn nothing_is_lost_at_the_head_and_no_call_takes_longer_than_clients_wait() {
    let mut seed = TestRunner::deterministic();
    let runs = [0, 3, 20].map(|delay| run(Duration::from_secs(delay), Plan::draw(&mut seed)));
    join_all(runs).await;
}
