//! An upstream without XML-RPC: what its listings and pages tell.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as route;
use cheesewire::follow::{FollowSettings, Source};
use cheesewire::journal::{JournalSettings, Project, Want};
use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{
    Change, Effect, Fault, Publication, Role, Route, Sandbox, SandboxSettings, XmlRpc,
};
use futures_util::TryStreamExt as _;
use serde_json::json;
use url::Url;

use super::{Following, on_demand, polling, within};
use crate::support::sandbox;
use crate::support::scripted::serve;

const CHANGELOG: &str = "changelog_since_serial";

pub(super) fn comparing() -> FollowSettings {
    FollowSettings { listing_interval: Duration::from_millis(5), ..polling() }
}

pub(super) async fn without_calls(mode: XmlRpc) -> Sandbox {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(mode);
    sandbox
}

/// What has to agree with upstream's own events: all but the serials before a project's last and the times of what
/// pages do not date.
pub(super) fn told(events: &[Event]) -> Vec<(String, Option<String>, String)> {
    events.iter().map(|event| (event.name.clone(), event.version.clone(), event.action.clone())).collect()
}

/// The pages of the small index have been looked at: the first comparison comes after that.
pub(super) async fn sighted(sandbox: &Sandbox) {
    let compared = async {
        while sandbox.requests().route(Route::Listing) < 2 {
            tokio::task::yield_now().await;
        }
    };
    within(compared).await;
}

/// A page or listing that says something else.
fn answer_json(sandbox: &Sandbox, route: Route, path: &str, body: &serde_json::Value) {
    let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
    let answer = Effect::Answer { status: 200, headers, body: body.to_string() };
    sandbox.faults().add(Fault::on(route, answer).path(path)).unwrap();
}

/// The index, at `head`, has one project more, listed with `serial`, whose page says this.
pub(super) async fn show_project(
    sandbox: &Sandbox,
    head: i64,
    name: &str,
    serial: i64,
    page: &serde_json::Value,
) {
    let mut projects: Vec<_> = (sandbox.listed().iter())
        .map(|project| json!({"name": project.name, "_last-serial": project.last_serial}))
        .collect();
    projects.push(json!({"name": name, "_last-serial": serial}));
    let listing = json!({"meta": {"api-version": "1.4", "_last-serial": head}, "projects": projects});
    // Nobody may see what is between the two.
    sandbox.pause().await.unwrap();
    sandbox.faults().clear();
    answer_json(sandbox, Route::Page, &format!("/simple/{name}/"), page);
    answer_json(sandbox, Route::Listing, "/simple/", &listing);
    sandbox.resume().await.unwrap();
}

pub(super) fn release(name: &str, version: &str) -> Change {
    Change::Publish(Publication::new(name, version).into())
}

#[tokio::test]
async fn every_kind_of_change_is_told_in_upstreams_own_words() {
    for mode in [XmlRpc::Status(405), XmlRpc::Status(404), XmlRpc::Removed] {
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(mode).await);
        let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
        following.reaches(sandbox.last_serial()).await;
        sighted(&sandbox).await;
        following.status(|status| status.listings).await;
        let name = || "Brand_New".to_owned();
        let version = || "2.0".to_owned();
        let mut newest = 1_700_000_000;
        let wheel = Publication { files: vec!["py3-none-any".to_owned()], ..Publication::new(name(), "3.0") };
        let sdist = Publication { files: vec!["sdist".to_owned()], ..Publication::new(name(), "3.0") };
        let changes = [
            release("Brand_New", "1.0"),
            release("Brand_New", "2.0"),
            Change::Publish(wheel.into()),
            Change::Publish(sdist.into()),
            Change::Yank { name: name(), version: version(), reason: Some(String::new()) },
            Change::Yank { name: name(), version: version(), reason: None },
            Change::Quarantine { name: name(), version: None, cleared: false },
            Change::Quarantine { name: name(), version: None, cleared: true },
            Change::RemoveFile { name: name(), filename: "brand_new-2.0.tar.gz".to_owned() },
            Change::RemoveRelease { name: name(), version: version() },
            // A project that was there before the first listing.
            release("wire-top", "77.0"),
            Change::RemoveProject { name: name() },
        ];
        for change in changes {
            let said = format!("{change:?}");
            let before = sandbox.last_serial();
            let serial = sandbox.change(change).await.unwrap();
            following.reaches(serial).await;
            let (derived, own) = (following.since(before).await, sandbox.events_after(before, 100));
            assert_eq!(told(&derived), told(&own), "{said}");
            assert_eq!(derived.last().unwrap().serial, serial, "{said}");
            // The sandbox's files are years old: what a comparison finds is news since the one before all the same.
            assert!(derived.iter().all(|event| event.time >= newest), "{said}");
            newest = derived.iter().map(|event| event.time).max().unwrap();
        }
        let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
        let expected: Vec<Project> = (sandbox.listed().iter())
            .map(|project| Project { spelling: project.name.clone(), serial: Some(project.last_serial) })
            .collect();
        assert_eq!(rows, expected);
    }
}

#[tokio::test]
async fn what_no_page_shows_is_one_row_that_says_look_again() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    let role = Role { role: "Owner".to_owned(), user: "carol".to_owned() };
    let serial = sandbox.change(Change::AddRole { name: "wire-top".to_owned(), role }).await.unwrap();
    following.reaches(serial).await;
    let events = following.since(before).await;
    assert_eq!(told(&events), [("wire-top".to_owned(), None, "docupdate".to_owned())]);
    assert_eq!(events[0].serial, serial);
}

#[tokio::test]
async fn the_first_listing_is_the_baseline_and_no_history_is_invented() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    following.status(|status| status.listings).await;
    assert!(following.since(head).await.is_empty());
    let asked = sandbox.requests().route(Route::Rpc);
    let error = following.journal.want(Want::Since(Serial(head.0 - 10))).done().await.unwrap_err();
    assert!(error.reason.contains("no XML-RPC") && error.retry > Some(Duration::from_hours(23)), "{error:?}");
    assert_eq!(sandbox.requests().route(Route::Rpc), asked, "what cannot be had is not asked for");
}

#[tokio::test]
async fn many_changes_at_once_are_all_told_with_serials_of_their_own() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Removed).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    following.stop().await;
    for version in 0..130 {
        // Two projects that take turns, and many that come once.
        for name in ["wire-top".to_owned(), "Other_One".to_owned(), format!("single-{version}")] {
            sandbox.change(release(&name, &format!("{}.9", 1000 + version))).await.unwrap();
        }
    }
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    following.reaches(sandbox.last_serial()).await;
    // As a client that loops on its last serial.
    let (mut all, mut last): (Vec<Event>, Serial) = (vec![], before);
    loop {
        let events = following.since(last).await;
        let Some(event) = events.last() else { break };
        last = event.serial;
        all.extend(events);
    }
    assert!(all.windows(2).all(|pair| pair[0].serial < pair[1].serial));
    let sorted = |events: &[Event]| {
        let mut rows = told(events);
        rows.sort();
        rows
    };
    assert!(sorted(&all) == sorted(&sandbox.events_after(before, 10_000)), "{} events", all.len());
    for project in sandbox.projects().iter().filter(|project| project.last_serial > before) {
        let own = all.iter().rev().find(|event| event.name == project.name).unwrap();
        assert_eq!(own.serial, project.last_serial, "{}", project.name);
    }
}

#[tokio::test]
async fn of_a_large_index_a_first_change_is_told_from_what_a_client_saw() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let settings = || FollowSettings { small_index: 3, ..comparing() };
    let following = Following::start(folder.path(), &sandbox, settings()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    assert_eq!(sandbox.requests().route(Route::Page), 0);
    // Nobody ever saw its page, and it has no upload later than the listing: all that is known is that it changed.
    let serial = sandbox.change(release("wire-top", "77.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(told(&following.since(before).await), [("wire-top".to_owned(), None, "docupdate".to_owned())]);
    // From then on it is known.
    let before = serial;
    let serial = sandbox.change(release("wire-top", "78.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(told(&following.since(before).await), told(&sandbox.events_after(before, 100)));
}

#[tokio::test]
async fn a_listing_that_did_not_change_costs_a_304() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let settings = FollowSettings { source: Source::Listings, ..comparing() };
    let following = Following::start(folder.path(), &sandbox, settings).await;
    following.reaches(sandbox.last_serial()).await;
    let listings = || sandbox.requests().route(Route::Listing);
    within(async {
        while listings() < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counts = sandbox.requests();
    let asked = counts.last().filter(|seen| seen.path == "/simple/");
    assert!(asked.skip(1).all(|seen| seen.if_none_match.is_some()));
    assert_eq!(sandbox.requests().route(Route::Rpc), 0, "the setting says that it is not to be tried");
}

#[tokio::test]
async fn what_a_page_has_that_is_newer_than_its_listing_comes_with_the_next() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    let show = async |listed: i64, page: i64| {
        let file = |version: u8, time: &str| {
            json!({"filename": format!("fresh-{version}.tar.gz"), "url": format!("/packages/fresh-{version}.tar.gz"),
                   "hashes": {}, "upload-time": time})
        };
        let meta = json!({"api-version": "1.4", "_last-serial": before.0 + page});
        let files = [file(1, "2020-01-01T00:00:00Z"), file(2, "2199-01-01T00:00:00Z")];
        let page = json!({"meta": meta, "name": "fresh", "versions": ["1", "2"], "files": files});
        show_project(&sandbox, before.0 + listed, "fresh", before.0 + listed, &page).await;
    };
    show(3, 5).await;
    following.reaches(Serial(before.0 + 3)).await;
    let actions = async |since: i64| {
        let events = following.since(Serial(before.0 + since)).await;
        events.into_iter().map(|event| (event.serial.0 - before.0, event.action)).collect::<Vec<_>>()
    };
    let row = |serial, action: &str| (serial, action.to_owned());
    assert_eq!(
        actions(0).await,
        [row(1, "create"), row(2, "new release"), row(3, "add source file fresh-1.tar.gz")]
    );
    show(5, 5).await;
    following.reaches(Serial(before.0 + 5)).await;
    assert_eq!(actions(3).await, [row(4, "new release"), row(5, "add source file fresh-2.tar.gz")]);
}

#[tokio::test]
async fn a_page_older_than_its_listing_is_asked_for_again() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    let stale = Fault::on(Route::Page, Effect::Stale { behind: 100 }).path("/simple/wire-top/");
    sandbox.faults().add(stale.times(2)).unwrap();
    let serial = sandbox.change(release("wire-top", "77.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(told(&following.since(before).await), told(&sandbox.events_after(before, 100)));
}

#[tokio::test]
async fn one_bad_page_stops_no_other() {
    let headers = [("retry-after".to_owned(), "3600".to_owned())].into();
    let limited = Effect::Answer { status: 429, headers, body: String::new() };
    for bad in [Effect::Status { code: 500 }, limited] {
        stops_no_other(bad).await;
    }
}

async fn stops_no_other(bad: Effect) {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    following.stop().await;
    let broken = Fault::on(Route::Page, bad).path("/simple/wire-top/");
    sandbox.faults().add(broken).unwrap();
    sandbox.change(release("wire-top", "77.0")).await.unwrap();
    sandbox.change(release("healthy", "1.0")).await.unwrap();
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    following.reaches(sandbox.last_serial()).await;
    let events = following.since(before).await;
    assert_eq!(events[0].action, "docupdate");
    let healthy: Vec<_> = events.into_iter().filter(|event| event.name == "healthy").collect();
    let own: Vec<_> =
        sandbox.events_after(before, 100).into_iter().filter(|event| event.name == "healthy").collect();
    assert_eq!(told(&healthy), told(&own));
}

#[tokio::test]
async fn a_project_that_only_a_listing_lacks_is_not_removed() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    following.stop().await;
    let body = format!(
        r#"{{"meta":{{"api-version":"1.4"}},"projects":[{{"name":"only-one","_last-serial":{}}}]}}"#,
        before.0 + 50
    );
    let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body })).unwrap();
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    following.reaches(Serial(before.0 + 50)).await;
    assert_eq!(told(&following.since(before).await), [("only-one".to_owned(), None, "docupdate".to_owned())]);
    let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
    assert_eq!(rows.len(), sandbox.listed().len() + 1);
}

#[tokio::test]
async fn an_index_in_html_is_followed_by_content() {
    let settings = SandboxSettings { simple_json: false, ..SandboxSettings::default() };
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start(settings).await.unwrap());
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
    following.status(|status| status.current).await;
    assert!(following.journal.serials_say_nothing());
    let (start, before) = (following.journal.last_serial().unwrap(), sandbox.last_serial());
    sandbox.change(release("wire-top", "77.0")).await.unwrap();
    let own = told(&sandbox.events_after(before, 100));
    crate::support::until("it is not told", async || told(&following.since(start).await) == own).await;
}

#[tokio::test]
async fn unfollowed_the_listing_tells_the_last_serial() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    following.journal.current_last_serial().unwrap_err().done().await.unwrap();
    assert_eq!(following.journal.current_last_serial().unwrap(), sandbox.last_serial());
    assert!(following.since(sandbox.last_serial()).await.is_empty());
    let error = following.journal.want(Want::Since(Serial(5))).done().await.unwrap_err();
    assert!(error.reason.contains("no XML-RPC"), "{error:?}");
    assert_eq!(sandbox.requests().method(CHANGELOG), 0);
}

#[tokio::test]
async fn between_two_comparisons_nothing_happened_is_still_said_and_at_start_waited_for() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let rare = Duration::from_hours(1);
    let settings = FollowSettings { listing_interval: rare, head_lifetime: Duration::ZERO, ..polling() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    following.status(|status| status.listings).await;
    // Asked before the first comparison has ended; an error would fail the test.
    assert!(following.since(head).await.is_empty());
    let asked = sandbox.requests().total();
    assert!(following.since(head).await.is_empty());
    assert_eq!(
        sandbox.requests().total(),
        asked,
        "nobody asks upstream for what it said within the interval"
    );
}

/// An index of one project, `a`, whose state a test sets: the time it says, the serial, the project's files.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<(u64, i64, Vec<&'static str>)>>);

impl Scripted {
    fn set(&self, time: u64, serial: i64, files: &[&'static str]) {
        *self.0.lock().unwrap() = (time, serial, files.to_vec());
    }

    fn dated(&self, body: &serde_json::Value) -> impl IntoResponse + use<> {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.0.lock().unwrap().0));
        let json = "application/vnd.pypi.simple.v1+json".to_owned();
        ([("content-type", json), ("date", date)], body.to_string())
    }

    async fn serve(&self) -> Url {
        let (listing, page) = (self.clone(), self.clone());
        let listing = move || async move {
            let serial = listing.0.lock().unwrap().1;
            let projects = json!([{"name": "a", "_last-serial": serial}]);
            listing
                .dated(&json!({"meta": {"api-version": "1.4", "_last-serial": serial}, "projects": projects}))
        };
        let page = move || async move {
            let (_, serial, files) = page.0.lock().unwrap().clone();
            // Uploaded years before they appear, as what was hidden is.
            let file = |name: &&str| {
                json!({"filename": name, "url": format!("https://files.test/{name}"),
                       "hashes": {"sha256": "00".repeat(32)}, "upload-time": "2019-01-01T00:00:00.000000Z"})
            };
            let files: Vec<_> = files.iter().map(file).collect();
            page.dated(
                &json!({"meta": {"api-version": "1.4", "_last-serial": serial}, "name": "a", "files": files}),
            )
        };
        let router = Router::new().route("/simple/", route(listing)).route("/simple/a/", route(page));
        serve(router).await
    }
}

#[tokio::test]
async fn what_a_comparison_finds_is_later_than_every_second_that_was_told_before() {
    let (folder, index) = (tempfile::tempdir().unwrap(), Scripted::default());
    let then = 1_700_000_000;
    index.set(then, 10, &["a-1.zip"]);
    let following = Following::start_at(
        folder.path(),
        index.serve().await.as_str(),
        comparing(),
        JournalSettings::default(),
    )
    .await;
    following.reaches(Serial(10)).await;
    let mut last = i64::try_from(then).unwrap();
    let all: [&'static str; 4] = ["a-1.zip", "a-2.zip", "a-3.zip", "a-4.zip"];
    for (later, shown) in [(1_000, 2), (1_001, 3), (90_000, 4)] {
        let before = following.journal.last_serial().unwrap();
        let serial = Serial(before.0 + 10);
        index.set(then + later, serial.0, &all[..shown]);
        following.reaches(serial).await;
        let events = following.since(before).await;
        assert!(!events.is_empty());
        // Who asked with the time of the last listing, or of the newest event, has seen that second.
        assert!(events.iter().all(|event| event.time > last), "{later}: after {last}: {events:?}");
        last = i64::try_from(then + later).unwrap();
    }
}
