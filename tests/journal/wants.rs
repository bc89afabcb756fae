//! Questions for upstream: newest first, each once, and nobody waits for ever.

use std::time::Duration;

use cheesewire::journal::{Journal, JournalSettings, Want, WantError};
use cheesewire::model::Serial;

use crate::support::within;

async fn journal() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    (folder, journal)
}

fn since(serial: i64) -> Want {
    Want::Since(Serial(serial))
}

#[tokio::test]
async fn the_newest_question_comes_first_and_asking_again_makes_it_newer() {
    let (_folder, journal) = journal().await;
    for serial in [1, 2, 3, 1] {
        journal.want(since(serial));
    }
    for serial in [1, 3, 2] {
        let taken = journal.next_want().await;
        assert_eq!(taken.want, since(serial));
        taken.finish(Ok(()));
    }
}

#[tokio::test]
async fn who_asks_the_same_waits_for_the_same_answer() {
    let (_folder, journal) = journal().await;
    let before = journal.want(since(1));
    let taken = journal.next_want().await;
    let during = journal.want(since(1));
    journal.want(since(2));
    // Nothing but the other question is left to be asked.
    assert_eq!(journal.next_want().await.want, since(2));
    let failure = WantError { reason: "down".to_owned(), retry: Some(Duration::from_secs(9)) };
    taken.finish(Err(failure.clone()));
    assert_eq!(before.done().await, Err(failure.clone()));
    assert_eq!(within("it was not joined", during.done()).await, Err(failure));
    // Later it is a new question.
    journal.want(since(1));
    assert_eq!(journal.next_want().await.want, since(1));
}

#[tokio::test]
async fn a_question_that_is_given_up_says_so() {
    let (_folder, journal) = journal().await;
    let wanted = journal.want(since(1));
    drop(journal.next_want().await);
    assert!(wanted.done().await.unwrap_err().reason.contains("given up"));
}

#[tokio::test]
async fn past_the_bound_the_oldest_question_goes() {
    let (_folder, journal) = journal().await;
    let oldest = journal.want(since(0));
    for serial in 1..=64 {
        journal.want(since(serial));
    }
    assert!(oldest.done().await.is_err());
    assert_eq!(journal.next_want().await.want, since(64));
}
