//! What ends is seen: a log that nobody reads stops nothing, a task that dies is begun again, and `/readyz` tells.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox};
use serde_json::Value;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use crate::support::process::Process;
use crate::support::{Relay, get, sandbox, until};

/// Settings that make it follow at once.
const EAGER: [&str; 4] = [
    "upstream.calls_per_second=1000",
    "follow.interval=100ms",
    "follow.shortest_wait=10ms",
    "follow.longest_wait=100ms",
];

async fn ready(url: &str) -> (u16, Value) {
    let answer = get(&format!("{url}readyz")).await;
    (answer.status, answer.json())
}

/// Waits until the relay has upstream's last event.
async fn follows(url: &str, sandbox: &Sandbox) {
    let last = sandbox.last_serial().0;
    until("it does not follow", async || ready(url).await.1["last_serial"] == last).await;
}

async fn something_happens(sandbox: &Sandbox, version: &str) {
    sandbox.publish(Publication::new("news", version)).await.unwrap();
}

#[tokio::test]
async fn with_nobody_reading_the_log_it_follows_on_and_sigterm_ends_it() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Process::start(folder.path(), &sandbox.url(), &EAGER).await;
    follows(&relay.url, &sandbox).await;
    relay.close_log();
    // Each poll has something to log now.
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 500 })).unwrap();
    until("polls do not fail", async || ready(&relay.url).await.1["upstream"]["failures"].as_u64() > Some(3))
        .await;
    sandbox.faults().clear();
    something_happens(&sandbox, "1.0").await;
    follows(&relay.url, &sandbox).await;
    let metrics = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    assert!(metrics.contains("cheesewire_log_lines_lost_total"), "{metrics}");
    assert!(!metrics.contains("cheesewire_panics_total"), "{metrics}");
    relay.terminate();
    assert_eq!(relay.exit().await, Some(0));
}

#[tokio::test]
async fn with_a_reader_of_the_log_that_does_not_read_it_answers_and_sigterm_ends_it() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = [&EAGER[..], &["log.filter=trace"]].concat();
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    // Far more than a pipe holds is logged while this waits.
    let mut lost = false;
    let long = format!("{}{}", relay.url, "long".repeat(1000));
    until("the pipe never fills", async || {
        futures_util::future::join_all((0..64).map(|_| get(&long))).await;
        let metrics = get(&format!("{}metrics", relay.url)).await;
        lost |= metrics.text().contains("cheesewire_log_lines_lost_total");
        lost
    })
    .await;
    something_happens(&sandbox, "1.0").await;
    follows(&relay.url, &sandbox).await;
    relay.terminate();
    assert_eq!(relay.exit().await, Some(0));
}

#[tokio::test]
async fn sighup_ends_nothing() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    relay.signal("-HUP");
    assert_eq!(get(&format!("{}healthz", relay.url)).await.status, 200);
    relay.terminate();
    let (code, log) = relay.end().await;
    assert_eq!(code, Some(0), "{log:?}");
    assert!(log.iter().any(|line| line.contains("SIGHUP")), "{log:?}");
}

/// Panics where a message is logged, as long as it is armed.
struct Panics {
    at: &'static str,
    armed: Arc<AtomicBool>,
}

impl<S: tracing::Subscriber> Layer<S> for Panics {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut found = false;
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            found |= field.name() == "message" && format!("{value:?}") == self.at;
        });
        assert!(!(found && self.armed.load(Ordering::Relaxed)), "on purpose");
    }
}

#[tokio::test]
async fn a_follower_that_panics_makes_it_unready_and_is_begun_again() {
    let sandbox = sandbox().await;
    let armed = Arc::new(AtomicBool::new(true));
    let panics = Panics { at: "following upstream failed", armed: armed.clone() };
    // Of this thread, on which all tasks of this test run.
    let guard = tracing::subscriber::set_default(Registry::default().with(panics));
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Status { code: 500 })).unwrap();
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 500 })).unwrap();
    let relay = Relay::start(&sandbox.url(), &EAGER).await;
    let mut state = Value::Null;
    until("nobody sees that it died", async || {
        let (status, seen) = ready(&relay.url).await;
        state = seen;
        status == 503
    })
    .await;
    assert_eq!(state["following"], "ended", "{state}");
    assert_eq!(state["failed_tasks"]["follow"]["down"], true, "{state}");
    assert!(state["unready"][0].as_str().unwrap().contains("following"), "{state}");
    armed.store(false, Ordering::Relaxed);
    sandbox.faults().clear();
    follows(&relay.url, &sandbox).await;
    until("it stays unready", async || ready(&relay.url).await.0 == 200).await;
    let metrics = get(&format!("{}metrics", relay.url)).await;
    assert!(metrics.text().contains("cheesewire_task_failures_total{task=\"follow\"}"));
    drop(guard);
}

#[tokio::test]
async fn following_that_is_disabled_does_not_make_it_unready() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.enabled=false"]).await;
    let (status, state) = ready(&relay.url).await;
    assert_eq!((status, &state["following"]), (200, &"disabled".into()), "{state}");
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_told_of_and_makes_it_unready_only_after_the_heads_lifetime() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    for (version, lifetime, status) in [("1.0", "1h", 200), ("2.0", "1s", 503)] {
        let lifetime = format!("follow.head_lifetime={lifetime}");
        let settings = [&EAGER[..], &[&lifetime]].concat();
        let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
        follows(&relay.url, &sandbox).await;
        relay.limit_files(Some(1));
        something_happens(&sandbox, version).await;
        let mut state = Value::Null;
        until("nothing is told", async || {
            let (seen, body) = ready(&relay.url).await;
            state = body;
            state["journal"]["writable"] == false && seen == status
        })
        .await;
        assert_eq!(state["journal"]["readable"], true, "{state}");
        assert!(!state.to_string().contains(folder.path().to_str().unwrap()), "{state}");
        let metrics = get(&format!("{}metrics", relay.url)).await;
        assert!(metrics.text().contains("cheesewire_journal_unwritable 1"), "{}", metrics.text());
        relay.limit_files(None);
        until("it stays unwritable", async || {
            let (seen, body) = ready(&relay.url).await;
            seen == 200 && body["journal"]["writable"] == true
        })
        .await;
        follows(&relay.url, &sandbox).await;
        relay.terminate();
        assert_eq!(relay.end().await.0, Some(0));
    }
}

/// Overwrites the first page of a table.
fn damage(folder: &Path, table: &str) {
    let path = folder.join("journal.sqlite3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let number = |sql: &str, of: &[&str]| {
        connection.query_row(sql, rusqlite::params_from_iter(of), |row| row.get::<_, i64>(0)).unwrap()
    };
    let size = number("PRAGMA page_size", &[]);
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = ?1", &[table]);
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    let begin = usize::try_from((page - 1) * size).unwrap();
    bytes[begin..begin + usize::try_from(size).unwrap()].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn damage_that_a_read_finds_makes_it_unready_and_the_log_names_the_remedy() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &EAGER).await;
    follows(&relay.url, &sandbox).await;
    relay.terminate();
    assert_eq!(relay.end().await.0, Some(0));
    damage(folder.path(), "documents");
    let relay = Process::start(folder.path(), &sandbox.url(), &EAGER).await;
    let mut state = Value::Null;
    until("nobody sees the damage", async || {
        get(&format!("{}simple/big-wheel/", relay.url)).await;
        let (status, seen) = ready(&relay.url).await;
        state = seen;
        status == 503
    })
    .await;
    assert_eq!(state["journal"]["damaged"], true, "{state}");
    assert!(!state.to_string().contains(folder.path().to_str().unwrap()), "{state}");
    relay.terminate();
    let (code, log) = relay.end().await;
    assert_eq!(code, Some(0), "{log:?}");
    let remedy = log.iter().filter(|line| line.contains("the journal is damaged, and")).collect::<Vec<_>>();
    assert!(remedy.len() == 1 && remedy[0].contains("away, and start the relay again"), "{log:?}");
}
