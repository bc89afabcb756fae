//! A certificate at the start, replaced, and gone bad.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cheesewire::model::Clock;
use serde_json::Value;
use tokio::process::Command;

use super::{Encrypted, HTTP1, HTTP2};
use crate::support::authority::{Authority, CERTIFICATE, KEY, put, settings};
use crate::support::process::{BINARY, Process};
use crate::support::{Relay, get, sandbox, until, within};

async fn ready(plain: &str) -> (u16, Value) {
    let answer = get(&format!("{plain}readyz")).await;
    (answer.status, answer.json())
}

/// What a start with what lies in the folder says, and its exit code.
async fn started(folder: &std::path::Path, settings: &[String]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9/", "--data"]);
    command.arg(folder.join("data")).stdin(Stdio::null()).kill_on_drop(true);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = within("it starts", command.output()).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// What is wrong with a pair, by the files that lie there, and what is said of it.
fn wrong(authority: &Authority) -> Vec<(String, String, &'static str)> {
    let (good, other) = (authority.pair(), authority.pair());
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let pair = |from, to| {
        let pair = authority.pair_valid(from, to);
        (pair.certificate, pair.key)
    };
    let (expired, early) = (pair((2000, 1, 1), (2001, 1, 1)), pair((2900, 1, 1), (2901, 1, 1)));
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned();
    vec![
        (good.certificate.clone(), other.key.clone(), "tls.key is not the key of the first certificate"),
        (expired.0, expired.1, "tls.certificate expired at 2001-01-01T00:00:00Z: renew it"),
        (early.0, early.1, "tls.certificate is valid from 2900-01-01T00:00:00Z on only"),
        (half(&good.certificate), good.key.clone(), "tls.certificate is damaged or half-written"),
        (good.certificate.clone(), half(&good.key), "tls.key is damaged or half-written"),
        (
            good.certificate.clone() + &half(&other.certificate),
            good.key.clone(),
            "tls.certificate is damaged",
        ),
        (String::new(), good.key.clone(), "tls.certificate has no block -----BEGIN CERTIFICATE-----"),
        (good.certificate.clone(), String::new(), "tls.key has no block -----BEGIN PRIVATE KEY-----"),
        (good.key.clone(), good.certificate.clone(), "tls.certificate has no block"),
        (no_der, good.key.clone(), "tls.certificate is no certificate that can be used"),
        (good.certificate.clone(), no_key, "tls.key is no key that can be used"),
        ("x".repeat(2 << 20), good.key, "tls.certificate has more than a MiB"),
    ]
}

#[tokio::test]
async fn a_start_with_a_pair_that_cannot_be_used_is_refused_and_told_what_to_do() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = settings(folder.path());
    let (code, text) = started(folder.path(), &pair).await;
    assert!(code == Some(64) && text.contains("tls.certificate cannot be read: No such file"), "{text}");
    for (certificate, key, told) in wrong(&authority) {
        put(folder.path(), CERTIFICATE, &certificate);
        put(folder.path(), KEY, &key);
        let (code, text) = started(folder.path(), &pair).await;
        assert!(code == Some(64) && text.contains(told), "{told}: {code:?} {text}");
        // Nothing of a key, whichever file it lies in.
        assert!(!text.contains("BEGIN PRIVATE KEY-----\n") && text.len() < 400, "{text}");
    }
    for (alone, other) in [(0, "tls.key is not"), (1, "tls.certificate is not")] {
        let (code, text) = started(folder.path(), &pair[alone..=alone]).await;
        assert!(code == Some(64) && text.contains(other), "{text}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[tokio::test]
async fn a_new_pair_that_cannot_be_used_is_told_of_and_the_one_of_before_stays_until_it_can() {
    let bench = Encrypted::start(&[]).await;
    let folder = bench.folder.path();
    let complaint = async || ready(&bench.plain).await.1["tls"]["complaint"].clone();
    let good = bench.authority.pair();
    good.put(folder);
    until("it is not shown", async || bench.authority.is_shown(&good, &bench.url).await).await;
    assert_eq!(complaint().await, Value::Null);
    for (certificate, key, told) in wrong(&bench.authority) {
        put(folder, CERTIFICATE, &certificate);
        put(folder, KEY, &key);
        until(told, async || complaint().await.as_str().is_some_and(|text| text.contains(told))).await;
        assert!(!complaint().await.to_string().contains(folder.to_str().unwrap()));
        assert_eq!(ready(&bench.plain).await.0, 200, "clients are served");
        assert!(bench.authority.is_shown(&good, &bench.url).await, "{told}");
    }
    std::fs::remove_file(folder.join(CERTIFICATE)).unwrap();
    until("nothing is said", async || complaint().await.to_string().contains("cannot be read")).await;
    assert!(bench.authority.is_shown(&good, &bench.url).await);
    let next = bench.authority.pair();
    next.put(folder);
    until("it is not taken", async || bench.authority.is_shown(&next, &bench.url).await).await;
    until("it still complains", async || complaint().await.is_null()).await;
}

#[tokio::test]
async fn replaced_again_and_again_under_load_no_request_fails() {
    let bench = Encrypted::start(&[]).await;
    let (done, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for (protocols, keeps) in [(HTTP1, true), (HTTP1, false), (HTTP2, true), (HTTP2, false)] {
        let (mut client, url) = (bench.client(protocols), format!("{}simple/wire-top/", bench.url));
        let more: Vec<_> = (0..50).map(|_| bench.client(protocols)).collect();
        let (done, over) = (done.clone(), over.clone());
        clients.push(tokio::spawn(async move {
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if !keeps {
                    // With a connection of its own.
                    client = more[n % more.len()].clone();
                }
                let answer = client.get(&url).send().await.unwrap();
                assert!(answer.status() == 200 && !answer.bytes().await.unwrap().is_empty());
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..10 {
        let (pair, before) = (bench.authority.pair(), done.load(Ordering::Relaxed));
        pair.put(bench.folder.path());
        until("it is not shown", async || bench.authority.is_shown(&pair, &bench.url).await).await;
        until("nothing is asked", async || done.load(Ordering::Relaxed) > before + 8).await;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request fails");
    }
}

#[tokio::test]
async fn sighup_has_it_read_at_once() {
    let (authority, folder, sandbox) = (Authority::new(), tempfile::tempdir().unwrap(), sandbox().await);
    authority.pair().put(folder.path());
    let pair = settings(folder.path());
    let all = ["tls.interval=1h", "auth.interval=1h", &pair[0], &pair[1]];
    let relay = Process::start(&folder.path().join("data"), &sandbox.url(), &all).await;
    let next = authority.pair();
    next.put(folder.path());
    assert!(!authority.is_shown(&next, &relay.url).await);
    relay.signal("-HUP");
    until("it is not shown", async || authority.is_shown(&next, &relay.url).await).await;
}

#[tokio::test]
async fn one_that_expires_while_it_is_in_use_makes_the_relay_unready() {
    let (authority, folder, sandbox) = (Authority::new(), tempfile::tempdir().unwrap(), sandbox().await);
    authority.pair_valid((2026, 1, 1), (2026, 3, 1)).put(folder.path());
    let pair = settings(folder.path());
    let own = ["http.listen=127.0.0.1:0, 127.0.0.1:0?plain", "tls.interval=10ms", &pair[0], &pair[1]];
    // 2026-02-01 and 2026-03-02.
    let (before, after) = (1_769_904_000, 1_772_409_600);
    let clock = Clock::standing_at(before);
    let relay = Relay::start_at(&sandbox.url(), &own, &clock).await;
    let plain = &relay.urls[1];
    let (status, told) = ready(plain).await;
    assert_eq!((status, &told["tls"]["seconds_until_expiry"]), (200, &(28 * 86_400).into()), "{told}");
    clock.set(after);
    let (status, told) = ready(plain).await;
    assert_eq!(status, 503);
    assert!(told["unready"].to_string().contains("certificate has expired"), "{told}");
    authority.pair_valid((2026, 2, 1), (2026, 6, 1)).put(folder.path());
    until("the new one is not taken", async || ready(plain).await.0 == 200).await;
}
