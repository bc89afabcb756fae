//! What opening a folder refuses, and that it says what to do.

use std::path::Path;

use cheesewire::journal::{Journal, JournalError, JournalSettings, UnlockedJournal};
use cheesewire::model::UpstreamIdentity;

async fn open(folder: &Path) -> Result<Journal, JournalError> {
    Journal::open(folder, JournalSettings::default()).await
}

/// A closed journal's folder.
async fn closed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.unwrap().close().await;
    folder
}

async fn refusal(folder: &Path) -> JournalError {
    match open(folder).await {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_folder_in_use_is_refused_until_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).await.unwrap();
    let error = refusal(folder.path()).await;
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    first.close().await;
    open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_closed_journal_answers_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await.unwrap();
    journal.close().await;
    let name = cheesewire::model::ProjectName::parse("a").unwrap();
    assert!(matches!(journal.drop_project(&name).await, Err(JournalError::Closed)));
    assert!(matches!(journal.project(&name).await, Err(JournalError::Closed)));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite3");
    std::fs::write(&path, "not a database, but long enough for a header of one\n".repeat(200)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(folder.path()).await;
    assert!(matches!(error, JournalError::Broken { .. }), "{error}");
    assert!(
        error.to_string().contains("journal.sqlite3") && error.to_string().contains("move it away"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_truncated_database_is_refused() {
    let folder = closed().await;
    let path = folder.path().join("journal.sqlite3");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refusal(folder.path()).await;
    assert!(matches!(error, JournalError::Broken { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap().len(), whole.len() / 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_fix() {
    let folder = closed().await;
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(raw);
    let error = refusal(folder.path()).await;
    assert!(matches!(error, JournalError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer cheesewire"), "{error}");
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(raw);
    let error = refusal(folder.path()).await;
    assert!(matches!(error, JournalError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let error = refusal(&taken).await;
    assert!(matches!(error, JournalError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("--data"), "{error}");
}

fn of(address: &str) -> JournalSettings {
    let upstream = UpstreamIdentity::of(&address.parse().unwrap());
    JournalSettings { upstream, ..JournalSettings::default() }
}

#[tokio::test]
async fn a_folder_belongs_to_the_upstream_of_its_first_start_with_one() {
    // Made, as by a cheesewire of before, without saying whose it is.
    let folder = closed().await;
    Journal::open(folder.path(), of("https://index.test/simple/")).await.unwrap().close().await;
    Journal::open(folder.path(), of("http://index.test")).await.unwrap().close().await;
    let error = Journal::open(folder.path(), of("https://index.test/other/")).await.err().unwrap();
    assert!(matches!(error, JournalError::OtherUpstream { .. }) && !error.retry_helps(), "{error}");
    assert!(error.to_string().contains("index.test, and index.test/other is"), "{error}");
    // Who says none may look.
    open(folder.path()).await.unwrap().close().await;
    let journal = open(folder.path()).await.unwrap();
    let before = journal.adopt(of("https://index.test/other/").upstream.unwrap()).await.unwrap();
    assert_eq!(before.map(|before| before.to_string()).as_deref(), Some("index.test"));
    journal.close().await;
    Journal::open(folder.path(), of("https://index.test/other/")).await.unwrap().close().await;
}

#[tokio::test]
async fn a_look_beside_a_running_relay_compares_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let unlocked = |address: &str| UnlockedJournal::open(folder.path(), of(address).upstream.as_ref());
    let journal = open(folder.path()).await.unwrap();
    assert!(
        unlocked("https://index.test").unwrap().is_some()
            && unlocked("https://other.test").unwrap().is_some()
    );
    journal.adopt(of("https://index.test").upstream.unwrap()).await.unwrap();
    assert!(unlocked("https://index.test").unwrap().is_some());
    assert!(matches!(unlocked("https://other.test"), Err(JournalError::OtherUpstream { .. })));
    journal.close().await;
    // One of before.
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute_batch("DROP TABLE upstream_identity; DROP TABLE releases; DROP TABLE releases_due; PRAGMA user_version = 10").unwrap();
    assert!(unlocked("https://other.test").unwrap().is_some());
}
