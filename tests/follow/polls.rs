//! Polls: from the first listing to the newest event, through failures and restarts.

use std::time::{Duration, Instant};

use cheesewire::journal::Project;
use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::{Fault as RpcFault, encode_fault};
use futures_util::TryStreamExt as _;

use super::{Following, answers, polling};
use crate::support::{sandbox, within};

const CHANGELOG: &str = "changelog_since_serial";

#[tokio::test]
async fn the_first_start_fills_projects_and_head_from_one_listing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    following.reaches(sandbox.last_serial()).await;
    let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
    let expected: Vec<Project> = (sandbox.listed().iter())
        .map(|project| Project { spelling: project.name.clone(), serial: Some(project.last_serial) })
        .collect();
    assert_eq!(rows, expected);
    assert!(following.since(sandbox.last_serial()).await.is_empty());
    following.stop().await;
    assert_eq!(sandbox.requests().route(Route::Listing), 1);
}

#[tokio::test]
async fn new_events_appear_after_a_poll_word_for_word() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    let serial = sandbox.publish(Publication::new("Brand_New", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
    let name = cheesewire::model::ProjectName::parse("brand-new").unwrap();
    let known = following.journal.project(&name).await.unwrap();
    assert_eq!(known, Some(Project { spelling: "Brand_New".to_owned(), serial: Some(serial) }));
    let serial = sandbox.change(Change::RemoveProject { name: "Brand_New".to_owned() }).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.journal.project(&name).await.unwrap(), None);
}

#[tokio::test]
async fn a_restart_goes_on_from_its_head_without_a_second_listing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    following.stop().await;
    let serial = sandbox.publish(Publication::new("meanwhile", "1.0")).await.unwrap();
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    following.reaches(serial).await;
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
    assert_eq!(sandbox.requests().route(Route::Listing), 1);
}

#[tokio::test]
async fn an_upstream_that_is_down_at_the_start_is_waited_for() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    sandbox.pause().await.unwrap();
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let status = following.status(|status| status.failures >= 3).await;
    assert!(status.last_error.unwrap().contains("cannot be reached") && status.last_success.is_none());
    // Meanwhile a question is answered with a failure, not with silence.
    let wanted = following.journal.current_last_serial().unwrap_err();
    assert!(wanted.done().await.unwrap_err().reason.contains("listing"));
    sandbox.resume().await.unwrap();
    following.reaches(sandbox.last_serial()).await;
    assert!(following.status(|status| status.failures == 0).await.last_success.is_some());
}

#[tokio::test]
async fn pages_of_any_size_are_followed_to_the_end() {
    let settings = SandboxSettings { changelog_rows: 7, ..SandboxSettings::default() };
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start(settings).await.unwrap());
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let before = sandbox.last_serial();
    following.reaches(before).await;
    following.stop().await;
    for version in 0..10 {
        sandbox.publish(Publication::new("many", format!("{version}.0"))).await.unwrap();
    }
    // However short a page is, it is followed by the next at once: with an hour between polls this ends soon or never.
    let hourly = cheesewire::follow::FollowSettings { interval: Duration::from_hours(1), ..polling() };
    let following = Following::start(folder.path(), &sandbox, hourly).await;
    following.reaches(sandbox.last_serial()).await;
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let fault = RpcFault::raised("HTTPTooManyRequests", "Too many. Limit may reset in 1 seconds.");
    let body = String::from_utf8(encode_fault(&fault).to_vec()).unwrap();
    let headers = [("content-type".to_owned(), "text/xml".to_owned())].into();
    let limited = Fault::on(Route::Rpc, Effect::Answer { status: 200, headers, body });
    sandbox.faults().add(limited.times(1)).unwrap();
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    following.status(|status| status.failures == 1).await;
    let limited = Instant::now();
    following.status(|status| status.failures == 0).await;
    assert!(limited.elapsed() >= Duration::from_millis(900), "{:?}", limited.elapsed());
    assert!(following.status(|_| true).await.last_error.unwrap().contains("wait"));
}

#[tokio::test]
async fn an_upstream_that_goes_back_and_does_not_tell_to_what_is_told_of_and_our_head_stays() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    assert!(following.since(head).await.is_empty());
    let old = cheesewire::model::Serial(head.0 - 100);
    sandbox.faults().add(answers(CHANGELOG, &cheesewire::xmlrpc::Value::Array(vec![]))).unwrap();
    sandbox.faults().add(answers("changelog_last_serial", &old.0.into())).unwrap();
    let status = following.status(|status| status.upstream_behind == Some(old) && status.failures > 0).await;
    assert!(status.last_error.unwrap().contains("went back") && status.restored.is_none());
    assert_eq!(following.journal.last_serial(), Some(head));
    // What may hide, and what it has lost, is not answered with nothing.
    for (since, reason) in [(head, "may hide"), (old, "older copy")] {
        let lost = following.journal.want(cheesewire::journal::Want::Since(since)).done().await.unwrap_err();
        assert!(lost.reason.contains(reason), "{lost}");
    }
    sandbox.faults().clear();
    let serial = sandbox.publish(Publication::new("after-all", "1.0")).await.unwrap();
    following.reaches(serial).await;
    following.status(|status| status.upstream_behind.is_none() && status.failures == 0).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}

#[tokio::test]
async fn stopping_does_not_wait_for_upstream() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let delay = Effect::Delay { millis: 600_000 };
    sandbox.faults().add(Fault::on(Route::Listing, delay)).unwrap();
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let wanted = following.journal.current_last_serial().unwrap_err();
    within("it waits", following.stop()).await;
    assert!(wanted.done().await.is_err());
}
