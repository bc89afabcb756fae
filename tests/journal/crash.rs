//! A process that is killed while it writes leaves a journal that agrees with itself.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use cheesewire::journal::{DocumentKey, Journal, JournalSettings, KeptDocument, KnownFile};
use cheesewire::model::{Event, FilePath, ProjectName, Serial};

const FOLDER: &str = "CHEESEWIRE_TEST_CRASH_FOLDER";
/// Serials of a slice; every third has an event.
const SLICE: i64 = 90;

async fn open(folder: &Path) -> Journal {
    Journal::open(folder, JournalSettings::default()).await.unwrap()
}

/// Not a test of its own: what `a_killed_writer…` starts in a process of its own, and kills.
#[tokio::test]
async fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = open(Path::new(&folder)).await;
    let name = ProjectName::parse("a").unwrap();
    for round in 0.. {
        // Newest first, so that ranges merge at both ends.
        let since = 1_000_000 - round * SLICE;
        let event = |serial| Event {
            serial: Serial(serial),
            name: "a".to_owned(),
            version: None,
            time: serial,
            action: "create".to_owned(),
        };
        let events = (since + 1..=since + SLICE).filter(|serial| serial % 3 == 0).map(event).collect();
        journal.append(events, Serial(since), Serial(since + SLICE)).await.unwrap();
        let file = KnownFile {
            path: FilePath::parse(&format!("a/{round}")).unwrap(),
            url: "https://files.test/packages/a".into(),
            digest: None,
            sha256: None,
            size: None,
            project: name.clone(),
        };
        let document = KeptDocument {
            body: Bytes::from(format!("{round}")),
            content_type: "text/html".to_owned(),
            etag: None,
            last_serial: None,
            url: "https://index.test/simple/a/".to_owned(),
            checked: round,
        };
        journal.keep_document(&DocumentKey::Page(name.clone()), &document, vec![file]).await.unwrap();
        eprintln!("round {round}");
    }
}

fn number(raw: &rusqlite::Connection, sql: &str) -> i64 {
    raw.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_killed_writer_leaves_events_and_coverage_in_agreement() {
    for rounds in [0, 1, 2, 5, 9, 20] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::crash::writer", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = lines.map(Result::unwrap).filter(|line| line.starts_with("round")).take(rounds).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(told, rounds);

        let journal = open(folder.path()).await;
        let page = journal.document(&DocumentKey::Page(ProjectName::parse("a").unwrap())).await.unwrap();
        let page = page.map(|page| String::from_utf8(page.body.to_vec()).unwrap());
        assert!(rounds == 0 || page.is_some());
        if let Some(round) = &page {
            // The files are those of the page that is kept, whichever it is.
            let path = FilePath::parse(&format!("a/{round}")).unwrap();
            assert!(journal.project_at(&path).await.unwrap().is_some());
        }
        journal.close().await;

        let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
        for table in ["paths", "file_lists"] {
            let rows = number(&raw, &format!("SELECT count(*) FROM {table}"));
            assert_eq!(rows, i64::from(page.is_some()), "{table}");
        }
        assert!(number(&raw, "SELECT count(*) FROM coverage") <= 1);
        let covered = number(&raw, "SELECT ifnull(sum(upto - after), 0) FROM coverage");
        assert!(covered >= SLICE * i64::try_from(rounds).unwrap(), "{covered} after {rounds} rounds");
        assert_eq!(number(&raw, "SELECT count(*) FROM events"), covered / 3);
        let stray = "SELECT count(*) FROM events WHERE NOT EXISTS \
                     (SELECT 1 FROM coverage WHERE after < serial AND serial <= upto)";
        assert_eq!(number(&raw, stray), 0);
        assert_eq!(raw.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    }
}
