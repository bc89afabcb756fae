//! Subcommands that work beside the relay: `sync` and `doctor`.

use std::path::Path;
use std::process::Output;

use axum::http::StatusCode;
use axum::{Router, routing};
use cheesewire::journal::{Journal, JournalSettings};
use cheesewire::model::Serial;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, XmlRpc};
use tokio::process::Command;

use crate::support::process::BINARY;
use crate::support::{Relay, sandbox, scripted, within};

async fn cheesewire(sandbox: &Sandbox, folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(args).args([
        "--upstream",
        &sandbox.url(),
        "--set",
        "upstream.calls_per_second=1000",
        "--data",
    ]);
    let output = command.arg(folder).kill_on_drop(true).output();
    within("it does not end", output).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn sync_fills_the_journal_and_ends() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let all = sandbox.events_after(Serial(0), 1_000_000);
    let args = ["sync", "--history", "all", "--until-current"];
    for events in [all.len(), 0] {
        let output = cheesewire(&sandbox, folder.path(), &args).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout).replace(',', "");
        assert!(said.starts_with(&format!("{events} events in ")), "{said}");
        assert!(said.contains(&format!("last serial {}", sandbox.last_serial())), "{said}");
    }
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    assert_eq!(journal.oldest_gap(sandbox.last_serial()).await.unwrap(), None);
}

#[tokio::test]
async fn sync_says_that_history_cannot_be_had_without_xml_rpc() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let output = cheesewire(&sandbox, folder.path(), &["sync", "--history", "all", "--until-current"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no XML-RPC"), "{}", text(&output.stderr));
    let output = cheesewire(&sandbox, folder.path(), &["sync", "--until-current"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn sync_gives_an_upstream_up_that_gives_nothing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    sandbox.pause().await.unwrap();
    let args = ["sync", "--until-current", "--patience", "1s"];
    let output = cheesewire(&sandbox, folder.path(), &args).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("nothing came from upstream for 1s: upstream cannot be reached"), "{said}");
}

#[tokio::test]
async fn sync_gives_history_up_that_does_not_come_though_polls_go_on() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let refused = Fault::on(Route::Rpc, Effect::Status { code: 500 }).path("changelog_since_serial");
    sandbox.faults().add(refused).unwrap();
    let polls = ["--set", "follow.interval=100ms"];
    let args = ["sync", "--history", "all", "--until-current", "--patience", "2s"];
    let output = cheesewire(&sandbox, folder.path(), &[&args[..], &polls].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("nothing came from upstream for 2s: upstream answered 500"), "{said}");
}

#[tokio::test]
async fn a_wrong_setting_is_told_apart_from_a_failure_by_every_command() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    for command in ["serve", "sync", "doctor"] {
        let output = cheesewire(&sandbox, folder.path(), &[command, "--set", "relay.window=0"]).await;
        assert_eq!(output.status.code(), Some(64), "{command}");
        assert!(text(&output.stderr).contains("relay.window = \"0\""), "{}", text(&output.stderr));
    }
    let demo = Command::new(BINARY).args(["demo", "--listen", "here"]).kill_on_drop(true).output();
    let demo = within("it does not end", demo).await.unwrap();
    assert_eq!(demo.status.code(), Some(64), "{}", text(&demo.stderr));
}

#[tokio::test]
async fn doctor_takes_no_other_page_for_an_index() {
    let page = "<!DOCTYPE html><title>Welcome</title><a href=\"https://else.test/\">Elsewhere</a>";
    for (page, relay) in [
        (page, "this is no list of projects: pages are served if they are there"),
        ("<a href=\"wire-top/\">wire-top</a>", "HTML is read; it has no serials"),
    ] {
        let sandbox = sandbox().await;
        let headers = [("content-type".to_owned(), "text/html".to_owned())].into();
        let answer = Effect::Answer { status: 200, headers, body: page.to_owned() };
        sandbox.faults().add(Fault::on(Route::Listing, answer)).unwrap();
        let found = findings(&sandbox, &[]).await;
        assert!(found["listing"].1.starts_with(relay), "{}", found["listing"].1);
    }
}

#[tokio::test]
async fn doctor_says_when_serials_say_nothing_and_what_the_relay_does_then() {
    for (rows, good, relay) in [
        (r#"{"name":"a"},{"name":"b"}"#, false, "up to 500 projects (follow.small_index)"),
        (
            r#"{"name":"a","_last-serial":7},{"_last-serial" : 7,"name":"b"}"#,
            false,
            "changes are found by content",
        ),
        (r#"{"name":"a","_last-serial":7}"#, true, "listings are compared"),
        (r#"{"name":"a","_last-serial":7},{"name":"b","_last-serial":8}"#, true, "listings are compared"),
    ] {
        let sandbox = sandbox().await;
        let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
        let body = format!(r#"{{"projects":[{rows}],"meta":{{"api-version":"1.1","_last-serial":9}}}}"#);
        let answer = Effect::Answer { status: 200, headers, body };
        sandbox.faults().add(Fault::on(Route::Listing, answer)).unwrap();
        let found = &findings(&sandbox, &[]).await["serials in the listing"];
        assert_eq!(found.0, good, "{rows}");
        assert!(found.1.contains(relay), "{}", found.1);
    }
}

/// The findings by check: whether good, and the relay's word.
async fn findings(sandbox: &Sandbox, args: &[&str]) -> std::collections::BTreeMap<String, (bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let output = cheesewire(sandbox, folder.path(), &[&["doctor", "--json"], args].concat()).await;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |row: &serde_json::Value| {
        let word = |key: &str| row[key].as_str().unwrap().to_owned();
        (word("check"), (row["grade"] == "good", word("relay")))
    };
    said["findings"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn doctor_finds_what_lives_with_few_requests() {
    let sandbox = sandbox().await;
    let found = findings(&sandbox, &["--project", "wire-top"]).await;
    let good = |check: &str| found.get(check).unwrap_or_else(|| panic!("{check}: {found:?}")).0;
    for check in [
        "listing",
        "serials in the listing",
        "clock",
        "changelog_last_serial",
        "changelog_since_serial",
        "project page",
        "JSON API",
        "metadata",
        "digests of files",
        "ranges",
    ] {
        assert!(good(check), "{check}: {found:?}");
    }
    assert!(!good("package_releases") && !found.contains_key("list_packages_with_serial"));
    assert!(sandbox.requests().total() <= 10, "{}", sandbox.requests().total());
    assert_eq!(sandbox.requests().route(Route::Listing), 1);
    let full = findings(&sandbox, &["--project", "wire-top", "--full"]).await;
    assert!(full["list_packages_with_serial"].0 && full["the whole listing"].0);
}

#[tokio::test]
async fn doctor_says_what_the_relay_does_without_xml_rpc() {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let found = findings(&sandbox, &[]).await;
    let (good, relay) = &found["changelog_last_serial"];
    assert!(!good && relay.contains("listings are compared every 10m"), "{relay}");
    assert_eq!(sandbox.requests().route(Route::Rpc), 1, "what is not there is asked for once");
    let folder = tempfile::tempdir().unwrap();
    let output = cheesewire(&sandbox, folder.path(), &["doctor"]).await;
    assert!(text(&output.stdout).contains("-- changelog_last_serial: upstream answered 405"));
}

/// What `health` says of a relay at this address, and its exit code.
async fn health(server: &str) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(["health", "--server", server]).kill_on_drop(true).output();
    let output = within("it does not end", output).await.unwrap();
    assert_eq!(text(&output.stdout), "");
    (output.status.code(), text(&output.stderr).to_owned())
}

#[tokio::test]
async fn health_tells_by_its_exit_code_whether_requests_are_taken_and_why_not() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    assert_eq!(health(&relay.url).await, (Some(0), String::new()));
    // With the address of the index too, as configurations of clients have it.
    assert_eq!(health(&format!("{}simple/", relay.url)).await.0, Some(0));
    let json = [("content-type", "application/json")];
    let reasons = r#"{"ready":false,"unready":["following has ended","the relay stops"],"more":{}}"#;
    for (status, kind, body, said) in [
        (503, json, reasons, "following has ended; the relay stops"),
        // A proxy before a relay that is down, and another server.
        (503, [("content-type", "text/html")], "<h1>Down</h1>", "the relay answered 503"),
        (503, [("content-type", "text/html")], reasons, "the relay answered 503"),
        (503, json, r#"{"unready":[]}"#, "503 and no reason"),
        (200, json, "{}", "no JSON"),
        (200, json, "[", "no JSON"),
        (404, json, "{}", "the relay answered 404"),
    ] {
        let answer = (StatusCode::from_u16(status).unwrap(), kind, body);
        let server =
            scripted::serve(Router::new().route("/readyz", routing::get(move || async move { answer })))
                .await;
        let (code, complaint) = health(&server.to_string().replace("http://", "http://u:secret@")).await;
        assert_eq!(code, Some(1), "{body}: {complaint}");
        assert!(complaint.contains(said) && !complaint.contains("secret"), "{body}: {complaint}");
    }
    // Nobody listens there.
    let (code, complaint) = health("http://127.0.0.1:1/").await;
    assert!(code == Some(1) && complaint.contains("http://127.0.0.1:1/"), "{complaint}");
}

async fn call(server: &str, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    let output = command.args(["call", "--server", server]).args(args).kill_on_drop(true).output();
    within("it does not end", output).await.unwrap()
}

#[tokio::test]
async fn call_prints_an_answer_as_json_and_a_fault_as_an_error() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let output = call(&relay.url, &["changelog_last_serial"]).await;
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        (&*format!("{}\n", sandbox.last_serial()), Some(0))
    );
    // A version is a text, the address may be that of calls, and a date is one.
    let output = call(&format!("{}pypi", relay.url), &["release_urls", "wire-top", "2.0"]).await;
    let files: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        files[0]["upload_time"].as_str().unwrap().contains('T') && files[0]["has_sig"] == false,
        "{files}"
    );
    let output = call(&relay.url, &["changelog_since_serial", "0", "1"]).await;
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert!(rows[0][1].is_null() && rows[0][4].is_i64(), "{rows}");
    let output = call(&relay.url, &["changelog_since_serial", "many"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("fault -32602: client error; serial: Input should be a valid integer"), "{said}");
    assert!(!said.contains(&relay.url), "a fault is the relay's word and stands alone: {said}");
}

#[tokio::test]
async fn call_says_which_relay_gives_no_answer() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let output = call(&format!("http://user:s3cr3t@{address}/"), &["list_packages"]).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!("http://***@{address}/: list_packages: the relay cannot be reached: ");
    assert!(said.contains(&expected) && !said.contains("upstream") && !said.contains("s3cr3t"), "{said}");
}
