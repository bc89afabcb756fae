//! A data folder belongs to one upstream: another one is refused, and a command gives the folder to a moved one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get as on_get;
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::process::{BINARY, Process};
use crate::support::{Relay, get, sandbox, scripted};

/// Nobody listens there, and nobody has to: whose the folder is decides before upstream is asked.
const OTHER: &str = "https://user:secret@other.test/Simple/simple/";

async fn cheesewire(folder: &Path, upstream: &str, args: &[&str]) -> Output {
    run(Command::new(BINARY).args(args).args(["--upstream", upstream, "--data"]).arg(folder)).await
}

async fn run(command: &mut Command) -> Output {
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_mins(2), output).await.expect("it does not end").unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder that a relay before `upstream` has left.
async fn left_by_a_relay(upstream: &str) -> TempDir {
    Relay::start(upstream, &["follow.enabled=false"]).await.stop().await
}

/// The refusal of a folder of `owner`'s to [`OTHER`].
fn assert_refused(output: &Output, owner: &str, what: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{what}: {said}");
    for word in [owner, "other.test/Simple", "--data", "cheesewire adopt"] {
        assert!(said.contains(word), "{what}: no {word} in {said}");
    }
    assert!(!said.contains("secret") && !text(&output.stdout).contains("secret"), "{what}: {said}");
}

#[tokio::test]
async fn every_command_that_opens_the_folder_refuses_another_upstream() {
    let sandbox = sandbox().await;
    let owner = sandbox.url().replace("http://", "").replace('/', "");
    let folder = left_by_a_relay(&sandbox.url()).await;
    let commands: [&[&str]; 6] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["sync", "--until-current"],
        &["cache", "ls"],
        &["cache", "purge", "--all"],
        &["cache", "gc"],
        &["cache", "verify"],
    ];
    for command in commands {
        assert_refused(&cheesewire(folder.path(), OTHER, command).await, &owner, command[0]);
    }
    let serving = Process::start(folder.path(), &sandbox.url(), &["follow.enabled=false"]).await;
    for command in &commands[2..] {
        let output = cheesewire(folder.path(), OTHER, command).await;
        assert_refused(&output, &owner, "beside a running relay");
    }
    serving.kill().await;
    // A command that names no upstream has none.
    let named_none = run(Command::new(BINARY).args(["cache", "ls", "--data"]).arg(folder.path())).await;
    assert!(named_none.status.success(), "{}", text(&named_none.stderr));
    // Its own is at home under every spelling.
    for spelling in [format!("http://user:secret@{owner}/simple/"), format!("HTTP://{owner}/a/..//simple")] {
        let output = cheesewire(folder.path(), &spelling, &["cache", "verify"]).await;
        assert!(output.status.success(), "{spelling}: {}", text(&output.stderr));
        Process::start(folder.path(), &spelling, &["follow.enabled=false"]).await.kill().await;
    }
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(memchr::memmem::find(&bytes, b"secret"), None, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn the_index_of_pip_is_found_out_before_it_is_compared() {
    let sandbox = sandbox().await;
    let folder = left_by_a_relay(&sandbox.url()).await;
    let bin = tempfile::tempdir().unwrap();
    let pip = |index: &str| {
        let path = bin.path().join("python3");
        let script = format!("#!/bin/sh\necho \"global.index-url='{index}'\"\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mut command = Command::new(BINARY);
    command.env("PATH", bin.path()).args(["cache", "ls", "--upstream", "pip", "--data"]).arg(folder.path());
    pip(OTHER);
    let owner = sandbox.url().replace("http://", "").replace('/', "");
    assert_refused(&run(&mut command).await, &owner, "another of pip's");
    pip(&format!("{}simple", sandbox.url()));
    let output = run(&mut command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_moved_upstream_is_adopted_offline_and_then_served() {
    let sandbox = sandbox().await;
    let owner = sandbox.url().replace("http://", "").replace('/', "");
    let folder = left_by_a_relay(&sandbox.url()).await;
    // It takes the journal's lock, so no running relay can be left with the old address.
    let serving = Process::start(folder.path(), &sandbox.url(), &["follow.enabled=false"]).await;
    let output = cheesewire(folder.path(), OTHER, &["adopt"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("in use by another process"), "{}", text(&output.stderr));
    serving.kill().await;

    let output = cheesewire(folder.path(), OTHER, &["adopt"]).await;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.contains(&format!("belonged to {owner}, and belongs to other.test/Simple now")), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let output = cheesewire(folder.path(), OTHER, &["adopt"]).await;
    assert!(text(&output.stdout).contains("already; nothing was changed"), "{}", text(&output.stdout));
    Process::start(folder.path(), OTHER, &["follow.enabled=false"]).await.kill().await;
    let output = cheesewire(folder.path(), &sandbox.url(), &["sync", "--until-current"]).await;
    assert_eq!(output.status.code(), Some(64), "the old address is another upstream now");
}

#[tokio::test]
async fn nothing_is_adopted_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = cheesewire(folder.path(), OTHER, &["adopt"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no journal in"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let output = run(Command::new(BINARY).args(["adopt", "--data"]).arg(folder.path())).await;
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
}

/// An index of one project with one file, whose page always has the same validator and a relative link.
async fn index_with(file: &'static [u8]) -> String {
    let digest = hex::encode(sha2::Sha256::digest(file));
    let page = format!("<a href=\"../../packages/aa/a-1.zip#sha256={digest}\">a-1.zip</a>");
    let answer = move |headers: HeaderMap| async move {
        if headers.contains_key("if-none-match") {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        ([("content-type", "text/html"), ("etag", "\"same\"")], page).into_response()
    };
    let routes = Router::new().route("/simple/a/", on_get(answer));
    scripted::serve(routes.route("/packages/aa/a-1.zip", on_get(move || async move { file }))).await.into()
}

#[tokio::test]
async fn files_left_of_another_upstream_are_not_given_out_as_this_ones() {
    let (one, other) = (index_with(b"of the one").await, index_with(b"of the other").await);
    let relay = Relay::start(&one, &["follow.enabled=false"]).await;
    assert_eq!(get(&format!("{}packages/aa/a-1.zip", relay.url)).await.bytes(), b"of the one");
    let folder = relay.stop().await;
    for file in ["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"] {
        // The log may be gone with its last reader.
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    let relay = Relay::start_in(folder, &other, &["follow.enabled=false"]).await;
    assert_eq!(get(&format!("{}packages/aa/a-1.zip", relay.url)).await.bytes(), b"of the other");
}

#[tokio::test]
async fn after_a_move_pages_are_asked_for_whole_since_old_validators_say_nothing() {
    let (one, other) = (index_with(b"of the one").await, index_with(b"moved").await);
    let at_once = ["follow.enabled=false", "index.page_max_age=1ms"];
    let relay = Relay::start(&one, &at_once).await;
    get(&format!("{}simple/a/", relay.url)).await;
    let folder = relay.stop().await;
    assert!(cheesewire(folder.path(), &other, &["adopt"]).await.status.success());
    let relay = Relay::start_in(folder, &other, &at_once).await;
    get(&format!("{}simple/a/", relay.url)).await;
    assert_eq!(get(&format!("{}packages/aa/a-1.zip", relay.url)).await.bytes(), b"moved");
}
