//! The file of tokens: made by a command, read by a relay, and what is wrong with one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use cheesewire::tokens::{FILE, Scope};
use tokio::process::Command;

use super::{QUICK, add, ask, closed};
use crate::support::process::{BINARY, Process};
use crate::support::{get, sandbox, until, within};

/// What the command prints, what it complains of, and its exit code.
async fn cheesewire(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data").arg(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("it does not end", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_command_adds_lists_and_revokes_and_a_relay_takes_each_up_as_it_runs() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let (data, other) = (folder.path().join("data"), folder.path().join("other.toml"));
    let set = format!("auth.tokens={}", other.display());
    let relay = Process::start(&data, &sandbox.url(), &[QUICK, &set]).await;
    let page = format!("{}simple/wire-top/", relay.url);
    assert_eq!(get(&page).await.status, 200);
    let (code, none, _) = cheesewire(&["token", "list", "--set", &set], &data).await;
    assert!(code == Some(0) && none.contains("no file of tokens"), "{none}");
    let (code, printed, said) =
        cheesewire(&["token", "add", "ci", "--scope", "read", "--rate", "100", "--set", &set], &data).await;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let token = printed.trim();
    assert!(token.len() == 46 && token.starts_with("cw_") && printed.ends_with('\n'), "{printed}");
    until("it stays open", async || get(&page).await.status == 401).await;
    let shown = format!("Bearer {token}");
    assert_eq!(ask("GET", &page, Some(&shown)).await.status, 200);
    let (code, listed, _) = cheesewire(&["token", "list", "--set", &set], &data).await;
    let line: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(code == Some(0) && line[..3] == ["ci", "read", "100/s"], "{listed}");
    assert!(!listed.contains(&token[3..]) && listed.lines().all(|line| line.len() <= 80), "{listed}");
    for (arguments, code, told) in [
        (&["token", "add", "ci", "--scope", "read"][..], 1, "there is a token ci already"),
        (&["token", "revoke", "nobody"], 1, "there is no token nobody"),
        (&["token", "add", "a/b", "--scope", "admin"], 64, "1 to 64 letters"),
        (&["token", "add", "b", "--scope", "root"], 64, "[possible values: read, admin]"),
        (&["token", "add", "b", "--scope", "read", "--rate", "0"], 64, "a token's rate"),
    ] {
        let (found, _, said) = cheesewire(&[arguments, &["--set", &set]].concat(), &data).await;
        assert!(found == Some(code) && said.contains(told), "{arguments:?}: {found:?} {said}");
    }
    let (code, ..) = cheesewire(&["token", "revoke", "ci", "--set", &set], &data).await;
    assert_eq!(code, Some(0));
    until("it is still let in", async || ask("GET", &page, Some(&shown)).await.status == 401).await;
    assert_eq!(get(&page).await.status, 401, "the last token's end opens nothing");
}

#[tokio::test]
async fn a_start_with_a_file_that_is_no_good_is_refused_and_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let start = ["serve", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9/"];
    add(folder.path(), "ci", Scope::Read);
    for mode in [0o644, 0o640, 0o606, 0o660] {
        chmod(&path, mode);
        for arguments in [&start[..], &["token", "list"], &["token", "revoke", "ci"]] {
            let (code, _, said) = cheesewire(arguments, folder.path()).await;
            let told = format!("is open to others (mode {mode:04o}): chmod 600 it");
            assert!(said.contains(&told) && said.contains(path.to_str().unwrap()), "{arguments:?}: {said}");
            assert_eq!(code, Some(if arguments == start { 64 } else { 1 }), "{arguments:?}");
        }
    }
    chmod(&path, 0o600);
    let good = std::fs::read_to_string(&path).unwrap();
    for (text, told) in [
        (good[..good.len() - 20].to_owned(), "is damaged at line"),
        (good.replace("scope", "scop"), "is damaged at line"),
        ("\0".to_owned(), "is damaged at line 1"),
        ("x".repeat(2 << 20), "is too large"),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, _, said) = cheesewire(&start, folder.path()).await;
        assert!(code == Some(64) && said.contains(told), "{told}: {code:?} {said}");
    }
}

#[tokio::test]
async fn a_file_that_goes_bad_is_told_of_and_what_was_read_before_stays() {
    let (_sandbox, relay, read, _) = closed(&[]).await;
    let (path, page) = (relay.folder().join(FILE), format!("{}simple/", relay.url));
    let complaint = async || {
        let told = get(&format!("{}readyz", relay.url)).await;
        assert_eq!(told.status, 200);
        told.json()["tokens"]["complaint"].clone()
    };
    let good = std::fs::read_to_string(&path).unwrap();
    assert!(complaint().await.is_null());
    let says = async |told: &str| {
        until(told, async || complaint().await.as_str().is_some_and(|text| text.contains(told))).await;
        assert_eq!(ask("GET", &page, Some(&read)).await.status, 200, "{told}");
        assert_eq!(ask("GET", &page, None).await.status, 401, "{told}");
        assert!(!complaint().await.to_string().contains(relay.folder().to_str().unwrap()));
    };
    chmod(&path, 0o644);
    says("chmod 600").await;
    std::fs::remove_file(&path).unwrap();
    says("is gone: put it back").await;
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    chmod(&path, 0o600);
    says("is damaged").await;
    std::fs::write(&path, &good).unwrap();
    until("it still complains", async || complaint().await.is_null()).await;
    assert_eq!(ask("GET", &page, Some(&read)).await.status, 200);
}

#[tokio::test]
async fn sighup_has_it_read_at_once_and_a_start_for_a_network_without_it_is_warned_of() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let open = ["auth.interval=1h", "http.listen=0.0.0.0:0"];
    let mut command = Command::new(BINARY);
    command.args(["serve", "--upstream", &sandbox.url(), "--data"]).arg(folder.path().join("other"));
    command
        .args(["--set", open[1], "--set", "signing.enabled=false"])
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stderr.take().unwrap()));
    let warned = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("listens without TLS and tokens") {
                return true;
            }
        }
        false
    };
    assert!(within("it says nothing", warned).await);
    child.kill().await.unwrap();
    let data = folder.path().join("data");
    let relay = Process::start(&data, &sandbox.url(), &open[..1]).await;
    let page = format!("{}simple/", relay.url);
    add(&data, "ci", Scope::Read);
    assert_eq!(get(&page).await.status, 200);
    relay.signal("-HUP");
    until("it stays open", async || get(&page).await.status == 401).await;
}

#[tokio::test]
async fn required_always_lets_nobody_in_without_a_file_and_never_asks_readers_for_none() {
    let sandbox = sandbox().await;
    for (required, status) in [("always", 401), ("never", 200), ("auto", 200)] {
        let setting = format!("auth.required={required}");
        let relay = crate::support::Relay::start(&sandbox.url(), &[&setting, QUICK]).await;
        let page = format!("{}simple/", relay.url);
        assert_eq!(get(&page).await.status, status, "{required}");
        let token = format!("Bearer {}", add(relay.folder(), "ci", Scope::Read));
        let closed = if required == "never" { 200 } else { 401 };
        until("it is not read", async || ask("GET", &page, Some("Bearer wrong")).await.status == 401).await;
        // Where one is always needed, a wrong one was refused before too.
        until("it is not let in", async || ask("GET", &page, Some(&token)).await.status == 200).await;
        assert_eq!(get(&page).await.status, closed, "{required}");
    }
}
