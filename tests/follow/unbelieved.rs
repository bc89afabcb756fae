//! Serials that cannot be.

use std::time::Duration;

use cheesewire::follow::{FollowSettings, FollowStatus};
use cheesewire::journal::{JournalSettings, Want};
use cheesewire::model::{Clock, Serial};
use cheesewire::sandbox::{Effect, Fault, Publication, Route, XmlRpc};
use cheesewire::xmlrpc::Value;
use serde_json::json;

use super::{Following, answers, on_demand, polling, row_of};
use crate::support::{sandbox, until};

const CHANGELOG: &str = "changelog_since_serial";
const LAST_SERIAL: &str = "changelog_last_serial";
const GARBAGE: i64 = 2_000_000_000;

fn row(name: &str, serial: i64) -> Value {
    Value::Array(vec![name.into(), Value::Nil, 7.into(), "create".into(), serial.into()])
}

#[tokio::test]
async fn one_row_with_a_serial_beyond_the_last_is_skipped_and_hides_nothing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    // What its twin tells, and one row more.
    let twin = crate::support::sandbox().await;
    twin.publish(Publication::new("first", "1.0")).await.unwrap();
    let mut rows: Vec<Value> = twin.events_after(head, 100).iter().map(row_of).collect();
    rows.insert(1, row("wrong", GARBAGE));
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(rows)).times(1)).unwrap();
    let serial = sandbox.publish(Publication::new("first", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
    // And all that comes below it is told.
    let serial = sandbox.publish(Publication::new("later", "1.0")).await.unwrap();
    following.reaches(serial).await;
    following.status(|status| status.current && status.failures == 0).await;
}

#[tokio::test]
async fn a_wrong_row_in_history_is_skipped_as_well() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    let rows = [row("old", 3), row("wrong", GARBAGE), row("next", 5)];
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(rows.into())).times(1)).unwrap();
    following.journal.want(Want::Since(Serial(0))).done().await.unwrap();
    let names = following.since(Serial(0)).await.into_iter().map(|event| event.name);
    assert_eq!(names.collect::<Vec<_>>(), ["old", "next"]);
    assert_eq!(following.journal.last_serial(), Some(head));
}

#[tokio::test]
async fn a_last_serial_that_leaps_once_is_a_failure_that_passes() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    following.status(|status| status.current).await;
    // What is plausible is kept meanwhile.
    let rows = [row("true", head.0 + 1), row("wrong", GARBAGE)];
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(rows.into()))).unwrap();
    sandbox.faults().add(answers(LAST_SERIAL, &GARBAGE.into())).unwrap();
    let doubted = |status: &FollowStatus| status.unbelieved == Some(Serial(GARBAGE)) && status.failures > 0;
    assert!(following.status(doubted).await.last_error.unwrap().contains("plausible"));
    following.reaches(Serial(head.0 + 1)).await;
    sandbox.faults().clear();
    following.status(|status| status.unbelieved.is_none() && status.current).await;
    let serial = sandbox.publish(Publication::new("later", "1.0")).await.unwrap();
    following.reaches(serial).await;
}

#[tokio::test]
async fn a_leap_that_the_listing_does_not_confirm_is_never_believed_and_one_that_it_does_is() {
    let settings = FollowSettings {
        leap_pause: Duration::from_millis(20),
        listing_interval: Duration::from_millis(1),
        ..polling()
    };
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    following.status(|status| status.current).await;
    let rows = Value::Array(vec![row("leapt", GARBAGE)]);
    sandbox.faults().add(answers(LAST_SERIAL, &GARBAGE.into())).unwrap();
    following.status(|status| status.unbelieved.is_some()).await;
    let listings = sandbox.requests().route(Route::Listing);
    until("no listing was asked for", async || sandbox.requests().route(Route::Listing) > listings + 2).await;
    assert_eq!(following.journal.last_serial(), Some(head));
    let listing = json!({"meta": {"api-version": "1.4", "_last-serial": GARBAGE}, "projects": []});
    let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
    let body = listing.to_string();
    sandbox.faults().add(answers(CHANGELOG, &rows)).unwrap();
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body })).unwrap();
    following.reaches(Serial(GARBAGE)).await;
    following.status(|status| status.unbelieved.is_none() && status.current).await;
    assert_eq!(following.since(head).await[0].name, "leapt");
}

#[tokio::test]
async fn what_a_pause_explains_is_no_leap_and_a_new_folder_doubts_nothing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let clock = Clock::standing_at(1_800_000_000);
    let start = async || {
        let journal = JournalSettings { clock: clock.clone(), leap_floor: 10, ..JournalSettings::default() };
        Following::start_at(folder.path(), &sandbox.url(), polling(), journal).await
    };
    let mut following = start().await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    following.status(|status| status.current).await;
    following.stop().await;
    for version in 0..10 {
        sandbox.publish(Publication::new("many", format!("{version}.0"))).await.unwrap();
    }
    let mut following = start().await;
    following.status(|status| status.unbelieved.is_some()).await;
    assert_eq!(following.journal.last_serial(), Some(head));
    // Ten a day and ten more.
    clock.set(1_800_000_000 + 30 * 86_400);
    following.reaches(sandbox.last_serial()).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}

#[tokio::test]
async fn unfollowed_a_last_serial_that_leaps_once_poisons_nothing() {
    let settings = FollowSettings { interval: Duration::from_nanos(1), ..on_demand() };
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, settings).await;
    let head = sandbox.last_serial();
    following.journal.want(Want::LastSerial).done().await.unwrap();
    sandbox.faults().add(answers(LAST_SERIAL, &GARBAGE.into())).unwrap();
    let error = following.journal.want(Want::LastSerial).done().await.unwrap_err();
    assert!(error.reason.contains("plausible"), "{error}");
    sandbox.faults().clear();
    assert_eq!(following.journal.last_serial(), Some(head));
    let serial = sandbox.publish(Publication::new("later", "1.0")).await.unwrap();
    assert_eq!(following.since(head).await.last().unwrap().serial, serial);
}

#[tokio::test]
async fn a_listing_with_one_wrong_serial_moves_no_number() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    // Also the first one, where upstream names its last serial besides.
    let listing = |last: Option<i64>, wrong: i64| {
        let mut projects: Vec<_> = (sandbox.projects().iter())
            .map(|project| json!({"name": project.name, "_last-serial": project.last_serial}))
            .collect();
        projects.push(json!({"name": "wrong", "_last-serial": wrong}));
        json!({"meta": {"api-version": "1.4", "_last-serial": last}, "projects": projects}).to_string()
    };
    let answer = |body: String| {
        let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
        Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body })
    };
    let head = sandbox.last_serial();
    sandbox.faults().add(answer(listing(None, GARBAGE)).times(1)).unwrap();
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    following.reaches(head).await;
    following.stop().await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let comparing = FollowSettings {
        listing_interval: Duration::from_millis(5),
        calls_doubt: Duration::ZERO,
        small_index: 0,
        ..polling()
    };
    sandbox.faults().add(answer(listing(Some(head.0), 1 << 53)).times(1)).unwrap();
    sandbox.faults().add(answer(listing(Some(GARBAGE), head.0)).times(2)).unwrap();
    let mut following = Following::start(folder.path(), &sandbox, comparing).await;
    following.status(|status| status.unbelieved.is_some()).await;
    following.status(|status| status.unbelieved.is_none() && status.current).await;
    assert_eq!(following.journal.last_serial(), Some(head));
    let serial = sandbox.publish(Publication::new("wire-top", "77.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(head).await.last().unwrap().name, "wire-top");
}
