//! Two relays that feed each other: one has an index whose files it may not fetch, the other may.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use cheesewire::model::Clock;

use super::parts::{Index, NOON, PATH, kept, of_size};
use crate::support::{Relay, Switch, get, until, within};

/// A mirror without access to files, and its master; both have the other as theirs.
struct Pair {
    mirror: Relay,
    master: Relay,
    /// The index of each; they name the same file.
    refusing: Index,
    giving: Index,
    clock: Clock,
    /// The addresses by which they reach each other.
    _switches: [Switch; 2],
}

impl Pair {
    async fn start(file: &Bytes, settings: &[&str]) -> Self {
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let (to_mirror, to_master) = (Switch::to(nowhere).await, Switch::to(nowhere).await);
        let (refusing, giving) = (Index::refusing(file).await, Index::with(file, 200, true).await);
        let clock = Clock::standing_at(NOON);
        let start = async |index: &Index, own: &Switch, other: &Switch| {
            let host =
                |switch: &Switch| switch.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
            let (from, host, hosts) = (
                format!("push.from={}", other.url()),
                format!("push.host={}", host(own)),
                format!("push.hosts={}", host(other)),
            );
            let mut all =
                vec!["upstream.retries=0", "push.wait=4m", from.as_str(), host.as_str(), hosts.as_str()];
            all.extend(settings);
            let relay = Relay::start_at(index.url.as_str(), &all, &clock).await;
            own.set(relay.url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap());
            relay
        };
        let mirror = start(&refusing, &to_mirror, &to_master).await;
        let master = start(&giving, &to_master, &to_mirror).await;
        Self { mirror, master, refusing, giving, clock, _switches: [to_mirror, to_master] }
    }

    async fn three_clients_get(&self, file: &Bytes) {
        let url = format!("{}packages/{PATH}", self.mirror.url);
        let clients = [(); 3].map(|()| {
            let url = url.clone();
            tokio::spawn(async move { get(&url).await })
        });
        for client in clients {
            let answer = within("a client waits for ever", client).await.unwrap();
            let ready = get(&format!("{}readyz", self.mirror.url)).await;
            assert_eq!(answer.status, 200, "{} {}", answer.text(), ready.text());
            assert!(answer.bytes() == &file[..], "other bytes");
        }
    }
}

async fn counted(relay: &Relay, line: &str) -> String {
    let metrics = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    metrics.lines().find_map(|found| found.strip_prefix(line)).unwrap_or("").trim().to_owned()
}

async fn comes(bytes: u32) {
    let file = of_size(bytes);
    let pair = Pair::start(&file, &[]).await;
    pair.three_clients_get(&file).await;
    until("it is not kept", async || kept(&pair.mirror) == 1 && kept(&pair.master) == 1).await;
    assert_eq!(pair.giving.asked.load(SeqCst), 1, "the file was pushed more than once");
    pair.three_clients_get(&file).await;
    assert_eq!((pair.refusing.asked.load(SeqCst), pair.giving.asked.load(SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_file_is_pushed_on_demand_while_three_clients_wait() {
    comes(2_000_000).await;
}

#[tokio::test]
#[ignore = "moves 64 MB a few times"]
async fn a_file_of_64_megabytes_is_pushed_on_demand_while_three_clients_wait() {
    comes(64 << 20).await;
}

#[tokio::test]
async fn a_file_that_is_gone_leaves_one_tombstone_and_no_further_question() {
    let file = of_size(100_000);
    let pair = Pair::start(&file, &[]).await;
    pair.giving.named.store(false, SeqCst);
    let url = format!("{}packages/{PATH}", pair.mirror.url);
    assert_eq!(get(&url).await.status, 404);
    let asked = pair.refusing.asked.load(SeqCst);
    for days in [1, 2, 40] {
        pair.clock.set(NOON + days * 86_400);
        let answer = get(&url).await;
        assert_eq!((answer.status, answer.header("x-cache")), (404, "tombstone"));
    }
    assert_eq!(pair.refusing.asked.load(SeqCst), asked, "somebody was asked again");
    assert_eq!(kept(&pair.mirror), 0);
    let tombstones = std::fs::metadata(pair.mirror.folder().join("journal.sqlite3")).unwrap();
    assert!(tombstones.len() > 0);
}

/// Each asks the other for what neither has: the questions have an end on both sides.
#[tokio::test]
async fn two_relays_of_which_neither_has_the_file_do_not_ask_each_other_for_ever() {
    let file = of_size(100_000);
    let settings = ["push.wait=300ms", "push.attempts=2", "push.secret_lifetime=30s", "push.retry_delay=1m"];
    let pair = Pair::start(&file, &settings).await;
    pair.giving.status.store(403, SeqCst);
    let url = format!("{}packages/{PATH}", pair.mirror.url);
    let mut now = NOON;
    until("they ask for ever", async || {
        let status = get(&url).await.status;
        now += 60;
        pair.clock.set(now);
        status == 502
    })
    .await;
    let line = "cheesewire_push_given_up_total";
    until("the other goes on", async || !counted(&pair.master, line).await.is_empty()).await;
}
