//! Questions that the journal cannot answer alone.

use std::time::Duration;

use cheesewire::journal::{Journal, Project, Since, Upkeep, Want};
use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::Value;
use futures_util::TryStreamExt as _;

use super::{Following, answers, on_demand, polling};
use crate::support::sandbox;

const CHANGELOG: &str = "changelog_since_serial";

/// Everything from the beginning, as a client that loops on its last serial gets it.
async fn loop_from_the_beginning(following: &Following) -> Vec<Event> {
    let (mut all, mut last): (Vec<Event>, Serial) = (vec![], Serial(0));
    loop {
        let events = following.since(last).await;
        let Some(event) = events.last() else { return all };
        last = event.serial;
        all.extend(events);
    }
}

#[tokio::test]
async fn a_client_that_loops_gets_all_of_history_exactly_once() {
    for settings in [polling(), on_demand()] {
        let rows = SandboxSettings { changelog_rows: 700, ..SandboxSettings::default() };
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start(rows).await.unwrap());
        let follow = settings.enabled;
        let following = Following::start(folder.path(), &sandbox, settings).await;
        if follow {
            following.reaches(sandbox.last_serial()).await;
        }
        let all = sandbox.events_after(Serial(0), 1_000_000);
        assert_eq!(loop_from_the_beginning(&following).await, all, "follow: {follow}");
        // A second time upstream is not needed.
        let asked = sandbox.requests().method(CHANGELOG);
        assert_eq!(following.since(Serial(0)).await, all, "follow: {follow}");
        assert!(follow || sandbox.requests().method(CHANGELOG) == asked);
    }
}

#[tokio::test]
async fn unfollowed_nothing_is_asked_until_somebody_needs_it() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    let journal = &following.journal;
    // The follower has started: it answers.
    journal.current_last_serial().unwrap_err().done().await.unwrap();
    assert_eq!(sandbox.requests().total(), 1);
    assert_eq!(journal.current_last_serial().unwrap(), sandbox.last_serial());
    journal.projects_known().unwrap_err().done().await.unwrap();
    journal.projects_known().unwrap();
    let rows: Vec<Project> = journal.projects().try_concat().await.unwrap();
    assert_eq!(rows.len(), sandbox.listed().len());
    assert!(following.since(sandbox.last_serial()).await.is_empty());
    assert_eq!(sandbox.requests().total(), 2);
}

/// As if the hour were over.
fn forget(journal: &Journal) {
    journal.set_upkeep(Upkeep::OnDemand { head: Duration::ZERO, projects: Duration::ZERO });
}

#[tokio::test]
async fn unfollowed_an_old_head_is_asked_again_before_nothing_is_said() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    let head = sandbox.last_serial();
    assert!(following.since(head).await.is_empty());
    sandbox.publish(Publication::new("news", "1.0")).await.unwrap();
    assert!(following.since(head).await.is_empty(), "within the hour what was heard is believed");
    forget(&following.journal);
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}

#[tokio::test]
async fn a_serial_that_is_nobodys_is_answered_with_nothing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    assert!(following.since(Serial(i64::MAX)).await.is_empty());
    assert_eq!(following.journal.last_serial(), Some(sandbox.last_serial()));
}

#[tokio::test]
async fn an_upstream_that_names_an_event_and_withholds_it_is_not_believed() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    let head = Serial(sandbox.last_serial().0 + 10);
    sandbox.faults().add(answers("changelog_last_serial", &head.0.into())).unwrap();
    let question = || following.journal.want(Want::Since(sandbox.last_serial())).done();
    let error = question().await.unwrap_err();
    assert!(error.reason.contains("nothing after serial"), "{error:?}");
    assert_eq!(sandbox.requests().method(CHANGELOG), 2);
    // One of its servers lagged: nothing of what it did not tell is taken for known.
    sandbox.faults().clear();
    let before = sandbox.last_serial();
    sandbox.publish(Publication::new("news", "1.0")).await.unwrap();
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
}

#[tokio::test]
async fn any_number_of_callers_cost_one_question() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    following.reaches(sandbox.last_serial()).await;
    following.stop().await;
    let quiet = super::FollowSettings { interval: Duration::from_hours(1), ..polling() };
    let mut following = Following::start(folder.path(), &sandbox, quiet).await;
    following.status(|status| status.last_success.is_some()).await;
    sandbox.forget_requests();
    let answers = (0..50).map(|_| following.since(Serial(20_000_100)));
    let answers = futures_util::future::join_all(answers).await;
    let expected = sandbox.events_after(Serial(20_000_100), 50_000);
    assert!(answers.iter().all(|answer| *answer == expected));
    assert_eq!(sandbox.requests().method(CHANGELOG), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_its_question() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Delay { millis: 100 })).unwrap();
    let Since::NotCovered(wanted) = following.journal.since_serial(Serial(5), 10).await.unwrap() else {
        panic!("known already")
    };
    let again = following.journal.want(Want::Since(Serial(5)));
    drop(wanted);
    again.done().await.unwrap();
    assert_eq!(following.since(Serial(5)).await.len(), sandbox.events_after(Serial(5), 50_000).len());
    // Nor is a question asked that has its answer by now.
    following.journal.want(Want::Since(Serial(5))).done().await.unwrap();
    assert_eq!(sandbox.requests().method(CHANGELOG), 1);
}

#[tokio::test]
async fn while_upstream_is_down_callers_hear_when_to_come_back() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, on_demand()).await;
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 503 })).unwrap();
    let error = following.journal.want(Want::LastSerial).done().await.unwrap_err();
    assert!(error.reason.contains("503") && error.retry > Some(Duration::from_secs(1)), "{error:?}");
    assert_eq!(following.status(|status| status.failures > 0).await.failures, 1);
    // The next question is not carried to an upstream that just failed.
    let error = following.journal.want(Want::Since(Serial(1))).done().await.unwrap_err();
    assert!(error.reason.contains("503"), "{error:?}");
    assert_eq!(sandbox.requests().route(Route::Rpc), 1);
    assert_eq!(following.journal.last_serial(), None);
}

#[tokio::test]
async fn an_answer_that_is_no_serial_is_an_error() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, on_demand()).await;
    sandbox.faults().add(answers("changelog_last_serial", &Value::from("12"))).unwrap();
    let error = following.journal.want(Want::LastSerial).done().await.unwrap_err();
    assert!(error.reason.contains("other than an int"), "{error:?}");
}
