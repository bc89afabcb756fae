//! The whole process: its death, its end, its memory, its complaints.

use std::path::Path;
use std::time::Duration;

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::support::process::{BINARY, Process};
use crate::support::{client, get, sandbox, within};

/// The fixtures' large file: its path below the relay's address, and its digest.
fn big_file(sandbox: &Sandbox) -> (String, String) {
    let project = sandbox.project("big-wheel").unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.content.size() >= 64_000_000).unwrap();
    (format!("packages/{}", upload.file.path), upload.file.digests.sha256.to_string())
}

/// Makes the relay read the page that names the file.
async fn learn(relay: &Process) {
    assert_eq!(get(&format!("{}simple/big-wheel/", relay.url)).await.status, 200);
}

/// Reads a whole answer; its digest, or `None` if it broke off.
async fn digest(url: &str) -> Option<String> {
    let response = client().get(url).send().await.ok()?.error_for_status().ok()?;
    let mut hasher = Sha256::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        hasher.update(chunk.ok()?);
    }
    Some(hex::encode(hasher.finalize()))
}

/// Every kept file below the data folder: its name, and the digest of its bytes.
fn kept(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            kept(&path, found);
        } else if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            found.push((name, hex::encode(Sha256::digest(std::fs::read(&path).unwrap()))));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_fill_the_file_is_absent_or_whole() {
    let sandbox = sandbox().await;
    let (path, expected) = big_file(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    // 64 pieces, some 10 ms apart: the kills are spread over the fill and a little past it.
    let drip = Effect::Drip { bytes: 1 << 20, every_millis: 10 };
    sandbox.faults().add(Fault::on(Route::File, drip)).unwrap();
    let (mut absent, mut whole) = (0, 0);
    for round in 0..20 {
        let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
        assert_eq!(get(&format!("{}healthz", relay.url)).await.text(), "ok\n");
        let mut files = Vec::new();
        kept(folder.path(), &mut files);
        for (name, digest) in &files {
            assert_eq!(name, digest, "round {round}: a kept file is not whole");
        }
        if files.iter().any(|(name, _)| *name == expected) {
            whole += 1;
            // Kept: the next round needs an empty cache to be killed in.
            relay.kill().await;
            std::fs::remove_dir_all(folder.path()).unwrap();
            continue;
        }
        absent += 1;
        learn(&relay).await;
        let url = format!("{}{path}", relay.url);
        let fill = tokio::spawn(async move { digest(&url).await });
        // Steps of 101 ms, mixed: every part of the fill has its kill, whatever the machine's pace.
        tokio::time::sleep(Duration::from_millis(round * 101 * 7 % 2020)).await;
        relay.kill().await;
        if let Some(digest) = fill.await.unwrap() {
            assert_eq!(digest, expected, "a client got a wrong whole file");
        }
    }
    println!("{absent} times absent, {whole} times whole");
    assert!(absent > 0);
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    sandbox.faults().clear();
    learn(&relay).await;
    assert_eq!(digest(&format!("{}{path}", relay.url)).await.as_deref(), Some(expected.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves 3 GB over the loopback"]
async fn fifty_clients_of_one_uncached_file_cost_one_fetch_and_little_memory() {
    let sandbox = sandbox().await;
    let (path, expected) = big_file(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    learn(&relay).await;
    let url = format!("{}{path}", relay.url);
    let clients: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { digest(&url).await }
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap().as_deref(), Some(expected.as_str()));
    }
    assert_eq!(sandbox.requests().path(&format!("/{path}")), 1, "upstream served it more than once");
    let peak = relay.peak_memory();
    println!("peak memory {peak} MiB");
    assert!(peak < 120, "peak memory {peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_lets_a_download_end_and_takes_no_more() {
    let sandbox = sandbox().await;
    let (path, expected) = big_file(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    learn(&relay).await;
    sandbox.faults().add(Fault::on(Route::File, Effect::Drip { bytes: 1 << 20, every_millis: 10 })).unwrap();
    let mut body = client().get(format!("{}{path}", relay.url)).send().await.unwrap().bytes_stream();
    let mut hasher = Sha256::new();
    hasher.update(body.next().await.unwrap().unwrap());
    let health = format!("{}healthz", relay.url);
    relay.terminate();
    let refused = async { while client().get(&health).send().await.is_ok() {} };
    within("it still takes connections", refused).await;
    while let Some(chunk) = body.next().await {
        hasher.update(chunk.expect("the download was cut"));
    }
    assert_eq!(hex::encode(hasher.finalize()), expected);
    let (code, log) = relay.end().await;
    assert_eq!(code, Some(0), "{log:?}");
}

#[tokio::test]
async fn told_to_stop_it_waits_no_longer_than_its_drain_time() {
    let sandbox = sandbox().await;
    let (path, _) = big_file(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &["http.drain=500ms"]).await;
    learn(&relay).await;
    sandbox.faults().add(Fault::on(Route::File, Effect::Drip { bytes: 1, every_millis: 1000 })).unwrap();
    let url = format!("{}{path}", relay.url);
    let client = tokio::spawn(async move { digest(&url).await });
    while sandbox.requests().path(&format!("/{path}")) == 0 {
        tokio::task::yield_now().await;
    }
    relay.terminate();
    let (code, log) = relay.end().await;
    assert_eq!(code, Some(0), "{log:?}");
    assert!(log.iter().any(|line| line.contains("drain deadline")), "{log:?}");
    assert_eq!(client.await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_configuration_ends_with_64_and_every_complaint() {
    let output = tokio::process::Command::new(BINARY)
        .args(["serve", "--listen", "here", "--set", "rpc.deadline=soon", "--set", "rpc.dept=3"])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for complaint in
        ["http.listen", "rpc.deadline", "rpc.dept", "did you mean rpc.depth?", "upstream.url is not set"]
    {
        assert!(text.contains(complaint), "{complaint}: {text}");
    }
    let output = tokio::process::Command::new(BINARY).args(["serve", "--lisen", "x"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[tokio::test]
async fn without_certificate_authorities_it_says_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let (none, data) = (folder.path().join("none"), folder.path().join("data"));
    let mut command = tokio::process::Command::new(BINARY);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--upstream", "https://index.test/", "--data"])
        .arg(data);
    command.env("SSL_CERT_FILE", &none).env("SSL_CERT_DIR", &none).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(2), command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("SSL_CERT_FILE"), "{text}");
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::start(folder.path(), &sandbox.url(), &[]).await;
    let output = tokio::process::Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--upstream", &sandbox.url(), "--data"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("in use by another process"), "{text}");
}
