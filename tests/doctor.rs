//! `cheesewire doctor`: what it says of upstreams of each kind, and its exit code.

mod kinds;

use std::path::Path;
use std::process::Output;

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, XmlRpc};
use tokio::process::Command;

use crate::support::process::BINARY;
use crate::support::{sandbox, within};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const TOP: [&str; 2] = ["--project", "wire-top"];

/// How fast the machine is decides nothing.
const SETTINGS: [&str; 4] =
    ["upstream.calls_per_second=1000", "upstream.retries=0", "index.deadline=10m", "rpc.deadline=10m"];

async fn cheesewire(command: &str, upstream: &str, folder: &Path, args: &[&str]) -> Output {
    let mut process = Command::new(BINARY);
    process.args([command, "--upstream", upstream, "--data"]).arg(folder);
    for setting in SETTINGS {
        process.args(["--set", setting]);
    }
    // Of two settings of one key the later one counts.
    within("it does not end", process.args(args).kill_on_drop(true).output()).await.unwrap()
}

async fn doctor(upstream: &str, args: &[&str]) -> Output {
    cheesewire("doctor", upstream, tempfile::tempdir().unwrap().path(), args).await
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The exit code, and the checks with the grade of the verdict.
async fn verdict(upstream: &str, args: &[&str]) -> (i32, Vec<String>) {
    let output = doctor(upstream, &[&["--json"], args].concat()).await;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(text(&output.stderr), "", "the verdict is in the JSON");
    let grade = &said["verdict"]["grade"];
    let rows = said["findings"].as_array().unwrap().iter().filter(|row| row["grade"] == *grade);
    (output.status.code().unwrap(), rows.map(|row| row["check"].as_str().unwrap().to_owned()).collect())
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Effect {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Effect::Answer { status, headers, body: body.to_owned() }
}

fn page(content_type: &str, body: &str) -> Effect {
    answer(200, &[("content-type", content_type)], body)
}

fn status(route: Route, code: u16) -> Fault {
    Fault::on(route, Effect::Status { code })
}

fn listing(projects: usize) -> String {
    let rows: Vec<String> = (0..projects).map(|n| format!(r#"{{"name":"name-{n}"}}"#)).collect();
    format!(r#"{{"meta":{{"api-version":"1.1"}},"projects":[{}]}}"#, rows.join(","))
}

/// A sandbox with these faults.
async fn faulty(faults: impl IntoIterator<Item = Fault>) -> Sandbox {
    let sandbox = sandbox().await;
    for fault in faults {
        sandbox.faults().add(fault).unwrap();
    }
    sandbox
}

/// Without serials, each page of a larger index would have to be asked for to find what has changed.
#[tokio::test]
async fn a_large_index_without_serials_has_no_changelog_unless_the_settings_say_so() {
    let sandbox = faulty([Fault::on(Route::Listing, page(JSON, &listing(501)))]).await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let less = vec!["changelog_last_serial".to_owned()];
    assert_eq!(verdict(&sandbox.url(), &TOP).await, (1, less.clone()));
    let more = [&TOP[..], &["--set", "follow.small_index=501"]].concat();
    assert_eq!(verdict(&sandbox.url(), &more).await.0, 0);
    // Of a long listing only all of it tells how many there are.
    let long = faulty([Fault::on(Route::Listing, page(JSON, &listing(20_000)))]).await;
    long.set_xmlrpc(XmlRpc::Status(405));
    let many = [&TOP[..], &["--set", "follow.small_index=15000"]].concat();
    assert_eq!(verdict(&long.url(), &many).await.0, 0);
    assert_eq!(verdict(&long.url(), &[&many[..], &["--full"]].concat()).await, (1, less.clone()));
    // Pages are compared by who follows.
    let alone = [&more[..], &["--set", "follow.enabled=false"]].concat();
    assert_eq!(verdict(&sandbox.url(), &alone).await, (1, less));
}

#[tokio::test]
async fn where_events_come_from_is_judged_by_the_setting() {
    let sandbox = sandbox().await;
    let from = |source: &'static str| ["--project", "wire-top", "--set", source];
    // It has serials.
    assert_eq!(verdict(&sandbox.url(), &from("follow.source=listings")).await.0, 0);
    assert_eq!(sandbox.requests().route(Route::Rpc), 0, "what is never called is not called");
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    assert_eq!(verdict(&sandbox.url(), &from("follow.source=auto")).await.0, 0);
    let less = vec!["changelog_last_serial".to_owned()];
    assert_eq!(verdict(&sandbox.url(), &from("follow.source=changelog")).await, (1, less));
    sandbox.faults().add(Fault::on(Route::Listing, page(JSON, &listing(501)))).unwrap();
    let less = vec!["changelog".to_owned()];
    assert_eq!(verdict(&sandbox.url(), &from("follow.source=listings")).await, (1, less));
}

#[tokio::test]
async fn what_clients_do_not_get_is_named_with_exit_code_1_or_2() {
    let (less, unfit) = (1, 2);
    for (fault, code, check) in [
        (status(Route::Rpc, 503), less, "changelog_last_serial"),
        (Fault::on(Route::Listing, page("text/html", "<title>Welcome</title>")), less, "listing"),
        (status(Route::Listing, 401), less, "listing"),
        (status(Route::Page, 404), less, "project page"),
        (status(Route::Page, 429), less, "project page"),
        (status(Route::Page, 403), unfit, "project page"),
        (status(Route::Page, 500), unfit, "project page"),
        (Fault::on(Route::Page, page(JSON, "{\"name\":")), unfit, "project page"),
        (Fault::on(Route::Page, Effect::Reset), unfit, "project page"),
        (status(Route::Json, 500), less, "JSON API"),
        (Fault::on(Route::Json, page("text/html", "<title>Welcome</title>")), less, "JSON API"),
        (status(Route::File, 404), less, "ranges"),
        (status(Route::File, 403), unfit, "ranges"),
    ] {
        let sandbox = faulty([fault.clone()]).await;
        let (found, checks) = verdict(&sandbox.url(), &TOP).await;
        assert_eq!(found, code, "{fault:?}: {checks:?}");
        assert!(checks.iter().any(|found| found == check), "{fault:?}: {checks:?}");
    }
}

#[tokio::test]
async fn files_without_a_digest_are_less() {
    let sandbox = sandbox().await;
    let project = sandbox.project("wire-top").unwrap();
    let file = &project.releases[0].files[0].file;
    for (fragment, code, check) in [
        (format!("#sha256={}", "0".repeat(64)), 0, None),
        (format!("#sha512={}", "0".repeat(128)), 0, None),
        (format!("#md5={}", "0".repeat(32)), 0, Some("digests of files")),
        (String::new(), 1, Some("digests of files")),
        // No digest, and no bytes are right.
        ("#sha256=none".to_owned(), 1, Some("digests of files")),
    ] {
        let link = format!("<a href=\"{}{fragment}\">{}</a>", sandbox.file_url(file), file.filename);
        sandbox.faults().clear();
        sandbox.faults().add(Fault::on(Route::Page, page("text/html", &link))).unwrap();
        let (found, checks) = verdict(&sandbox.url(), &TOP).await;
        assert_eq!(found, code, "{fragment}: {checks:?}");
        let named = checks.iter().any(|check| check == "digests of files");
        assert_eq!(named, check.is_some(), "{fragment}: {checks:?}");
        // It is that alone which makes it less.
        assert!(code == 0 || checks.len() == 1, "{fragment}: {checks:?}");
    }
}

/// A copy's date and age together tell the time of now: `upstream::probe::tests`.
#[tokio::test]
async fn a_clock_that_is_off_is_less() {
    for (headers, code) in [
        (vec![], 0),
        (vec![("date", "Thu, 01 Jan 2026 00:00:00 GMT")], 1),
        (vec![("date", "Fri, 01 Jan 2106 00:00:00 GMT")], 1),
        (vec![("age", "3600")], 1),
    ] {
        let headers = [vec![("content-type", JSON)], headers].concat();
        let sandbox = faulty([Fault::on(Route::Listing, answer(200, &headers, &listing(1)))]).await;
        let (found, checks) = verdict(&sandbox.url(), &TOP).await;
        assert_eq!(found, code, "{headers:?}: {checks:?}");
        assert!(code == 0 || checks == ["clock"], "{headers:?}: {checks:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_a_wrong_setting_and_nothing_is_asked() {
    let sandbox = sandbox().await;
    let output = doctor(&sandbox.url(), &["--project", "-"]).await;
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stdout));
    assert_eq!(sandbox.requests().total(), 0);
}

#[tokio::test]
async fn an_upstream_that_nobody_used_yet_makes_no_data_folder() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    let output = cheesewire("doctor", &sandbox.url(), &data, &TOP).await;
    assert!(output.status.success() && !data.exists(), "{}", text(&output.stdout));
    assert!(!text(&output.stdout).contains("data folder"), "{}", text(&output.stdout));
}
