//! History: everything before the first listing, in the background.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cheesewire::follow::{FollowSettings, History, run};
use cheesewire::journal::{Journal, JournalSettings};
use cheesewire::model::Serial;
use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox, SandboxSettings};
use cheesewire::upstream::{Upstream, UpstreamSettings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Following, polling};

const CHANGELOG: &str = "changelog_since_serial";

fn all() -> FollowSettings {
    FollowSettings { history: History::All, ..polling() }
}

/// As upstream, with pages small enough that the fixtures' 5,000 events are many.
async fn paged(rows: usize) -> Sandbox {
    let settings = SandboxSettings { changelog_rows: rows, ..SandboxSettings::default() };
    Sandbox::start(settings).await.unwrap()
}

#[tokio::test]
async fn all_of_history_comes_without_being_asked_for() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), paged(500).await);
    // Polls that would ask too are an hour apart.
    let hourly = FollowSettings { interval: Duration::from_hours(1), ..all() };
    let mut following = Following::start(folder.path(), &sandbox, hourly).await;
    following.status(|status| status.history_missing == Some(0)).await;
    let events = sandbox.events_after(Serial(0), 1_000_000);
    assert_eq!(following.since(Serial(0)).await, events);
    let (asked, pages) = (sandbox.requests().method(CHANGELOG), events.len() as u64 / 500 + 1);
    assert!(asked <= pages + 1, "{asked} questions for {pages} pages");
}

#[tokio::test]
async fn news_go_on_while_history_comes() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), paged(40).await);
    let following = Following::start(folder.path(), &sandbox, all()).await;
    following.reaches(sandbox.last_serial()).await;
    let before = sandbox.last_serial();
    let serial = sandbox.publish(Publication::new("news", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(before).await, sandbox.events_after(before, 100));
}

#[tokio::test]
async fn history_goes_on_after_a_failure_where_it_was() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), paged(500).await);
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 503 }).times(5)).unwrap();
    let mut following = Following::start(folder.path(), &sandbox, all()).await;
    following.status(|status| status.history_missing == Some(0)).await;
    assert_eq!(following.since(Serial(0)).await, sandbox.events_after(Serial(0), 1_000_000));
}

/// Tells the child, which is this test binary again, where to work and whom to ask.
const FOLDER: &str = "CHEESEWIRE_HISTORY_FOLDER";
const UPSTREAM: &str = "CHEESEWIRE_HISTORY_UPSTREAM";
const ROUNDS: usize = 30;

/// The process that is killed: fetches history and says how much is missing.
#[tokio::test]
#[ignore = "started by the test below"]
async fn child() {
    let (Some(folder), Ok(url)) = (std::env::var_os(FOLDER), std::env::var(UPSTREAM)) else { return };
    let journal = Journal::open(Path::new(&folder), JournalSettings::default()).await.unwrap();
    let settings =
        UpstreamSettings { calls_per_second: 10_000.0, ..UpstreamSettings::new(url.parse().unwrap()) };
    let (status, mut told) = watch::channel(cheesewire::follow::FollowStatus::default());
    let upstream = Upstream::new(settings).unwrap();
    tokio::spawn(run(journal, upstream, all(), status, CancellationToken::new()));
    loop {
        if let Some(missing) = told.borrow_and_update().history_missing {
            writeln!(std::io::stdout(), "missing {missing}").unwrap();
        }
        told.changed().await.unwrap();
    }
}

/// What SQLite has: coverage, and the serials of events.
fn kept(folder: &Path) -> (Vec<(i64, i64)>, Vec<i64>) {
    let raw = rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap();
    let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'coverage')";
    if !raw.query_row(has_tables, [], |row| row.get::<_, bool>(0)).unwrap() {
        return (vec![], vec![]);
    }
    let mut ranges = raw.prepare("SELECT after, upto FROM coverage ORDER BY after").unwrap();
    let ranges =
        ranges.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut serials = raw.prepare("SELECT serial FROM events ORDER BY serial").unwrap();
    let serials = serials.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (ranges, serials)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_30_moments_coverage_and_events_agree_and_history_ends_complete() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), paged(40).await);
    let events = sandbox.events_after(Serial(0), 1_000_000);
    let mut met_in_the_middle = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "follow::history::child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(UPSTREAM, sandbox.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.filter(|line| line.contains("missing ")).take(1 + round % 4).count();
        assert!(told > 0);
        // Not to wait for something: to be at another place of its work each time.
        std::thread::sleep(Duration::from_micros(round as u64 * 379 % 5000));
        child.kill().unwrap();
        child.wait().unwrap();

        let (ranges, serials) = kept(folder.path());
        let covered = |serial: i64| ranges.iter().any(|&(after, upto)| after < serial && serial <= upto);
        let expected: Vec<i64> =
            events.iter().map(|event| event.serial.0).filter(|&serial| covered(serial)).collect();
        assert_eq!(serials, expected, "round {round}: {ranges:?}");
        met_in_the_middle += usize::from(!serials.is_empty() && serials.len() < events.len());
    }
    assert!(met_in_the_middle > ROUNDS / 2, "{met_in_the_middle}: the kills came too early or too late");
    let mut following = Following::start(folder.path(), &sandbox, all()).await;
    following.status(|status| status.history_missing == Some(0)).await;
    assert_eq!(following.since(Serial(0)).await, events);
}
