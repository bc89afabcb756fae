//! What the listing lacks is news: a project was removed, or is in quarantine, or the listing is old or broken.

use std::collections::BTreeMap;

use cheesewire::follow::FollowSettings;
use cheesewire::journal::Project;
use cheesewire::model::{Event, ProjectName, Serial};
use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox, XmlRpc};
use futures_util::TryStreamExt as _;
use reqwest::Method;
use serde_json::json;

use super::listings::{comparing, told, without_calls};
use super::{Following, polling};
use crate::support::plain::Plain;
use crate::support::{Answer, Relay, call, get, get_with, sandbox, until};
use cheesewire::xmlrpc::Value;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn quarantine(name: &str, cleared: bool) -> Change {
    Change::Quarantine { name: name.to_owned(), version: None, cleared }
}

fn publish(name: &str, version: &str) -> Change {
    Change::Publish(Publication::new(name, version).into())
}

async fn table(following: &Following) -> Vec<Project> {
    following.journal.projects().try_concat().await.unwrap()
}

async fn lists(following: &Following, name: &str) -> bool {
    table(following).await.iter().any(|project| project.spelling == name)
}

/// A listing in place of the sandbox's: without `lacks`, as new as `head`, made at second `made` of some minute.
fn list_without(sandbox: &Sandbox, lacks: &[String], head: Serial, etag: &str, made: u8) {
    let listed = sandbox.listed();
    let projects: Vec<_> = (listed.iter().filter(|project| !lacks.contains(&project.name)))
        .map(|project| json!({"name": project.name, "_last-serial": project.last_serial.min(head)}))
        .collect();
    let body =
        json!({"meta": {"api-version": "1.4", "_last-serial": head}, "projects": projects}).to_string();
    let date = format!("Fri, 01 Jan 2038 00:00:{made:02} GMT");
    let headers = [("content-type", JSON), ("etag", etag), ("date", &date)];
    let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    sandbox.faults().clear();
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body })).unwrap();
}

/// So many more listings were asked for and all that follows from the first of them is done.
async fn comparisons(sandbox: &Sandbox, more: u64) {
    let upto = sandbox.requests().route(Route::Listing) + more + 1;
    until("no listing is asked for", async || sandbox.requests().route(Route::Listing) >= upto).await;
}

#[tokio::test]
async fn in_both_modes_quarantine_takes_a_project_out_of_the_list_and_clearance_puts_it_back() {
    // Also of an index that is too large to have been looked at before.
    for (mode, small_index) in [(XmlRpc::Live, 500), (XmlRpc::Status(405), 500), (XmlRpc::Status(405), 0)] {
        let comparing = || FollowSettings { small_index, ..comparing() };
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(mode.clone()).await);
        let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
        let before = sandbox.last_serial();
        following.reaches(before).await;
        let spelled = |sandbox: &Sandbox| {
            let row = |project: &std::sync::Arc<cheesewire::sandbox::Project>| Project {
                spelling: project.name.clone(),
                serial: Some(project.last_serial),
            };
            sandbox.listed().iter().map(row).collect::<Vec<_>>()
        };
        let name = ProjectName::parse("wire-top").unwrap();
        for cleared in [false, true] {
            let serial = sandbox.change(quarantine("wire-top", cleared)).await.unwrap();
            following.reaches(serial).await;
            assert_eq!(table(&following).await, spelled(&sandbox), "{mode:?}, cleared: {cleared}");
            assert_eq!(lists(&following, "wire-top").await, cleared);
            let known = following.journal.registered(&name).await.unwrap().unwrap();
            assert_eq!(known, Project { spelling: "wire-top".to_owned(), serial: Some(serial) });
            // Also after a restart.
            following.stop().await;
            following = Following::start(folder.path(), &sandbox, comparing()).await;
            assert_eq!(lists(&following, "wire-top").await, cleared);
        }
        assert_eq!(told(&following.since(before).await), told(&sandbox.events_after(before, 10)), "{mode:?}");
    }
}

#[tokio::test]
async fn what_happens_to_a_quarantined_project_does_not_list_it_but_its_removal_forgets_it() {
    for mode in [XmlRpc::Live, XmlRpc::Status(405)] {
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(mode.clone()).await);
        let following = Following::start(folder.path(), &sandbox, comparing()).await;
        following.reaches(sandbox.last_serial()).await;
        following.reaches(sandbox.change(quarantine("wire-top", false)).await.unwrap()).await;
        let before = sandbox.last_serial();
        let serial = sandbox.change(Change::RemoveProject { name: "wire-top".to_owned() }).await.unwrap();
        following.reaches(serial).await;
        // No listing tells it: the page does.
        until("the removal is not told", async || {
            told(&following.since(before).await) == told(&sandbox.events_after(before, 10))
        })
        .await;
        let name = ProjectName::parse("wire-top").unwrap();
        assert_eq!(following.journal.registered(&name).await.unwrap(), None, "{mode:?}");
        let serial = sandbox.change(publish("wire-top", "1.0")).await.unwrap();
        following.reaches(serial).await;
        assert!(lists(&following, "wire-top").await, "{mode:?}");
    }
}

#[tokio::test]
async fn what_was_quarantined_before_the_first_listing_has_one_page_and_is_listed_once_it_is_cleared() {
    for mode in [XmlRpc::Live, XmlRpc::Status(405)] {
        let sandbox = without_calls(mode.clone()).await;
        // What is kept, and what is not there, is asked for again each time.
        let settings = [
            "follow.interval=5ms",
            "follow.listing_interval=5ms",
            "index.page_max_age=1ms",
            "index.absent_max_age=1ms",
            "index.behind_pause=1ms",
        ];
        let relay = Relay::start(&sandbox.url(), &settings).await;
        let page = async |path: &str| {
            get_with(Method::GET, &format!("{}{path}", relay.url), &[("accept", JSON)]).await.unwrap()
        };
        let listed = async || {
            let listing: Answer = page("simple/").await;
            let names = call(&relay.url, "list_packages", &[]).await.unwrap();
            let called = names.as_array().unwrap().contains(&Value::from("quarantined-project"));
            [listing.text().contains("quarantined-project"), called]
        };
        until("no list", async || page("simple/").await.status == 200).await;
        let followed = matches!(mode, XmlRpc::Live);
        let moment = Value::Int(2_000_000_000);
        until("upstream is never heard", async || {
            !followed || call(&relay.url, "changelog", std::slice::from_ref(&moment)).await.is_ok()
        })
        .await;
        for _ in 0..5 {
            let answer = page("simple/quarantined-project/").await;
            if followed {
                // Nobody has told of it, so it is not asked for.
                assert_eq!((answer.status, listed().await), (404, [false; 2]));
                continue;
            }
            assert_eq!(
                (answer.status, &answer.json()["project-status"]["status"]),
                (200, &"quarantined".into())
            );
            assert_eq!(listed().await, [false; 2]);
        }
        sandbox.change(quarantine("quarantined-project", true)).await.unwrap();
        until("it is not listed", async || listed().await == [true; 2]).await;
        for _ in 0..5 {
            let answer = page("simple/quarantined-project/").await;
            assert!(
                answer.status == 200 && !answer.json()["files"].as_array().unwrap().is_empty(),
                "{mode:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_project_that_upstream_has_and_does_not_list_has_one_page() {
    let sandbox = sandbox().await;
    let hidden = "wire-top".to_owned();
    list_without(&sandbox, &[hidden], sandbox.last_serial(), "\"x\"", 1);
    // Where the changelog is followed, what nobody has told of is not asked for.
    let settings = [
        "follow.source=listings",
        "index.page_max_age=1ms",
        "index.absent_max_age=1ms",
        "index.behind_pause=1ms",
    ];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    until("no list", async || get(&format!("{}simple/", relay.url)).await.status == 200).await;
    for _ in 0..5 {
        assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
    }
    // Upstream's word that it is gone counts all the same.
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 404 })).unwrap();
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 404);
}

#[tokio::test]
async fn where_listings_are_compared_a_quarantined_projects_files_are_gone_until_it_is_cleared() {
    let sandbox = without_calls(XmlRpc::Status(405)).await;
    let relay = Relay::start(&sandbox.url(), &["follow.listing_interval=5ms"]).await;
    let upload = sandbox.project("wire-top").unwrap().files().next().unwrap().1.file.path.clone();
    let file = async || get(&format!("{}packages/{upload}", relay.url)).await;
    let finds = async || {
        let spec = Value::Struct(vec![("name".to_owned(), Value::from("wire-top"))]);
        let hits = call(&relay.url, "search", &[spec]).await.unwrap();
        hits.as_array().unwrap().iter().any(|hit| hit.get("name") == Some(&Value::from("wire-top")))
    };
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
    assert_eq!(file().await.status, 200);
    until("it is not found", finds).await;
    sandbox.change(quarantine("wire-top", false)).await.unwrap();
    until("the file goes on being served", async || file().await.status == 410).await;
    assert!(!finds().await);
    let page = get(&format!("{}simple/wire-top/", relay.url)).await;
    assert!(page.status == 200 && page.text().contains("quarantined"), "{}", page.text());
    sandbox.change(quarantine("wire-top", true)).await.unwrap();
    until("the file does not come back", async || file().await.status == 200).await;
    until("it is not found again", finds).await;
}

#[tokio::test]
async fn a_listing_older_than_a_projects_last_event_does_not_remove_it() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let old = sandbox.last_serial();
    following.reaches(old).await;
    let new = sandbox.change(publish("brand-new", "1.0")).await.unwrap();
    following.reaches(new).await;
    // A copy of the listing from before, and one of the page, too.
    list_without(&sandbox, &["brand-new".to_owned()], old, "\"old\"", 1);
    let absent = Fault::on(Route::Page, Effect::Status { code: 404 }).path("/simple/brand-new/");
    sandbox.faults().add(absent).unwrap();
    comparisons(&sandbox, 3).await;
    assert!(lists(&following, "brand-new").await);
    assert_eq!(following.journal.last_serial(), Some(new));
    // As new as that it is believed, once the page says the same.
    list_without(&sandbox, &["brand-new".to_owned()], new, "\"new\"", 2);
    comparisons(&sandbox, 3).await;
    assert!(lists(&following, "brand-new").await);
    let absent = Fault::on(Route::Page, Effect::Status { code: 404 }).path("/simple/brand-new/");
    sandbox.faults().add(absent).unwrap();
    until("it is not removed", async || !lists(&following, "brand-new").await).await;
    let removed = [("brand-new".to_owned(), None, "remove project".to_owned())];
    assert_eq!(told(&following.since(new).await), removed);
}

#[tokio::test]
async fn what_a_listing_lacks_is_asked_for_again_while_the_listing_stays_the_same() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    // A cache on the way still has the page.
    let page = json!({"meta": {"api-version": "1.4", "_last-serial": 7}, "name": "wire-top", "files": []});
    let headers = [("content-type".to_owned(), JSON.to_owned())].into();
    let answer = Effect::Answer { status: 200, headers, body: page.to_string() };
    sandbox.faults().add(Fault::on(Route::Page, answer).path("/simple/wire-top/")).unwrap();
    sandbox.change(Change::RemoveProject { name: "wire-top".to_owned() }).await.unwrap();
    comparisons(&sandbox, 3).await;
    assert!(lists(&following, "wire-top").await);
    let unchanged = sandbox
        .requests()
        .last()
        .filter(|seen| seen.path == "/simple/")
        .last()
        .unwrap()
        .if_none_match
        .clone();
    assert!(unchanged.is_some(), "the listing is not asked for as the one that it was");
    sandbox.faults().clear();
    until("it is not removed", async || !lists(&following, "wire-top").await).await;
    let events: Vec<Event> = following.since(before).await;
    assert_eq!(told(&events), [("wire-top".to_owned(), None, "remove project".to_owned())]);
}

#[tokio::test]
async fn many_projects_that_are_absent_at_once_are_removed_only_after_a_second_later_listing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    let lacks: Vec<String> = sandbox.listed().iter().map(|project| project.name.clone()).take(21).collect();
    let gone = || Fault::on(Route::Page, Effect::Status { code: 404 });
    list_without(&sandbox, &lacks, before, "\"x\"", 1);
    sandbox.faults().add(gone()).unwrap();
    comparisons(&sandbox, 3).await;
    sandbox.forget_requests();
    // The same one again, later, and after a restart.
    list_without(&sandbox, &lacks, before, "\"x\"", 5);
    sandbox.faults().add(gone()).unwrap();
    following.stop().await;
    following =
        Following::start(folder.path(), &sandbox, FollowSettings { small_index: 0, ..comparing() }).await;
    comparisons(&sandbox, 3).await;
    assert_eq!(sandbox.requests().route(Route::Page), 0, "their pages were asked for");
    assert_eq!(table(&following).await.len(), sandbox.listed().len());
    // Another one: those that both lack are asked for, and only they.
    let (still, other) = (lacks[1..].to_vec(), sandbox.listed()[30].name.clone());
    let lacks_now: Vec<String> = still.iter().cloned().chain([other.clone()]).collect();
    list_without(&sandbox, &lacks_now, before, "\"y\"", 9);
    sandbox.faults().add(gone()).unwrap();
    until("they are not removed", async || !lists(&following, &still[0]).await).await;
    let events = following.since(before).await;
    let removed: Vec<_> = events.iter().map(|event| event.name.clone()).collect();
    assert!(events.iter().all(|event| event.action == "remove project"));
    assert!(still.iter().all(|name| removed.contains(name)) && !removed.contains(&lacks[0]), "{removed:?}");
}

#[tokio::test]
async fn a_few_projects_that_are_absent_at_once_are_removed_at_once() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let following =
        Following::start(folder.path(), &sandbox, FollowSettings { small_index: 0, ..polling() }).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    following.stop().await;
    let lacks: Vec<String> = sandbox.listed().iter().map(|project| project.name.clone()).take(20).collect();
    list_without(&sandbox, &lacks, before, "\"x\"", 1);
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 404 })).unwrap();
    let following = Following::start(folder.path(), &sandbox, comparing()).await;
    following.reaches(Serial(before.0 + 20)).await;
    assert_eq!(table(&following).await.len(), sandbox.listed().len() - 20);
}

#[tokio::test]
async fn a_quarantine_that_only_a_page_tells_changes_the_list_and_its_validator() {
    let index = Plain::start(true).await;
    index.list(&[("a", Some(5)), ("b", Some(7))]);
    index.page("a", Some(5), &["a-1.zip"]);
    index.page_of("b", Some(7), &[], &json!({"status": "quarantined"}));
    let relay = Relay::start(&index.url, &["follow.enabled=false"]).await;
    let names = async || {
        let list = call(&relay.url, "list_packages", &[]).await.ok()?;
        Some(list.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    let shown = async |path: &str, known: &str| {
        let url = format!("{}simple/{path}", relay.url);
        let headers = [("accept", JSON), ("if-none-match", known)];
        get_with(Method::GET, &url, &headers).await.unwrap()
    };
    until("no list", async || names().await.is_some()).await;
    assert_eq!(names().await.unwrap(), ["a", "b"]);
    let kept = shown("", "").await.header("etag").to_owned();
    assert_eq!(shown("", &kept).await.status, 304);
    assert_eq!(shown("b/", "").await.json()["files"].as_array().unwrap().len(), 0);
    until("it stays in the list", async || names().await.is_some_and(|names| names == ["a"])).await;
    let list = shown("", &kept).await;
    assert_eq!((list.status, list.json()["projects"].as_array().map(Vec::len)), (200, Some(1)));
}
