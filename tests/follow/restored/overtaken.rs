//! A restored upstream that has passed its last serial before the next poll.

use super::*;

/// The backup is there, and more has happened since than it had lost: at which rows.
async fn overtake(lives: &Lives, backup: Serial, head: Serial) -> Vec<Event> {
    let mut new = 0;
    while lives.second.last_serial() <= Serial(head.0 + 4) {
        new += 1;
        lives.second.change(release("only-after", &format!("{new}.0"))).await.unwrap();
    }
    lives.restore(vec![]).await;
    lives.second.events_after(backup, 1000)
}

fn overtaken(status: &FollowStatus) -> bool {
    status.last_error.as_ref().is_some_and(|error| error.contains("has another row")) && status.failures > 3
}

#[tokio::test]
async fn an_upstream_that_passed_its_last_serial_between_two_polls_is_found_by_its_last_row() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (backup, head) = lives.lose(&following).await;
    let rows = overtake(&lives, backup, head).await;
    following.status(overtaken).await;
    // As long as it is doubted nothing is told, and that nothing happened neither.
    let error = following.journal.want(Want::Since(head)).done().await.unwrap_err();
    assert!(error.reason.contains("has another row"), "{error}");
    assert!(!following.journal.head_is_current());
    assert_eq!(following.journal.last_serial(), Some(head));
    lives.clock.set(NOON + 601);
    let settled = |events: &[Event]| {
        events.len() > rows.len() && events[rows.len()..].iter().any(|event| event.name == "wire-top")
    };
    let events = looped(&following, head, settled).await;
    assert_eq!(told(&events[..rows.len()]), told(&rows));
    let restored = following.status(|status| status.restored.is_some()).await.restored.unwrap();
    assert_eq!((restored.to, restored.head), (backup, head));
    let removed = events.iter().filter(|event| event.name == "only-before");
    assert_eq!(removed.map(|event| event.action.as_str()).collect::<Vec<_>>(), ["remove project"]);
    following.status(|status| status.current && status.failures == 0).await;
    let ours = following.journal.last_serial().unwrap();
    lives.second.change(release("later", "1.0")).await.unwrap();
    let events = looped(&following, ours, |events| !events.is_empty()).await;
    assert!(events.iter().all(|event| event.name == "later"));
}

#[tokio::test]
async fn of_two_servers_behind_one_name_one_with_other_rows_is_not_believed_while_the_other_answers() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (backup, head) = lives.lose(&following).await;
    overtake(&lives, backup, head).await;
    following.status(overtaken).await;
    lives.switch.set(lives.first.address());
    following.status(|status| status.failures == 0 && status.current).await;
    lives.clock.set(NOON + 601);
    lives.switch.set(lives.second.address());
    following.status(overtaken).await;
    assert_eq!(following.status(|_| true).await.restored, None);
    lives.switch.set(lives.first.address());
    let next = lives.first.change(release("later", "1.0")).await.unwrap();
    following.reaches(next).await;
    assert_eq!(following.since(head).await, lives.first.events_after(head, 100));
}

/// An answer with these rows.
fn changelog(events: &[Event]) -> Fault {
    answers(CHANGELOG, &Value::Array(events.iter().map(row_of).collect()))
}

#[tokio::test]
async fn where_its_last_row_is_missing_those_before_it_tell_a_restored_upstream() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (backup, head) = lives.lose(&following).await;
    // Not every number is given out: once it has no row of that one.
    lives.second.faults().add(changelog(&[event("later", head.0 + 2)]).times(1)).unwrap();
    overtake(&lives, backup, head).await;
    following.status(overtaken).await;
    assert_eq!(following.journal.last_serial(), Some(head));
}

#[tokio::test]
async fn a_last_row_that_upstream_took_back_is_no_restore() {
    let lives = Lives::new(polling(), vec![]).await;
    let following = lives.follow().await;
    let (_, head) = lives.lose(&following).await;
    let later = event("later", head.0 + 2);
    lives.first.faults().add(changelog(std::slice::from_ref(&later))).unwrap();
    lives.first.faults().add(answers(LAST_SERIAL, &later.serial.0.into())).unwrap();
    following.reaches(later.serial).await;
    assert_eq!(following.since(head).await, [later]);
}

fn event(name: &str, serial: i64) -> Event {
    let action = "create".to_owned();
    Event { serial: Serial(serial), name: name.to_owned(), version: None, time: NOON, action }
}

#[tokio::test]
async fn unfollowed_an_upstream_that_passed_its_last_serial_is_found_by_questions() {
    let settings = FollowSettings { interval: Duration::from_millis(1), ..on_demand() };
    let lives = Lives::new(settings, lost()).await;
    let following = lives.follow().await;
    let head = lives.first.last_serial();
    following.journal.want(Want::Projects).done().await.unwrap();
    let before = lives.second.last_serial();
    let seen = following.since(before).await;
    assert_eq!(seen.last().unwrap().serial, head);
    let next = lives.first.change(release("seen", "1.0")).await.unwrap();
    let seen = within(async {
        loop {
            let seen = following.since(head).await;
            if !seen.is_empty() {
                break seen;
            }
        }
    })
    .await;
    assert_eq!(seen.last().unwrap().serial, next);
    let rows = overtake(&lives, before, next).await;
    let error = within(async {
        loop {
            match following.journal.want(Want::Since(next)).done().await {
                Err(error) if error.reason.contains("has another row") => break error,
                _ => {}
            }
        }
    })
    .await;
    assert!(error.retry.is_some());
    lives.clock.set(lives.clock.unix() + 601);
    let events = within(async {
        loop {
            if following.journal.want(Want::Since(next)).done().await.is_ok() {
                let events = following.since(next).await;
                if events.len() >= rows.len() {
                    break events;
                }
            }
        }
    })
    .await;
    assert_eq!(told(&events[..rows.len()]), told(&rows));
}
