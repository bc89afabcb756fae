//! What must not leave: passwords, paths of this machine, a forged log line, a journal that others can read, all places of
//! the feed.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use cheesewire::sandbox::{Effect, Fault, Route};
use tokio::process::Command;

use crate::support::process::{BINARY, Process};
use crate::support::{Relay, client, get, sandbox, until, within};

/// The password of each address below.
const SECRET: &str = "s3cr3t";

/// Everything that a command prints, and its exit code.
async fn printed(
    arguments: &[&str],
    environment: &[(&str, &OsStr)],
    file: Option<&Path>,
) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let output = within("it does not end", command.output()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Addresses that are refused, each with the password in it; nothing is asked of them.
const REFUSED: [&str; 5] = [
    "ftp://user:s3cr3t@index.test/",
    "http://user:s3cr3t@index.test/?a=b",
    "http://user:s3cr3t/x@index.test/",
    "http://user:s3cr3t x@[index.test/",
    "user:s3cr3t@index.test",
];

#[tokio::test]
async fn no_complaint_prints_a_password_wherever_the_address_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    for address in REFUSED {
        let set = format!("upstream.url={address}");
        let simple = format!("upstream.simple={address}");
        let public = format!("http.public_url={address}");
        let variable = [("CHEESEWIRE_UPSTREAM__URL", OsStr::new(address))];
        for (arguments, environment) in [
            (vec!["serve", "--upstream", address], &[][..]),
            (vec!["serve", "--set", &set], &[]),
            (vec!["serve", "--set", &simple], &[]),
            (vec!["serve", "--set", &public], &[]),
            (vec!["doctor", "--upstream", address], &[]),
            (vec!["config"], &variable[..]),
            (vec!["sync"], &variable[..]),
            (vec!["serve", address], &[]),
            (vec!["serve", "--set", address], &[]),
            (vec!["call", "--server", address, "list_packages"], &[]),
        ] {
            let (code, text) = printed(&arguments, environment, None).await;
            assert!(!text.contains(SECRET), "{arguments:?}: {text}");
            let is_call = arguments[0] == "call";
            assert!(code == Some(64) || is_call && code == Some(1), "{arguments:?}: {code:?} {text}");
        }
        for settings in
            [format!("[upstream]\nurl = '{address}'\n"), format!("[upstream]\nurl = '{address}' more\n")]
        {
            std::fs::write(&file, settings).unwrap();
            let (code, text) = printed(&["serve"], &[], Some(&file)).await;
            assert!(!text.contains(SECRET) && code == Some(64), "{text}");
        }
    }
}

#[tokio::test]
async fn the_address_that_pip_names_is_not_printed_with_its_password() {
    let folder = tempfile::tempdir().unwrap();
    // In place of pip, which says what it is set to.
    let pip = folder.path().join("python3");
    let script = "#!/bin/sh\necho \"global.index-url='ftp://user:s3cr3t@index.test/simple'\"\n";
    std::fs::write(&pip, script).unwrap();
    std::fs::set_permissions(&pip, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = [("PATH", folder.path().as_os_str())];
    let (code, text) = printed(&["serve", "--upstream", "pip"], &path, None).await;
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("ftp://***@index.test/simple") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn config_and_doctor_print_addresses_without_their_passwords_and_what_was_printed_is_refused() {
    let set = "http.public_url=http://user:s3cr3t@relay.test/";
    let address = "http://user:s3cr3t@127.0.0.1:9/";
    let arguments =
        ["config", "--upstream", address, "--set", set, "--set", "upstream.simple=http://s3cr3t@a.test/"];
    let (code, text) = printed(&arguments, &[], None).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("http://***@127.0.0.1:9/") && !text.contains(SECRET), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, text).unwrap();
    let (code, text) = printed(&["serve"], &[], Some(&file)).await;
    assert!(code == Some(64) && text.contains("a password written out"), "{text}");
    // A port that nobody answers on, and a proxy there.
    let proxy = [("http_proxy", OsStr::new("http://user:s3cr3t@127.0.0.1:9/"))];
    let retries = "upstream.retries=0";
    let doctor = ["doctor", "--upstream", address, "--set", retries];
    let through = ["doctor", "--upstream", "http://user:s3cr3t@index.test/", "--set", retries];
    for (arguments, environment) in [(doctor, &[][..]), (through, &proxy[..])] {
        let (_, text) = printed(&arguments, environment, None).await;
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn what_upstream_says_forges_no_log_line() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let said = "gone\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2K\u{85}";
    let fault = format!(
        "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int>\
         </value></member><member><name>faultString</name><value><string>{}</string></value></member></struct></value>\
         </fault></methodResponse>",
        said.replace('\u{1b}', "")
    );
    let headers = [("content-type".to_owned(), "text/xml".to_owned())].into();
    let answer = Effect::Answer { status: 200, headers, body: fault };
    let settings = ["upstream.calls_per_second=1000", "follow.interval=100ms", "follow.shortest_wait=10ms"];
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    sandbox.faults().add(Fault::on(Route::Rpc, answer)).unwrap();
    until("no poll fails", async || {
        get(&format!("{}readyz", relay.url)).await.json()["upstream"]["failures"].as_u64() > Some(0)
    })
    .await;
    relay.terminate();
    let (_, log) = relay.end().await;
    assert!(log.iter().any(|line| line.contains("INFO forged")), "{log:?}");
    for line in &log {
        assert!(line.starts_with('{') && !line.contains('\u{85}'), "{line:?}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_folder_and_the_journal_are_their_owners_alone_new_and_from_before() {
    let sandbox = sandbox().await;
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let files = ["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "journal.lock"];
    for round in ["new", "from before"] {
        let relay = Process::start(&folder, &sandbox.url(), &[]).await;
        until("nothing is kept", async || {
            !get(&format!("{}readyz", relay.url)).await.json()["last_serial"].is_null()
        })
        .await;
        assert_eq!(mode(&folder), 0o700, "{round}");
        for name in files {
            assert_eq!(mode(&folder.join(name)), 0o600, "{round}: {name}");
        }
        // With the log still beside it.
        relay.kill().await;
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in files {
            open(&folder.join(name), 0o644);
        }
        open(&folder, 0o755);
    }
    // Others may have to get at what lies there.
    std::fs::write(folder.join("else"), "").unwrap();
    let _relay = Process::start(&folder, &sandbox.url(), &[]).await;
    assert_eq!((mode(&folder), mode(&folder.join(files[0]))), (0o755, 0o600));
}

#[tokio::test]
async fn one_client_does_not_get_all_places_of_the_feed() {
    let sandbox = sandbox().await;
    // That a subscriber is gone shows when it is written to.
    let settings = [
        "feed.subscribers=8",
        "feed.keep_alive=1s",
        "clients.feeds_at_once=3",
        "clients.trusted_proxies=127.0.0.1",
    ];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let subscribe = async |from: &str| {
        let url = format!("{}journal/events?follow=true", relay.url);
        client().get(url).header("x-forwarded-for", from).send().await.unwrap()
    };
    let mut held = Vec::new();
    for port in 1..=3 {
        let answer = subscribe(&format!("192.0.2.1:{port}")).await;
        assert_eq!(answer.status(), 200);
        held.push(answer);
    }
    let refused = subscribe("192.0.2.1").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "30");
    assert!(refused.text().await.unwrap().contains("clients.feeds_at_once"));
    assert_eq!(subscribe("192.0.2.2").await.status(), 200);
    held.pop();
    until("its place does not come back", async || subscribe("192.0.2.1").await.status() == 200).await;
}
