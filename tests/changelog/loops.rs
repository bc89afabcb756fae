//! Clients that loop: every event exactly once, whatever upstream does meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{Publication, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};

use super::{after, cell, is_later, object, row};
use crate::support::{Relay, call, post, sandbox};

/// What the story's client waited for, scaled down: its patience is shorter than upstream's answer, and the relay's
/// deadline is shorter than both.
const PATIENCE: Duration = Duration::from_millis(1500);
const UPSTREAM: Duration = Duration::from_millis(1600);
const SETTINGS: [&str; 2] = ["rpc.deadline=200ms", "follow.interval=50ms"];

/// Small slices, each of which takes longer than any client waits.
async fn slow() -> Sandbox {
    let delays = vec![("changelog_since_serial".to_owned(), UPSTREAM)];
    let settings = SandboxSettings { delays, changelog_rows: 2000, ..SandboxSettings::default() };
    Sandbox::start(settings).await.unwrap()
}

/// A call by a client that gives up if it has not got the whole answer after its patience, and comes again when it is
/// told to. What it takes to read the answer is its own affair.
async fn ask(url: &str, patience: Duration, method: &str, params: &[Value]) -> Value {
    let persistent = async {
        loop {
            let url = format!("{url}pypi");
            let asked = post(&url, encode_call(method, params).unwrap());
            let answer = tokio::time::timeout(patience, asked).await.expect("the client timed out");
            let read = move || decode_response(answer.bytes(), Limits { depth: 64 }).unwrap();
            match tokio::task::spawn_blocking(read).await.unwrap() {
                Ok(value) => return value,
                Err(fault) => assert!(is_later(&fault), "{fault}"),
            }
        }
    };
    tokio::time::timeout(60 * patience, persistent).await.expect("it never came")
}

/// What a client gets that loops on its last serial until nothing comes.
pub(super) async fn by_serial(url: &str, patience: Duration, since: i64) -> Vec<Value> {
    let (mut got, mut last) = (Vec::new(), since);
    loop {
        let rows = ask(url, patience, "changelog_since_serial", &[Value::Int(last)]).await;
        let rows = rows.as_array().unwrap();
        let Some(newest) = rows.last() else { return got };
        last = cell(newest, 4);
        got.extend_from_slice(rows);
    }
}

/// What a client gets that loops on its last time until nothing comes. `between` runs after each answer, given its
/// number.
pub(super) async fn by_time(
    url: &str,
    patience: Duration,
    limit: i64,
    between: impl AsyncFn(usize),
) -> Vec<Value> {
    let (mut got, mut last, mut calls) = (Vec::new(), 0, 0);
    loop {
        let params = [Value::Int(last), Value::Bool(true), Value::Int(limit)];
        let rows = ask(url, patience, "changelog", &params).await;
        let rows = rows.as_array().unwrap();
        let Some(newest) = rows.last() else { return got };
        last = cell(newest, 2);
        got.extend_from_slice(rows);
        calls += 1;
        between(calls).await;
    }
}

/// What a client gets that follows cursors while there is more.
pub(super) async fn by_cursor(url: &str, patience: Duration) -> Vec<Value> {
    let (mut got, mut query) = (Vec::new(), object(&[("since", Value::Int(0))]));
    loop {
        let page = ask(url, patience, "changelog_page", &[query]).await;
        let events = page.get("events").unwrap().as_array().unwrap();
        got.extend_from_slice(events);
        if page.get("has_more") == Some(&Value::Bool(false)) {
            return got;
        }
        assert!(!events.is_empty(), "an empty page before the end");
        query = object(&[("cursor", page.get("next_cursor").unwrap().clone())]);
    }
}

#[tokio::test]
async fn who_loops_on_the_last_serial_never_times_out_and_misses_nothing() {
    let sandbox = slow().await;
    let relay = Relay::start(&sandbox.url(), &SETTINGS).await;
    let got = by_serial(&relay.url, PATIENCE, 1).await;
    let expected: Vec<Value> = after(&sandbox, 0).iter().map(|event| row(event, true)).collect();
    assert!(expected.len() > 5_000);
    assert_eq!(got, expected);
}

#[tokio::test]
async fn who_loops_on_the_last_time_gets_all_while_upstream_goes_on() {
    let sandbox = slow().await;
    let relay = Relay::start(&sandbox.url(), &SETTINGS).await;
    let answers = AtomicUsize::new(0);
    let goes_on = async |calls: usize| {
        answers.store(calls, Ordering::Relaxed);
        if calls < 4 {
            // Some events in one second, while history is still on its way.
            sandbox.publish(Publication::new(format!("news-{calls}"), "1.0")).await.unwrap();
        }
    };
    let got = by_time(&relay.url, PATIENCE, 1000, goes_on).await;
    assert!(answers.into_inner() > 3, "history came in one piece");
    let mut expected = after(&sandbox, 0);
    expected.sort_by_key(|event| (event.time, event.serial));
    let expected: Vec<Value> = expected.iter().map(|event| row(event, true)).collect();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn who_loops_on_cursors_gets_every_event_once() {
    let sandbox = slow().await;
    let relay = Relay::start(&sandbox.url(), &SETTINGS).await;
    let got = by_cursor(&relay.url, PATIENCE).await;
    let expected: Vec<Value> = after(&sandbox, 0).iter().map(|event| row(event, true)).collect();
    assert_eq!(got, expected);
    let page = object(&[("since", Value::Int(0))]);
    let page = ask(&relay.url, PATIENCE, "changelog_page", &[page]).await;
    assert_eq!(page.get("last_serial"), Some(&Value::Int(sandbox.last_serial().0)));
}

#[tokio::test]
async fn a_limit_inside_one_second_loses_nothing() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let (mut got, mut last, mut over) = (Vec::new(), 0, 0);
    loop {
        let params = [Value::Int(last), Value::Nil, Value::Int(3)];
        let rows = call(&relay.url, "changelog", &params).await.unwrap();
        let rows = rows.as_array().unwrap();
        let Some(newest) = rows.last() else { break };
        over += usize::from(rows.len() > 3);
        last = cell(newest, 2);
        got.extend_from_slice(rows);
    }
    let mut expected = after(&sandbox, 0);
    expected.sort_by_key(|event| (event.time, event.serial));
    let expected: Vec<Value> = expected.iter().map(|event| row(event, false)).collect();
    assert_eq!(got.len(), expected.len());
    assert_eq!(got, expected);
    assert!(over > 0, "no second has more events than the limit");
}

#[tokio::test]
async fn a_recent_time_does_not_fetch_all_of_history() {
    let settings = SandboxSettings { changelog_rows: 100, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let all = after(&sandbox, 0);
    let since = all[all.len() - 150].time;
    let rows = call(&relay.url, "changelog", &[Value::Int(since), Value::Bool(true)]).await.unwrap();
    let mut expected: Vec<_> = all.into_iter().filter(|event| event.time >= since).collect();
    expected.sort_by_key(|event| (event.time, event.serial));
    let expected: Vec<Value> = expected.iter().map(|event| row(event, true)).collect();
    assert_eq!(rows, Value::Array(expected));
    assert!(sandbox.requests().method("changelog_since_serial") < 60);
}

#[tokio::test]
async fn pages_of_projects_join_to_the_list() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let mut expected: Vec<(String, i64)> =
        sandbox.listed().iter().map(|project| (project.name.clone(), project.last_serial.0)).collect();
    let (mut got, mut next) = (Vec::new(), Value::from(""));
    loop {
        let query = object(&[("after", next), ("limit", Value::Int(5))]);
        let page = call(&relay.url, "list_packages_page", &[query]).await.unwrap();
        let packages = page.get("packages").unwrap().as_array().unwrap();
        assert!(!packages.is_empty() && packages.len() <= 5);
        got.extend(packages.iter().map(|pair| {
            let pair = pair.as_array().unwrap();
            (pair[0].as_str().unwrap().to_owned(), pair[1].as_int().unwrap())
        }));
        assert_eq!(page.get("last_serial"), Some(&Value::Int(sandbox.last_serial().0)));
        next = page.get("next_after").unwrap().clone();
        if page.get("has_more") == Some(&Value::Bool(false)) {
            break;
        }
    }
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
    let all = call(&relay.url, "list_packages_page", &[]).await.unwrap();
    assert_eq!(all.get("packages").unwrap().as_array().unwrap().len(), expected.len());
}

/// Whether the release that an event made was neither removed nor shut away since.
fn is_there(sandbox: &Sandbox, made: &Event) -> bool {
    let (mut there, mut open, mut project_open) = (true, true, true);
    for event in after(sandbox, made.serial.0).iter().filter(|event| event.name == made.name) {
        let this = event.version == made.version;
        match event.action.as_str() {
            "remove project" => there = false,
            "remove" if event.version.is_none() => there = false,
            "remove release" | "remove" if this => there = false,
            "release quarantined" if this => open = false,
            "release quarantine cleared" if this => open = true,
            "project quarantined" => project_open = false,
            "project quarantine cleared" => project_open = true,
            _ => {}
        }
    }
    there && open && project_open
}

#[tokio::test]
async fn what_changed_comes_newest_first_and_once() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let mut events = after(&sandbox, 0);
    let since = events[events.len() / 2].time;
    events.retain(|event| event.time >= since);
    events.sort_by_key(|event| std::cmp::Reverse((event.time, event.serial)));
    let mut names: Vec<&str> = Vec::new();
    let mut releases: Vec<[&str; 2]> = Vec::new();
    for event in &events {
        if !names.contains(&event.name.as_str()) {
            names.push(&event.name);
        }
        let release = [event.name.as_str(), event.version.as_deref().unwrap_or("")];
        if event.action == "new release" && !releases.contains(&release) && is_there(&sandbox, event) {
            releases.push(release);
        }
    }
    let params = [Value::Int(since)];
    assert_eq!(call(&relay.url, "changed_packages", &params).await.unwrap(), names.into_iter().collect());
    let releases: Value = releases.into_iter().map(Value::from_iter).collect();
    assert_eq!(call(&relay.url, "updated_releases", &params).await.unwrap(), releases);
    let refused = Relay::start(&sandbox.url(), &["rpc.changed_rows=100"]).await;
    let fault = call(&refused.url, "changed_packages", &params).await.unwrap_err();
    assert!(fault.string.starts_with("ValueError: more than 100 events"), "{fault}");
    assert_eq!(sandbox.last_serial(), Serial(after(&sandbox, 0).last().unwrap().serial.0));
}
