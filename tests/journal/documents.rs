//! Kept documents and the files that they name.

use bytes::Bytes;
use cheesewire::journal::{DocumentKey, Journal, JournalSettings, KeptDocument, KnownFile, UnlockedJournal};
use cheesewire::model::{FilePath, ProjectName, Serial, Sha256};

fn name(spelling: &str) -> ProjectName {
    ProjectName::parse(spelling).unwrap()
}

fn page(project: &str) -> DocumentKey {
    DocumentKey::Page(name(project))
}

fn document(body: &str, checked: i64) -> KeptDocument {
    KeptDocument {
        body: Bytes::copy_from_slice(body.as_bytes()),
        content_type: "application/vnd.pypi.simple.v1+json".to_owned(),
        etag: Some("\"one\"".to_owned()),
        last_serial: Some(Serial(7)),
        url: "https://index.test/simple/a/".to_owned(),
        checked,
    }
}

fn file(project: &str, path: &str) -> KnownFile {
    KnownFile {
        path: FilePath::parse(path).unwrap(),
        url: format!("https://files.test/packages/{path}").into(),
        digest: Some(Sha256([7; 32]).into()),
        sha256: Some(Sha256([7; 32])),
        size: Some(12),
        project: name(project),
    }
}

/// What is known of the file that is found by a path.
async fn kept_file(folder: &tempfile::TempDir, journal: &Journal, path: &FilePath) -> Option<KnownFile> {
    let project = journal.project_at(path).await.unwrap()?;
    let mut found = None;
    let beside = UnlockedJournal::open(folder.path(), None).unwrap().unwrap();
    let its = |file: &KnownFile| file.path == *path && file.project == project;
    beside.files(|file| found = found.take().or(Some(file).filter(its))).unwrap();
    Some(found.expect("what is found is named"))
}

/// Bytes that do not compress: a counter through a digest would do, a generator of 64 bits is shorter.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(33 + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn a_kept_document_comes_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let kept = document(&"<a>".repeat(5000), 100);
    journal.keep_document(&page("a"), &kept, vec![file("a", "1/a-1.whl")]).await.unwrap();
    journal.close().await;
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    assert_eq!(journal.document(&page("A")).await.unwrap(), Some(kept));
    let path = FilePath::parse("1/a-1.whl").unwrap();
    assert_eq!(kept_file(&folder, &journal, &path).await, Some(file("a", "1/a-1.whl")));
}

#[tokio::test]
async fn a_page_of_before_that_may_state_other_digests_is_fetched_whole_when_it_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    for project in ["a", "b", "c"] {
        journal.keep_document(&page(project), &document(project, 1), vec![]).await.unwrap();
    }
    journal.close().await;
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute_batch(
        "INSERT INTO files (path, document, filename, url, sha256) \
         SELECT 'a', id, 'a-1.whl', 'a', zeroblob(32) FROM documents WHERE project = 'a' \
         UNION ALL SELECT 'b', id, 'b-1.whl', 'b', NULL FROM documents WHERE project = 'b' \
         UNION ALL SELECT 'c', id, 'c-1.whl.metadata', 'c', NULL FROM documents WHERE project = 'c'; \
         DROP TABLE paths; DROP TABLE file_lists; DROP TRIGGER document_changed; \
         DROP TABLE contents; DROP INDEX files_digest; ALTER TABLE files DROP COLUMN digest; PRAGMA user_version = 12",
    )
    .unwrap();
    drop(raw);
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    for (project, etag) in [("a", true), ("b", false), ("c", true)] {
        let kept = journal.document(&page(project)).await.unwrap().unwrap();
        assert_eq!(kept.etag.is_some(), etag, "{project}");
    }
}

#[tokio::test]
async fn of_a_path_that_a_document_names_twice_the_bytes_of_both_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let with = |digest| KnownFile {
        digest: Some(Sha256([digest; 32]).into()),
        sha256: Some(Sha256([digest; 32])),
        ..file("a", "2/a-1.whl")
    };
    let files = vec![with(1), file("a", "1/a-1.whl"), with(2)];
    journal.keep_document(&page("a"), &document("a", 1), files).await.unwrap();
    for digest in [1, 2] {
        assert_eq!(journal.file_with(Sha256([digest; 32])).await.unwrap(), Some(with(digest)));
    }
    assert_eq!(journal.project_at(&with(1).path).await.unwrap(), Some(name("a")));
}

#[tokio::test]
async fn the_documents_of_one_project_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let keys = [
        page("a"),
        DocumentKey::Json(name("a"), None),
        DocumentKey::Json(name("a"), Some("1.0".to_owned())),
        DocumentKey::Json(name("a"), Some("1.0.0".to_owned())),
    ];
    for (key, body) in keys.iter().zip(["0", "1", "2", "3"]) {
        journal.keep_document(key, &document(body, 1), vec![]).await.unwrap();
    }
    for (key, body) in keys.iter().zip(["0", "1", "2", "3"]) {
        assert_eq!(journal.document(key).await.unwrap().unwrap().body, body);
    }
    journal.forget_document(&keys[2]).await.unwrap();
    assert_eq!(journal.document(&keys[2]).await.unwrap(), None);
    assert!(journal.document(&keys[3]).await.unwrap().is_some());
    journal.drop_project(&name("a")).await.unwrap();
    for key in &keys {
        assert_eq!(journal.document(key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_new_page_replaces_the_files_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let (old, moved, other) = (file("a", "1/a-1.whl"), file("a", "2/a-1.whl"), file("b", "3/a-1.whl"));
    journal.keep_document(&page("b"), &document("b", 1), vec![other.clone()]).await.unwrap();
    let first = vec![old.clone(), file("a", "1/a-0.whl")];
    journal.keep_document(&page("a"), &document("1", 1), first).await.unwrap();
    journal.keep_document(&page("a"), &document("2", 2), vec![old.clone(), moved.clone()]).await.unwrap();
    for kept in [old, moved, other] {
        assert_eq!(kept_file(&folder, &journal, &kept.path).await, Some(kept));
    }
    assert_eq!(kept_file(&folder, &journal, &file("a", "1/a-0.whl").path).await, None);
}

#[tokio::test]
async fn files_leave_with_the_document_that_named_them() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let known = file("a", "1/a-1.whl");
    journal.keep_document(&page("a"), &document("1", 1), vec![known.clone()]).await.unwrap();
    journal.forget_document(&page("a")).await.unwrap();
    assert_eq!(kept_file(&folder, &journal, &known.path).await, None);
}

#[tokio::test]
async fn what_a_page_names_stays_with_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let (shared, own) = (file("a", "1/a-1.whl"), file("a", "1/a-2.whl"));
    let json = DocumentKey::Json(name("a"), None);
    let both = vec![shared.clone(), own.clone()];
    for page_first in [true, false] {
        if page_first {
            journal.keep_document(&page("a"), &document("1", 1), vec![shared.clone()]).await.unwrap();
        }
        journal.keep_document(&json, &document("2", 1), both.clone()).await.unwrap();
        if !page_first {
            journal.keep_document(&page("a"), &document("1", 1), vec![shared.clone()]).await.unwrap();
        }
        assert_eq!(kept_file(&folder, &journal, &own.path).await, Some(own.clone()));
        journal.forget_document(&json).await.unwrap();
        assert_eq!(
            kept_file(&folder, &journal, &shared.path).await,
            Some(shared.clone()),
            "page first: {page_first}"
        );
        assert_eq!(kept_file(&folder, &journal, &own.path).await, None);
        journal.drop_project(&name("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_touched_document_keeps_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.keep_document(&page("a"), &document("1", 1), vec![]).await.unwrap();
    journal.touch_document(&page("a"), 99).await.unwrap();
    journal.touch_document(&page("nothing"), 99).await.unwrap();
    assert_eq!(journal.document(&page("a")).await.unwrap(), Some(document("1", 99)));
}

#[tokio::test]
async fn past_the_bound_the_least_recently_checked_go_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let settings = JournalSettings { documents_bytes: 32_000, ..JournalSettings::default() };
    let journal = Journal::open(folder.path(), settings).await.unwrap();
    let body = noise(12_000);
    for (project, checked) in [("a", 3), ("b", 1), ("c", 2)] {
        let files = vec![file(project, &format!("1/{project}-1.whl"))];
        journal.keep_document(&page(project), &document(&body, checked), files).await.unwrap();
    }
    // The oldest is touched and thereby no longer the next to go.
    journal.touch_document(&page("b"), 9).await.unwrap();
    journal.keep_document(&page("d"), &document(&body, 4), vec![]).await.unwrap();
    let kept = async |project| journal.document(&page(project)).await.unwrap().is_some();
    assert_eq!(
        (kept("a").await, kept("b").await, kept("c").await, kept("d").await),
        (true, true, false, true)
    );
    assert_eq!(kept_file(&folder, &journal, &FilePath::parse("1/c-1.whl").unwrap()).await, None);
    // One that alone is past the bound is kept, for its files must be known; the rest makes room.
    journal.keep_document(&page("e"), &document(&noise(60_000), 0), vec![]).await.unwrap();
    assert_eq!((kept("a").await, kept("e").await), (false, true));
}
