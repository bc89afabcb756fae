//! Rows that upstream should not send.

use std::time::Duration;

use cheesewire::follow::FollowSettings;
use cheesewire::model::Serial;
use cheesewire::sandbox::Publication;
use cheesewire::xmlrpc::Value;

use super::{Following, answers, polling};
use crate::support::sandbox;

const CHANGELOG: &str = "changelog_since_serial";
const LAST_SERIAL: &str = "changelog_last_serial";

fn row(name: Value, serial: i64) -> Value {
    Value::Array(vec![name, Value::Nil, 7.into(), "create".into(), serial.into()])
}

#[tokio::test]
async fn a_nameless_row_is_skipped_and_the_cursor_moves_on() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial().0;
    following.reaches(Serial(head)).await;
    let rows = vec![
        row("late".into(), head + 3),
        Value::Nil,
        row("early".into(), head + 1),
        row(Value::Nil, head + 9),
    ];
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(rows)).times(1)).unwrap();
    sandbox.faults().add(answers(LAST_SERIAL, &(head + 9).into())).unwrap();
    following.reaches(Serial(head + 9)).await;
    let names = following.since(Serial(head)).await.into_iter().map(|event| event.name);
    assert_eq!(names.collect::<Vec<_>>(), ["early", "late"]);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_an_error_and_moves_nothing() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(vec![Value::Nil]))).unwrap();
    sandbox.faults().add(answers(LAST_SERIAL, &(head.0 + 1).into())).unwrap();
    let status = following.status(|status| status.failures >= 3).await;
    assert!(status.last_error.unwrap().contains("cannot be read"));
    assert_eq!(following.journal.last_serial(), Some(head));
    sandbox.faults().clear();
    let serial = sandbox.publish(Publication::new("next", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}

#[tokio::test]
async fn a_page_of_old_rows_is_no_news_and_no_progress() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let mut following = Following::start(folder.path(), &sandbox, polling()).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    let rows = vec![row("a".into(), head.0 - 1), row("b".into(), head.0)];
    sandbox.faults().add(answers(CHANGELOG, &Value::Array(rows)).times(2)).unwrap();
    let serial = sandbox.publish(Publication::new("next", "1.0")).await.unwrap();
    following.reaches(serial).await;
    following.status(|status| status.failures == 0).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}

#[tokio::test]
async fn a_last_serial_that_no_row_has_is_doubted_for_a_while_and_then_nothing_happened() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let settings = FollowSettings { calls_doubt: Duration::from_millis(300), ..polling() };
    let mut following = Following::start(folder.path(), &sandbox, settings).await;
    let head = sandbox.last_serial();
    following.reaches(head).await;
    sandbox.faults().add(answers(LAST_SERIAL, &(head.0 + 5).into())).unwrap();
    let status = following.status(|status| status.failures > 0).await;
    assert!(status.last_error.unwrap().contains("tells of nothing"));
    following.status(|status| status.failures == 0 && status.current).await;
    assert!(following.since(head).await.is_empty());
    sandbox.faults().clear();
    let serial = sandbox.publish(Publication::new("next", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(head).await, sandbox.events_after(head, 100));
}
