//! XML-RPC that goes away and comes back: what was told from listings meanwhile, and what its events are then.

use std::time::Duration;

use cheesewire::follow::FollowSettings;
use cheesewire::journal::{Project, Want};
use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{Change, Effect, Fault, Route, XmlRpc};
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::listings::{comparing, release, show_project, sighted, told, without_calls};
use super::{Following, within};
use crate::support::{sandbox, until};

#[tokio::test]
async fn an_upstream_that_answered_calls_is_not_given_up_for_a_few_404s() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, comparing()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    let serial = sandbox.change(release("first", "1.0")).await.unwrap();
    following.reaches(serial).await;
    // Once while it runs, and once at its start.
    for name in ["second", "third"] {
        sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 404 }).times(3)).unwrap();
        let serial = sandbox.change(release(name, "1.0")).await.unwrap();
        following.reaches(serial).await;
        assert!(!following.status(|status| status.failures == 0).await.listings, "{name}");
        assert_eq!(following.since(before).await, sandbox.events_after(before, 100), "{name}");
        following.stop().await;
        following = Following::start(folder.path(), &sandbox, comparing()).await;
    }
    // If they go on failing, they are gone.
    following.stop().await;
    let settings = FollowSettings { calls_doubt: Duration::from_millis(50), ..comparing() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    sandbox.set_xmlrpc(XmlRpc::Status(404));
    following.status(|status| status.listings).await;
}

#[tokio::test]
async fn xml_rpc_that_comes_back_before_anything_changed_is_followed() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let settings = FollowSettings { calls_retry: Duration::from_millis(50), ..comparing() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    following.reaches(sandbox.last_serial()).await;
    sighted(&sandbox).await;
    following.status(|status| status.listings).await;
    sandbox.set_xmlrpc(XmlRpc::Live);
    following.status(|status| !status.listings).await;
    // Nothing else is needed from now on.
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Status { code: 500 })).unwrap();
    let before = sandbox.last_serial();
    let live = sandbox.change(release("wire-top", "77.0")).await.unwrap();
    following.reaches(live).await;
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
}

#[tokio::test]
async fn xml_rpc_that_comes_back_is_found_and_goes_on_where_listings_ended() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let calls_retry = Duration::from_millis(50);
    let settings = FollowSettings { calls_retry, calls_doubt: Duration::ZERO, ..comparing() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    following.status(|status| status.listings).await;
    let serial = sandbox.change(release("wire-top", "77.0")).await.unwrap();
    following.reaches(serial).await;
    sandbox.set_xmlrpc(XmlRpc::Live);
    following.status(|status| !status.listings).await;
    let live = sandbox.change(release("wire-top", "78.0")).await.unwrap();
    following.reaches(live).await;
    assert_eq!(following.since(serial).await, sandbox.events_after(serial, 100));
    assert_eq!(told(&following.since(before).await), told(&sandbox.events_after(before, 100)));
    // Without it again: how the page looked before is not how it looked in the last days of comparing.
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    following.status(|status| status.listings).await;
    let last = sandbox.change(release("wire-top", "79.0")).await.unwrap();
    following.reaches(last).await;
    let remove = Change::RemoveRelease { name: "wire-top".to_owned(), version: "78.0".to_owned() };
    let last = sandbox.change(remove).await.unwrap();
    following.reaches(last).await;
    assert_eq!(told(&following.since(before).await), told(&sandbox.events_after(before, 100)));
}

#[tokio::test]
async fn numbers_that_were_given_above_upstreams_own_hide_none_of_its_events_when_xml_rpc_comes_back() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), without_calls(XmlRpc::Status(405)).await);
    let settings = FollowSettings { calls_retry: Duration::from_millis(50), ..comparing() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    sighted(&sandbox).await;
    // A project that turns up late, with a serial of long ago: its rows find room only above all that is told.
    let page = json!({"meta": {"api-version": "1.4"}, "name": "late", "versions": ["1.0"], "files": [
        {"filename": "late-1.0.tar.gz", "url": "/packages/late-1.0.tar.gz", "hashes": {}}]});
    show_project(&sandbox, before.0, "late", 5, &page).await;
    following.reaches(Serial(before.0 + 3)).await;
    sandbox.faults().clear();
    sandbox.set_xmlrpc(XmlRpc::Live);
    // They are found again when it is time to ask for them. Upstream's own numbers are below ours at first.
    let found = async || following.journal.want(Want::Since(Serial(0))).done().await.is_ok();
    until("its calls are never found again", found).await;
    let mut last = before;
    for version in ["77.0", "78.0", "79.0", "80.0", "81.0", "82.0"] {
        last = sandbox.change(release("wire-top", version)).await.unwrap();
        // Who asks for what came before brings upstream's rows of later as well.
        following.since(Serial(0)).await;
        let told = async {
            let of = |mut events: Vec<Event>| {
                events.retain(|event| event.version.as_deref() == Some(version));
                told(&events)
            };
            let own = of(sandbox.events_after(before, 100));
            while of(following.since(before).await) != own {
                tokio::task::yield_now().await;
            }
        };
        within(told).await;
    }
    following.status(|status| !status.listings).await;
    let live = sandbox.change(release("wire-top", "83.0")).await.unwrap();
    following.reaches(live).await;
    assert_eq!(following.since(last).await, sandbox.events_after(last, 100));
    let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
    let top = rows.iter().find(|row| row.spelling == "wire-top").unwrap();
    assert_eq!(top.serial, Some(live));
}
