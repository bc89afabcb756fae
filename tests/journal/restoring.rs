//! What the journal does with an upstream that was restored from an older copy.

use cheesewire::journal::{Journal, JournalSettings, Position};
use cheesewire::model::{Event, FilePath, ProjectName, Serial};

use super::removals::{file, happens, journal, keep};

fn event(serial: i64, time: i64) -> Event {
    let (name, action) = ("A".to_owned(), "remove file a-1.0.tar.gz".to_owned());
    Event { serial: Serial(serial), name, version: Some("1.0".to_owned()), time, action }
}

#[tokio::test]
async fn a_row_is_one_that_we_have_only_if_all_of_it_is_the_same_but_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.seed(Vec::new(), Serial(10)).await.unwrap();
    journal.append(vec![event(11, 100), event(12, 200)], Serial(10), Serial(12)).await.unwrap();
    let common = async |rows: &[Event]| journal.common_with(rows.to_vec()).await.unwrap();
    let all = common(&[event(11, 100), event(12, 200)]).await;
    assert_eq!((all.last, all.differs), (Some(Position::same(Serial(12))), false));
    // Under a number of its own it is the same.
    let moved = common(&[event(11, 100), event(13, 200)]).await;
    let last = Position { ours: Serial(12), theirs: Serial(13) };
    assert_eq!((moved.last, moved.differs), (Some(last), false));
    let other = |change: fn(&mut Event)| {
        let mut row = event(12, 200);
        change(&mut row);
        row
    };
    for odd in [
        // The same happened again, after the backup.
        other(|row| row.time = 201),
        other(|row| row.name = "a".to_owned()),
        other(|row| row.version = None),
        other(|row| row.version = Some("1".to_owned())),
        other(|row| row.action = "remove file a-1.0.zip".to_owned()),
        other(|row| row.action = "remove file".to_owned()),
    ] {
        let common = common(&[event(11, 100), odd.clone(), event(12, 200)]).await;
        assert_eq!((common.last, common.differs), (Some(Position::same(Serial(11))), true), "{odd:?}");
    }
}

#[tokio::test]
async fn what_only_lost_events_took_away_is_there_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    let name = ProjectName::parse("a").unwrap();
    keep(&journal, 10, vec![file("a-1.0.tar.gz", 1), file("a-2.0.tar.gz", 2)]).await;
    happens(&journal, 11, Some("1.0"), "remove file a-1.0.tar.gz").await;
    happens(&journal, 12, Some("2.0"), "remove file a-2.0.tar.gz").await;
    let gone = async |filename: &str| {
        journal.tombstone(&FilePath::parse(&format!("x/{filename}")).unwrap()).await.unwrap().is_some()
    };
    assert!(gone("a-1.0.tar.gz").await && gone("a-2.0.tar.gz").await);
    journal.restore(Position::same(Serial(11)), false).await.unwrap();
    assert!(gone("a-1.0.tar.gz").await, "upstream still says so");
    assert!(!gone("a-2.0.tar.gz").await);
    assert!(!journal.removed_after(&name, Some(Serial(11))).await.unwrap());
    assert!(journal.removed_after(&name, Some(Serial(10))).await.unwrap());
}
