//! How the files of documents are kept: what is written, what a journal of before becomes, and what damage does.

use bytes::Bytes;
use cheesewire::journal::{
    DocumentKey, Journal, JournalSettings, KeptDocument, KnownFile, PendingDelete, TombstoneKind,
    UnlockedJournal,
};
use cheesewire::model::{Digest, Event, FilePath, ProjectName, Serial, Sha256};
use rusqlite::Connection;

fn name(project: &str) -> ProjectName {
    ProjectName::parse(project).unwrap()
}

fn page(project: &str) -> DocumentKey {
    DocumentKey::Page(name(project))
}

fn file(project: &str, path: &str, digest: u8) -> KnownFile {
    KnownFile {
        path: FilePath::parse(path).unwrap(),
        url: format!("https://files.test/packages/{path}").into(),
        digest: Some(Sha256([digest; 32]).into()),
        sha256: Some(Sha256([digest; 32])),
        size: Some(12),
        project: name(project),
    }
}

async fn open(folder: &tempfile::TempDir) -> Journal {
    Journal::open(folder.path(), JournalSettings::default()).await.unwrap()
}

async fn keep(journal: &Journal, key: &DocumentKey, serial: i64, files: &[KnownFile]) {
    let document = KeptDocument {
        body: Bytes::from(format!("{files:?}")),
        content_type: "application/vnd.pypi.simple.v1+json".to_owned(),
        etag: None,
        last_serial: Some(Serial(serial)),
        url: "https://index.test/simple/a/".to_owned(),
        checked: serial,
    };
    journal.keep_document(key, &document, files.to_vec()).await.unwrap();
}

async fn happens(journal: &Journal, serial: i64, project: &str, action: &str) {
    let event = Event {
        serial: Serial(serial),
        name: project.to_owned(),
        version: None,
        time: 1,
        action: action.to_owned(),
    };
    journal.append(vec![event], Serial(serial - 1), Serial(serial)).await.unwrap();
}

fn raw(folder: &tempfile::TempDir) -> Connection {
    Connection::open(folder.path().join("journal.sqlite3")).unwrap()
}

fn number(raw: &Connection, sql: &str) -> i64 {
    raw.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn project_at(journal: &Journal, path: &str) -> Option<String> {
    let found = journal.project_at(&FilePath::parse(path).unwrap()).await.unwrap();
    found.map(|project| project.to_string())
}

async fn pending_deletes(journal: &Journal) -> Vec<u8> {
    let pending_deletes = journal.pending_deletes(None, 100).await.unwrap();
    journal
        .discarded(pending_deletes.iter().map(|pending_deletes| pending_deletes.sha256).collect())
        .await
        .unwrap();
    pending_deletes.iter().map(|pending_deletes| pending_deletes.sha256.0[0]).collect()
}

/// What the command line takes for named by kept documents.
fn named(folder: &tempfile::TempDir) -> Vec<KnownFile> {
    let (beside, mut found) = (UnlockedJournal::open(folder.path(), None).unwrap().unwrap(), Vec::new());
    beside.files(|file| found.push(file)).unwrap();
    found
}

#[tokio::test]
async fn what_has_not_changed_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder).await;
    let mut files: Vec<_> = (0..100).map(|n| file("a", &format!("1/a-{n}.whl"), n)).collect();
    keep(&journal, &page("a"), 1, &files).await;
    let raw = raw(&folder);
    raw.execute_batch("CREATE TABLE written (what TEXT NOT NULL)").unwrap();
    for table in ["bodies", "file_lists", "paths"] {
        for does in ["INSERT", "UPDATE", "DELETE"] {
            let sql = format!(
                "CREATE TRIGGER {table}_{does} AFTER {does} ON {table} \
                 BEGIN INSERT INTO written VALUES ('{does} {table}'); END"
            );
            raw.execute_batch(&sql).unwrap();
        }
    }
    let written = || {
        let mut statement = raw.prepare("DELETE FROM written RETURNING what").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut written: Vec<_> = rows.map(Result::unwrap).collect();
        written.sort();
        written
    };
    keep(&journal, &page("a"), 2, &files).await;
    assert_eq!(written(), Vec::<String>::new());
    let kept = journal.document(&page("a")).await.unwrap().unwrap();
    assert_eq!((kept.checked, kept.last_serial), (2, Some(Serial(2))));
    files.push(file("a", "1/a-100.whl", 100));
    files.push(file("a", "1/a-100.whl.metadata", 101));
    keep(&journal, &page("a"), 3, &files).await;
    assert_eq!(written(), ["INSERT paths", "UPDATE bodies", "UPDATE file_lists"]);
    files.remove(7);
    keep(&journal, &page("a"), 4, &files).await;
    assert_eq!(written(), ["DELETE paths", "UPDATE bodies", "UPDATE file_lists"]);
    assert_eq!(
        (project_at(&journal, "1/a-7.whl").await, project_at(&journal, "1/a-8.whl").await),
        (None, Some("a".to_owned()))
    );
    assert_eq!(pending_deletes(&journal).await, [7]);
}

#[tokio::test]
async fn the_weight_of_all_documents_follows_each_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, raw) = (open(&folder).await, raw(&folder));
    let all: Vec<_> = (0..200).map(|n| file("a", &format!("1/a-{n}.whl"), n)).collect();
    let mut weights = Vec::new();
    for files in [10, 200, 50] {
        keep(&journal, &page("a"), 1, &all[..files]).await;
        keep(&journal, &page("b"), 1, &all[..1]).await;
        weights.push(number(&raw, "SELECT sum(bytes) FROM documents"));
        assert_eq!(
            number(&raw, "SELECT value FROM facts WHERE name = 'documents_bytes'"),
            weights[weights.len() - 1]
        );
    }
    assert!(weights[0] < weights[2] && weights[2] < weights[1], "{weights:?}");
    journal.drop_project(&name("a")).await.unwrap();
    journal.drop_project(&name("b")).await.unwrap();
    assert_eq!(number(&raw, "SELECT value FROM facts WHERE name = 'documents_bytes'"), 0);
    assert_eq!(number(&raw, "SELECT (SELECT count(*) FROM paths) + (SELECT count(*) FROM file_lists)"), 0);
}

#[tokio::test]
async fn what_another_projects_page_has_taken_over_stays_when_the_first_loses_it() {
    for loss in ["the page", "an event"] {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(&folder).await;
        journal.seed(vec![("a".to_owned(), Some(Serial(10)))], Serial(10)).await.unwrap();
        let (own, shared) = (file("a", "1/a-1.whl", 1), file("a", "2/a-2.whl", 2));
        keep(&journal, &page("a"), 10, &[own.clone(), shared.clone()]).await;
        keep(&journal, &page("b"), 10, &[shared]).await;
        assert_eq!(project_at(&journal, "2/a-2.whl").await.as_deref(), Some("b"));
        match loss {
            "the page" => keep(&journal, &page("a"), 11, &[]).await,
            _ => happens(&journal, 11, "a", "remove project").await,
        }
        assert_eq!(pending_deletes(&journal).await, [1], "{loss}");
        assert_eq!(project_at(&journal, "2/a-2.whl").await.as_deref(), Some("b"), "{loss}");
        let stone = async |path| journal.tombstone(&FilePath::parse(path).unwrap()).await.unwrap();
        assert_eq!(
            stone("1/a-1.whl").await.map(|stone| stone.kind),
            (loss == "an event").then_some(TombstoneKind::Removed)
        );
        assert_eq!(stone("2/a-2.whl").await, None, "{loss}");
    }
}

#[tokio::test]
async fn a_path_comes_back_with_the_next_reading_of_a_page_that_has_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder).await;
    let shared = [file("a", "1/a-1.whl", 1)];
    keep(&journal, &page("a"), 1, &shared).await;
    keep(&journal, &page("b"), 1, &shared).await;
    journal.forget_document(&page("b")).await.unwrap();
    assert_eq!(project_at(&journal, "1/a-1.whl").await, None);
    keep(&journal, &page("a"), 2, &shared).await;
    assert_eq!(project_at(&journal, "1/a-1.whl").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_file_without_sha256_is_known_by_it_once_it_was_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder).await;
    let digest = Digest::parse("sha512", &"ab".repeat(64)).unwrap();
    let without = KnownFile { digest: Some(digest), sha256: None, ..file("a", "1/a-1.whl", 1) };
    keep(&journal, &page("a"), 1, &[without.clone(), file("a", "1/a-2.whl", 2)]).await;
    let sha256 = Sha256([9; 32]);
    assert_eq!(journal.file_with(sha256).await.unwrap(), None);
    journal.note_content(&digest, sha256).await.unwrap();
    let with = KnownFile { sha256: Some(sha256), ..without };
    assert_eq!(journal.file_with(sha256).await.unwrap(), Some(with.clone()));
    assert_eq!(named(&folder), [with, file("a", "1/a-2.whl", 2)]);
    keep(&journal, &page("a"), 2, &[]).await;
    assert_eq!(pending_deletes(&journal).await, [2, 9]);
}

/// A closed journal as the version before left it: the files of its documents in a table.
async fn of_before(files: &[KnownFile]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder).await;
    journal.seed(vec![("a".to_owned(), Some(Serial(10)))], Serial(10)).await.unwrap();
    keep(&journal, &page("a"), 10, files).await;
    journal.close().await;
    let raw = raw(&folder);
    for file in files {
        let sql = "INSERT INTO files (path, document, filename, url, sha256, size) \
                   SELECT ?1, id, ?2, ?3, ?4, ?5 FROM documents";
        let sha256 = file.sha256.map(|sha256| sha256.0);
        let (path, size) = (&file.path, file.size.map(i64::try_from).transpose().unwrap());
        raw.execute(sql, rusqlite::params![path.as_str(), path.filename(), file.url, sha256, size]).unwrap();
    }
    raw.execute_batch(
        "DROP TABLE paths; DROP TABLE file_lists; DROP TRIGGER document_changed; DELETE FROM earlier_paths; \
         PRAGMA user_version = 15",
    )
    .unwrap();
    folder
}

#[tokio::test]
async fn the_files_of_a_journal_of_before_are_known_and_move_when_their_page_is_read_or_kept() {
    let files = [file("a", "1/a-1.whl", 1), file("a", "1/a-2.whl", 2)];
    for moved in ["not yet", "read", "kept"] {
        let folder = of_before(&files).await;
        assert_eq!(named(&folder), files, "before a relay of today has opened it");
        let journal = open(&folder).await;
        assert!(journal.has_earlier_paths(&page("a")).await.unwrap());
        match moved {
            "read" => journal.restate_paths(&page("a"), files.to_vec()).await.unwrap(),
            "kept" => keep(&journal, &page("a"), 10, &files).await,
            _ => {}
        }
        let rows = if moved == "not yet" { [2, 0, 0, 1] } else { [0, 1, 2, 0] };
        let tables = ["files", "file_lists", "paths", "earlier_paths"];
        assert_eq!(
            tables.map(|table| number(&raw(&folder), &format!("SELECT count(*) FROM {table}"))),
            rows,
            "{moved}"
        );
        assert_eq!(project_at(&journal, "1/a-1.whl").await.as_deref(), Some("a"), "{moved}");
        assert_eq!(journal.file_with(Sha256([2; 32])).await.unwrap().as_ref(), Some(&files[1]), "{moved}");
        assert_eq!(named(&folder), files, "{moved}");
        assert_eq!(pending_deletes(&journal).await, Vec::<u8>::new(), "{moved}");
        // What the page names no more, and what an event removes.
        keep(&journal, &page("a"), 10, &files[1..]).await;
        assert_eq!(pending_deletes(&journal).await, [1], "{moved}");
        happens(&journal, 11, "a", "remove project").await;
        assert_eq!(pending_deletes(&journal).await, [2], "{moved}");
    }
}

#[tokio::test]
async fn an_event_buries_the_files_of_a_journal_of_before() {
    let folder = of_before(&[file("a", "1/a-1.whl", 1), file("a", "1/a-2.whl", 2)]).await;
    let journal = open(&folder).await;
    happens(&journal, 11, "a", "remove file a-2.whl").await;
    assert_eq!(pending_deletes(&journal).await, [2]);
    journal.forget_document(&page("a")).await.unwrap();
    assert_eq!(project_at(&journal, "1/a-1.whl").await, None);
    assert_eq!(number(&raw(&folder), "SELECT count(*) FROM files"), 0);
}

#[tokio::test]
async fn a_page_keeps_what_it_had_before_from_a_document_and_gives_it_to_another_page() {
    let shared = [file("a", "1/a-1.whl", 1)];
    for (key, owner) in [(DocumentKey::Json(name("b"), None), "a"), (page("b"), "b")] {
        let folder = of_before(&shared).await;
        let journal = open(&folder).await;
        keep(&journal, &key, 11, &shared).await;
        assert_eq!(project_at(&journal, "1/a-1.whl").await.as_deref(), Some(owner));
    }
}

#[tokio::test]
async fn a_damaged_list_stops_neither_events_nor_the_next_page_but_nothing_is_thrown_away_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder).await;
    journal.seed(vec![("a".to_owned(), Some(Serial(10)))], Serial(10)).await.unwrap();
    let files = [file("a", "1/a-1.whl", 1), file("a", "1/a-2.whl", 2)];
    keep(&journal, &page("a"), 10, &files).await;
    raw(&folder).execute("UPDATE file_lists SET list = substr(list, 1, length(list) - 1)", []).unwrap();
    let beside = UnlockedJournal::open(folder.path(), None).unwrap().unwrap();
    assert!(
        beside.files(|_| ()).is_err(),
        "else the bytes of files that are missing in it would be thrown away"
    );
    happens(&journal, 11, "a", "remove file a-1.whl").await;
    assert_eq!(
        journal.pending_deletes(None, 9).await.unwrap(),
        [PendingDelete { sha256: Sha256([1; 32]), repair: false }]
    );
    keep(&journal, &page("a"), 12, &files).await;
    assert_eq!(named(&folder), files);
}
