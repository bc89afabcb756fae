//! What the journal remembers of files that went.

use std::time::Duration;

use bytes::Bytes;
use cheesewire::journal::{
    DocumentKey, Journal, JournalSettings, KeptDocument, KnownFile, PendingDelete, TombstoneKind,
    UnlockedJournal,
};
use cheesewire::model::{Event, FilePath, ProjectName, Serial, Sha256};

fn name() -> ProjectName {
    ProjectName::parse("a").unwrap()
}

fn path(filename: &str) -> FilePath {
    FilePath::parse(&format!("x/{filename}")).unwrap()
}

pub(super) fn file(filename: &str, digest: u8) -> KnownFile {
    KnownFile {
        path: path(filename),
        url: format!("https://files.test/packages/x/{filename}").into(),
        digest: Some(Sha256([digest; 32]).into()),
        sha256: Some(Sha256([digest; 32])),
        size: None,
        project: name(),
    }
}

/// A page as new as the serial, which names the files.
pub(super) async fn keep(journal: &Journal, serial: i64, files: Vec<KnownFile>) {
    let document = KeptDocument {
        body: Bytes::from_static(b"{}"),
        content_type: "application/vnd.pypi.simple.v1+json".to_owned(),
        etag: None,
        last_serial: Some(Serial(serial)),
        url: "https://index.test/simple/a/".to_owned(),
        checked: 1,
    };
    journal.keep_document(&DocumentKey::Page(name()), &document, files).await.unwrap();
}

pub(super) async fn journal(folder: &tempfile::TempDir, settings: JournalSettings) -> Journal {
    let journal = Journal::open(folder.path(), settings).await.unwrap();
    journal.seed(vec![("a".to_owned(), Some(Serial(10)))], Serial(10)).await.unwrap();
    journal
}

pub(super) async fn happens(journal: &Journal, serial: i64, version: Option<&str>, action: &str) {
    let event = Event {
        serial: Serial(serial),
        name: "A".to_owned(),
        version: version.map(str::to_owned),
        time: 1,
        action: action.to_owned(),
    };
    journal.append(vec![event], Serial(serial - 1), Serial(serial)).await.unwrap();
}

async fn kind(journal: &Journal, filename: &str) -> Option<TombstoneKind> {
    journal.tombstone(&path(filename)).await.unwrap().map(|stone| stone.kind)
}

async fn pending_deletes(journal: &Journal) -> Vec<u8> {
    journal
        .pending_deletes(None, 100)
        .await
        .unwrap()
        .iter()
        .map(|pending_deletes| pending_deletes.sha256.0[0])
        .collect()
}

#[tokio::test]
async fn a_removed_release_takes_its_own_files_only_and_their_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    let all = ["a-1.0.tar.gz", "a-1.0-py3-none-any.whl", "a-1.0-py3-none-any.whl.metadata", "a-1.0.1.tar.gz"];
    let files = all.iter().zip(1..).map(|(filename, digest)| file(filename, digest));
    keep(&journal, 10, files.collect()).await;
    happens(&journal, 11, Some("1.0"), "remove release").await;
    for filename in &all[..3] {
        assert_eq!(kind(&journal, filename).await, Some(TombstoneKind::Removed), "{filename}");
    }
    assert_eq!(kind(&journal, all[3]).await, None);
    assert_eq!(pending_deletes(&journal).await, [1, 2, 3]);
    assert!(journal.removed_after(&name(), Some(Serial(10))).await.unwrap());
    assert!(!journal.removed_after(&name(), Some(Serial(11))).await.unwrap());
    let stone = journal.tombstone_named(&name(), all[0]).await.unwrap().unwrap();
    assert_eq!(stone.reason, "A 1.0: remove release (serial 11)");
}

#[tokio::test]
async fn the_last_removal_is_known_without_any_page_and_in_whatever_order_events_come() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    happens(&journal, 15, Some("2"), "remove file a-2.zip").await;
    happens(&journal, 5, Some("1"), "remove file a-1.zip").await;
    happens(&journal, 17, Some("3"), "add source file a-3.zip").await;
    let removed = async |serial: i64| journal.removed_after(&name(), Some(Serial(serial))).await.unwrap();
    assert!(removed(4).await && removed(14).await && !removed(15).await);
    assert!(!journal.removed_after(&name(), None).await.unwrap(), "no page states a serial");
    happens(&journal, 18, None, "remove project").await;
    assert!(removed(17).await);
}

#[tokio::test]
async fn what_was_taken_of_a_project_away_is_told_the_newest_first_and_only_as_far_as_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    let filenames = ["a-1.zip", "a-2.zip", "a-3.zip", "a-4.zip", "a-5.zip", "a-6.zip"];
    let files = filenames.iter().zip(1..).map(|(filename, digest)| file(filename, digest));
    keep(&journal, 10, files.collect()).await;
    let last = async || journal.last_removal(&name()).await.unwrap().map(|event| event.serial.0);
    assert_eq!(last().await, None);
    happens(&journal, 11, Some("1"), "remove file a-1.zip").await;
    happens(&journal, 12, Some("2"), "remove file a-2.zip").await;
    happens(&journal, 13, Some("7"), "new release").await;
    assert_eq!(last().await, Some(12));
    journal.note_absent(&path("a-3.zip"), &name(), "404".to_owned(), Duration::from_hours(1)).await.unwrap();
    // These two say nothing: one is over, the other is what nobody has brought.
    journal.note_absent(&path("a-4.zip"), &name(), "404".to_owned(), Duration::ZERO).await.unwrap();
    journal.note_unsent(&path("a-5.zip"), &name(), Duration::from_hours(1)).await.unwrap();
    let told = async |most| {
        let stones = journal.tombstones_of(&name(), most).await.unwrap();
        stones.into_iter().map(|(filename, _)| filename).collect::<Vec<_>>()
    };
    assert_eq!(told(9).await, ["a-3.zip", "a-2.zip", "a-1.zip"]);
    assert_eq!(told(1).await, ["a-3.zip"]);
    // Without a file that is known here.
    happens(&journal, 14, Some("9"), "remove release").await;
    assert_eq!(last().await, Some(14));
    // So long before the newest event that only the file's tombstone tells.
    let newest = Event {
        serial: Serial(15),
        name: "b".to_owned(),
        version: None,
        time: 40 * 86_400,
        action: "create".to_owned(),
    };
    journal.append(vec![newest], Serial(14), Serial(15)).await.unwrap();
    happens(&journal, 16, Some("6"), "remove file a-6.zip").await;
    assert_eq!(last().await, Some(16));
    let other = ProjectName::parse("b").unwrap();
    assert_eq!(journal.last_removal(&other).await.unwrap(), None);
    assert_eq!(journal.tombstones_of(&other, 9).await.unwrap(), []);
}

#[tokio::test]
async fn an_older_journal_learns_of_its_late_removals() {
    let folder = tempfile::tempdir().unwrap();
    let before = journal(&folder, JournalSettings::default()).await;
    happens(&before, 11, Some("1"), "remove file a-1.zip").await;
    before.close().await;
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute_batch(
        "DROP TABLE removals; DROP TABLE leads; DROP TABLE lost; DROP TABLE upstream_identity; DROP TABLE releases; DROP TABLE releases_due; \
         DROP TABLE known_since; DROP INDEX prefetch_noted; ALTER TABLE prefetch DROP COLUMN noted; \
         DROP TABLE paths; DROP TABLE file_lists; DROP TRIGGER document_changed; \
         DROP TABLE contents; DROP INDEX files_digest; ALTER TABLE files DROP COLUMN digest; \
         DROP TABLE quarantined; DROP TABLE absences; \
         CREATE TABLE hidden (project TEXT PRIMARY KEY) STRICT, WITHOUT ROWID; \
         ALTER TABLE tombstones DROP COLUMN noted; PRAGMA user_version = 5",
    )
    .unwrap();
    drop(raw);
    let after = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    assert!(after.removed_after(&name(), Some(Serial(10))).await.unwrap());
    assert!(!after.removed_after(&name(), Some(Serial(11))).await.unwrap());
}

#[tokio::test]
async fn a_cleared_quarantine_brings_back_what_was_not_removed_too() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    keep(&journal, 10, vec![file("a-1.zip", 1), file("a-2.zip", 2)]).await;
    happens(&journal, 11, Some("1"), "remove file a-1.zip").await;
    happens(&journal, 12, None, "project quarantined").await;
    assert_eq!(kind(&journal, "a-1.zip").await, Some(TombstoneKind::Removed));
    assert_eq!(kind(&journal, "a-2.zip").await, Some(TombstoneKind::Quarantined));
    happens(&journal, 13, None, "project quarantine cleared").await;
    assert_eq!(kind(&journal, "a-1.zip").await, Some(TombstoneKind::Removed));
    assert_eq!(kind(&journal, "a-2.zip").await, None);
    happens(&journal, 14, Some("1"), "add source file a-1.zip").await;
    assert_eq!(kind(&journal, "a-1.zip").await, None);
}

#[tokio::test]
async fn a_file_that_is_added_again_lifts_its_removal_and_its_absence_but_no_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    let files = ["a-1.zip", "a-1.zip.metadata", "a-2.zip", "a-3.zip"];
    keep(&journal, 10, files.iter().zip(1..).map(|(name, digest)| file(name, digest)).collect()).await;
    happens(&journal, 11, Some("2"), "remove file a-2.zip").await;
    journal.note_absent(&path("a-3.zip"), &name(), "404".to_owned(), Duration::from_hours(1)).await.unwrap();
    // The whole project, then one release: each file that is announced meanwhile stays away.
    for (at, version, verb) in [(12, None, "project"), (17, Some("1"), "release")] {
        happens(&journal, at, version, &format!("{verb} quarantined")).await;
        for (serial, version) in (at + 1..).zip(["1", "2", "3"]) {
            let announced = format!("add source file a-{version}.zip");
            happens(&journal, serial, Some(version), &announced).await;
        }
        for quarantined in ["a-1.zip", "a-1.zip.metadata"] {
            assert_eq!(
                kind(&journal, quarantined).await,
                Some(TombstoneKind::Quarantined),
                "{verb}: {quarantined}"
            );
        }
        assert_eq!(kind(&journal, "a-2.zip").await, None, "it was removed, and is there again");
        let third = (verb == "project").then_some(TombstoneKind::Quarantined);
        assert_eq!(kind(&journal, "a-3.zip").await, third, "{verb}");
        happens(&journal, at + 4, version, &format!("{verb} quarantine cleared")).await;
        assert_eq!(kind(&journal, "a-1.zip").await, None);
    }
}

#[tokio::test]
async fn history_that_comes_late_buries_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    keep(&journal, 10, vec![file("a-1.zip", 1)]).await;
    happens(&journal, 5, Some("1"), "remove file a-1.zip").await;
    assert_eq!(kind(&journal, "a-1.zip").await, None);
}

#[tokio::test]
async fn a_digest_that_changes_and_a_file_that_leaves_its_page_doom_the_kept_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    keep(&journal, 10, vec![file("a-1.zip", 1), file("a-2.zip", 2), file("a-3.zip", 3)]).await;
    keep(&journal, 11, vec![file("a-1.zip", 9), file("a-2.zip", 2)]).await;
    assert_eq!(pending_deletes(&journal).await, [1, 3]);
    journal.discarded(vec![Sha256([1; 32]), Sha256([3; 32])]).await.unwrap();
    keep(&journal, 12, vec![file("a-1.zip", 9), file("a-2.zip", 2)]).await;
    assert!(pending_deletes(&journal).await.is_empty());
}

#[tokio::test]
async fn tombstones_are_bounded_and_absences_expire() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings { tombstones: 3, ..JournalSettings::default() }).await;
    let absent = async |filename: &str, seconds| {
        let lifetime = Duration::from_secs(seconds);
        journal
            .note_absent(&path(filename), &name(), "upstream answered 404".to_owned(), lifetime)
            .await
            .unwrap();
    };
    for n in 0..5 {
        absent(&format!("a-{n}.zip"), 100).await;
    }
    assert_eq!(kind(&journal, "a-1.zip").await, None);
    assert_eq!(kind(&journal, "a-2.zip").await, Some(TombstoneKind::Absent));
    absent("a-4.zip", 0).await;
    assert_eq!(kind(&journal, "a-4.zip").await, None, "it has expired");
}

#[tokio::test]
async fn another_process_may_add_to_what_has_to_go() {
    let folder = tempfile::tempdir().unwrap();
    assert!(UnlockedJournal::open(folder.path(), None).unwrap().is_none());
    let journal = journal(&folder, JournalSettings::default()).await;
    keep(&journal, 10, vec![file("a-1.zip", 1)]).await;
    let mut unlocked = UnlockedJournal::open(folder.path(), None).unwrap().unwrap();
    let mut named = Vec::new();
    unlocked.files(|file| named.push(file)).unwrap();
    assert_eq!(named, [file("a-1.zip", 1)]);
    unlocked.queue_deletes(&[PendingDelete { sha256: Sha256([1; 32]), repair: true }]).unwrap();
    let queue = journal.pending_deletes(None, 10).await.unwrap();
    assert_eq!(queue, [PendingDelete { sha256: Sha256([1; 32]), repair: true }]);
    assert_eq!(unlocked.left(&[Sha256([1; 32]), Sha256([2; 32])]).unwrap(), 1);
    journal.discarded(vec![Sha256([1; 32])]).await.unwrap();
    assert_eq!(unlocked.left(&[Sha256([1; 32])]).unwrap(), 0);
}

#[tokio::test]
async fn what_was_said_to_be_deleted_stays_so_until_it_is_added_again_and_what_was_asked_for_in_vain_is_no_tombstone()
 {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, JournalSettings::default()).await;
    keep(&journal, 10, vec![file("a-1.zip", 1), file("a-2.zip", 2), file("a-3.zip", 3)]).await;
    journal.note_deleted(&path("a-1.zip"), &name(), "deleted".to_owned()).await.unwrap();
    journal.note_unsent(&path("a-2.zip"), &name(), Duration::from_hours(24)).await.unwrap();
    journal.note_unsent(&path("a-3.zip"), &name(), Duration::ZERO).await.unwrap();
    let unsent = async |filename| journal.is_unsent(&path(filename)).await.unwrap();
    assert_eq!(kind(&journal, "a-1.zip").await, Some(TombstoneKind::Absent));
    assert_eq!((kind(&journal, "a-2.zip").await, unsent("a-2.zip").await), (None, true));
    assert!(!unsent("a-1.zip").await && !unsent("a-3.zip").await);
    // Upstream's own word, which passes, shortens nothing.
    journal.note_absent(&path("a-1.zip"), &name(), "404".to_owned(), Duration::ZERO).await.unwrap();
    assert_eq!(kind(&journal, "a-1.zip").await, Some(TombstoneKind::Absent));
    // A page that names it says nothing new.
    keep(&journal, 11, vec![file("a-1.zip", 1), file("a-2.zip", 2)]).await;
    happens(&journal, 11, Some("2"), "new release").await;
    assert_eq!(
        (kind(&journal, "a-1.zip").await, unsent("a-2.zip").await),
        (Some(TombstoneKind::Absent), true)
    );
    happens(&journal, 12, Some("1"), "add source file a-1.zip").await;
    assert_eq!((kind(&journal, "a-1.zip").await, unsent("a-2.zip").await), (None, true));
    happens(&journal, 13, Some("2"), "add source file a-2.zip").await;
    assert!(!unsent("a-2.zip").await);
    // What is removed is not only deleted, and stays removed.
    happens(&journal, 14, Some("1"), "remove file a-1.zip").await;
    journal.note_deleted(&path("a-1.zip"), &name(), "deleted".to_owned()).await.unwrap();
    assert_eq!(kind(&journal, "a-1.zip").await, Some(TombstoneKind::Removed));
    // What was said to be deleted may have been in quarantine there.
    journal.note_deleted(&path("a-2.zip"), &name(), "deleted".to_owned()).await.unwrap();
    happens(&journal, 15, None, "project quarantine cleared").await;
    assert_eq!(kind(&journal, "a-2.zip").await, None);
}
