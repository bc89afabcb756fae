//! What is kept with a time, when the clock moves: forward, and back from 30 days ahead.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cheesewire::journal::{
    Announced, AnswerKey, DocumentKey, Journal, JournalSettings, KeptAnswer, KeptDocument, Packed,
    PrefetchQueue,
};
use cheesewire::model::{Clock, FilePath, ProjectName, Serial};

/// Some day at noon.
const NOW: i64 = 1_700_000_000 / 86_400 * 86_400 + 43_200;
const DAY: i64 = 86_400;
const AHEAD: i64 = NOW + 30 * DAY;

fn name() -> ProjectName {
    ProjectName::parse("a").unwrap()
}

fn path() -> FilePath {
    FilePath::parse("x/a-1.zip").unwrap()
}

async fn open(folder: &Path, settings: JournalSettings) -> (Journal, Clock) {
    let clock = Clock::standing_at(NOW);
    let journal = Journal::open(folder, JournalSettings { clock: clock.clone(), ..settings }).await.unwrap();
    (journal, clock)
}

async fn absent(journal: &Journal, lifetime: Duration) {
    journal.note_absent(&path(), &name(), "upstream answered 404".to_owned(), lifetime).await.unwrap();
}

/// Whether it is refused by its path, and by its name.
async fn refused(journal: &Journal) -> (bool, bool) {
    let by_path = journal.tombstone(&path()).await.unwrap().is_some();
    (by_path, journal.tombstone_named(&name(), "a-1.zip").await.unwrap().is_some())
}

#[tokio::test]
async fn an_absence_refuses_for_its_lifetime_by_path_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, clock) = open(folder.path(), JournalSettings::default()).await;
    absent(&journal, Duration::from_mins(1)).await;
    for (now, expected) in [(NOW, true), (NOW + 59, true), (NOW + 60, false), (AHEAD, false)] {
        clock.set(now);
        assert_eq!(refused(&journal).await, (expected, expected), "{}", now - NOW);
    }
}

#[tokio::test]
async fn an_absence_noted_while_the_clock_was_ahead_refuses_nothing_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, clock) = open(folder.path(), JournalSettings::default()).await;
    clock.set(AHEAD);
    absent(&journal, Duration::from_hours(24)).await;
    assert_eq!(refused(&journal).await, (true, true));
    clock.set(NOW);
    assert_eq!(refused(&journal).await, (false, false));
    // Also if it was ahead by less than the absence lasts.
    clock.set(NOW + 3600);
    absent(&journal, Duration::from_hours(24)).await;
    clock.set(NOW);
    assert_eq!(refused(&journal).await, (false, false));
    // Asked again, and absent again: by the right clock.
    absent(&journal, Duration::from_mins(1)).await;
    assert_eq!(refused(&journal).await, (true, true));
    clock.set(NOW + 60);
    assert_eq!(refused(&journal).await, (false, false));
}

/// A queue with two files in it.
async fn queue(journal: &Journal) -> PrefetchQueue {
    let queue = journal.prefetch_queue();
    let file = |filename: &str| Announced {
        project: name(),
        filename: filename.to_owned(),
        version: None,
        serial: Serial(1),
    };
    queue.note(vec![file("a-1.zip"), file("a-2.zip")], Serial(1), 10).await.unwrap();
    queue
}

/// The files that are due, and how long until the next is.
async fn due(queue: &PrefetchQueue) -> (Vec<String>, Option<u64>) {
    let (due, next) = queue.due(10).await.unwrap();
    (due.into_iter().map(|queued| queued.file.filename).collect(), next)
}

#[tokio::test]
async fn what_is_put_off_is_due_when_its_time_has_come_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, clock) = open(folder.path(), JournalSettings::default()).await;
    let queue = queue(&journal).await;
    let (first, second) = (["a-1.zip".to_owned()], ["a-2.zip".to_owned()]);
    assert_eq!(due(&queue).await, ([&first[..], &second[..]].concat(), Some(0)));
    let (queued, _) = queue.due(10).await.unwrap();
    for (file, seconds) in queued.iter().zip([600, 60]) {
        queue.put_off(file.id, 1, seconds).await.unwrap();
    }
    assert_eq!(due(&queue).await, (vec![], Some(60)));
    clock.set(NOW + 59);
    assert_eq!(due(&queue).await, (vec![], Some(1)));
    clock.set(NOW + 60);
    assert_eq!(due(&queue).await, (second.to_vec(), Some(0)));
    clock.set(NOW + 600);
    assert_eq!(due(&queue).await, ([&second[..], &first[..]].concat(), Some(0)), "the longest due first");
}

#[tokio::test]
async fn what_was_put_off_while_the_clock_was_ahead_is_due_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, clock) = open(folder.path(), JournalSettings::default()).await;
    let queue = queue(&journal).await;
    clock.set(AHEAD);
    let (files, _) = queue.due(10).await.unwrap();
    queue.put_off(files[0].id, 1, 60).await.unwrap();
    assert_eq!(due(&queue).await.0, ["a-2.zip"]);
    clock.set(NOW);
    assert_eq!(due(&queue).await.0, ["a-2.zip", "a-1.zip"]);
    // By the right clock it waits as long as it should.
    queue.put_off(files[0].id, 2, 60).await.unwrap();
    assert_eq!(due(&queue).await.0, ["a-2.zip"]);
    clock.set(NOW + 60);
    assert_eq!(due(&queue).await.0, ["a-2.zip", "a-1.zip"]);
    // What was announced meanwhile is due too.
    clock.set(AHEAD);
    let late =
        Announced { project: name(), filename: "a-3.zip".to_owned(), version: None, serial: Serial(2) };
    queue.note(vec![late], Serial(2), 10).await.unwrap();
    clock.set(NOW + 60);
    assert_eq!(due(&queue).await.0.len(), 3);
    assert_eq!(queue.due(2).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn each_day_has_its_own_bytes_also_after_one_that_was_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, clock) = open(folder.path(), JournalSettings::default()).await;
    let queue = journal.prefetch_queue();
    assert_eq!(queue.spend(7).await.unwrap(), 7);
    clock.set(NOW + DAY / 2 - 1);
    assert_eq!(queue.spend(3).await.unwrap(), 10, "the same day in UTC");
    clock.set(NOW + DAY / 2);
    assert_eq!(queue.spend(0).await.unwrap(), 0, "a new one");
    assert_eq!(queue.spend(5).await.unwrap(), 5);
    clock.set(AHEAD);
    assert_eq!(queue.spend(9).await.unwrap(), 9);
    clock.set(NOW + DAY);
    assert_eq!(queue.spend(1).await.unwrap(), 1, "nothing of the day that was ahead");
    assert_eq!(queue.spend(1).await.unwrap(), 2);
}

#[tokio::test]
async fn documents_checked_while_the_clock_was_ahead_make_room_before_those_checked_since() {
    let folder = tempfile::tempdir().unwrap();
    let settings = JournalSettings { documents_bytes: 100, ..JournalSettings::default() };
    let (journal, clock) = open(folder.path(), settings).await;
    let key = |n: usize| DocumentKey::Page(ProjectName::parse(&format!("p{n}")).unwrap());
    let mut kept = Vec::new();
    for n in 0..40 {
        clock.set(if n < 10 { AHEAD } else { NOW + i64::try_from(n).unwrap() });
        let document = KeptDocument {
            body: Bytes::from_static(b"{}"),
            content_type: "application/vnd.pypi.simple.v1+json".to_owned(),
            etag: None,
            last_serial: None,
            url: "https://index.test/simple/p/".to_owned(),
            checked: journal.clock().unix(),
        };
        journal.keep_document(&key(n), &document, Vec::new()).await.unwrap();
    }
    for n in 0..40 {
        if journal.document(&key(n)).await.unwrap().is_some() {
            kept.push(n);
        }
    }
    assert!((2..30).contains(&kept.len()), "there is room for some, not for all: {kept:?}");
    assert_eq!(kept, (40 - kept.len()..40).collect::<Vec<_>>(), "the last ones");
}

#[tokio::test]
async fn answers_checked_while_the_clock_was_ahead_make_room_before_those_checked_since() {
    let folder = tempfile::tempdir().unwrap();
    let settings = JournalSettings { answers_bytes: 1_000, ..JournalSettings::default() };
    let (journal, clock) = open(folder.path(), settings).await;
    let key = |n: i64| AnswerKey { method: "browse", argument: n.to_string() };
    for n in 0..20 {
        clock.set(if n < 3 { AHEAD } else { NOW + n });
        let answer = KeptAnswer { body: Packed::pack(b"x").unwrap(), checked: journal.clock().unix() };
        journal.keep_answer(&key(n), &answer).await.unwrap();
    }
    let mut kept = Vec::new();
    for n in 0..20 {
        if journal.answer(&key(n)).await.unwrap().is_some() {
            kept.push(n);
        }
    }
    assert_eq!(kept, [16, 17, 18, 19]);
}
