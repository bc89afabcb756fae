//! Downloads, counted at the edge by what has left the relay.

mod collecting;
mod commands;
mod killed;
mod python;

use cheesewire::model::Clock;
use cheesewire::sandbox::{File, Sandbox};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::process::Process;
use crate::support::{Relay, call, connect, exchange, get, get_with, sandbox, until};

/// 2026-01-31, noon.
const NOON: i64 = 1_769_860_800;
const AGENT: (&str, &str) = ("user-agent", "pip/1");

/// A relay before a sandbox, and a clock that the test sets.
struct Counted {
    relay: Relay,
    sandbox: Sandbox,
    clock: Clock,
}

impl Counted {
    async fn start(settings: &[&str]) -> Self {
        let (sandbox, clock) = (sandbox().await, Clock::standing_at(NOON));
        let relay =
            Relay::start_at(&sandbox.url(), &[&["stats.flush=10ms"], settings].concat(), &clock).await;
        Self { relay, sandbox, clock }
    }

    /// A file whose size is in these bounds, and its address.
    fn file(&self, sizes: std::ops::Range<u64>) -> (std::sync::Arc<File>, String) {
        let file = file(&self.sandbox, sizes);
        let url = format!("{}packages/{}", self.relay.url, file.path);
        (file, url)
    }

    /// What is counted once that does not change any more; stops the relay.
    async fn counted(self) -> Vec<(String, String, u64)> {
        let folder = self.relay.stop().await;
        counted(folder.path())
    }
}

fn file(sandbox: &Sandbox, sizes: std::ops::Range<u64>) -> std::sync::Arc<File> {
    let projects = sandbox.projects();
    let mut files = projects.iter().flat_map(|project| project.files().map(|(_, upload)| &upload.file));
    files.find(|file| sizes.contains(&file.content.size())).unwrap().clone()
}

/// The rows of a folder that nobody counts into: day, agent, count.
fn counted(folder: &std::path::Path) -> Vec<(String, String, u64)> {
    let database = rusqlite::Connection::open(folder.join("statistics.sqlite3")).unwrap();
    let sql = "SELECT date(day * 86400, 'unixepoch'), text, count FROM counters JOIN agents ON agents.id = agent ORDER BY 1, 2";
    let mut rows = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs()));
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

const BIG: std::ops::Range<u64> = 60_000_000..80_000_000;
const SMALL: std::ops::Range<u64> = 500..20_000;

async fn ask(method: Method, url: &str, headers: &[(&str, &str)]) -> u16 {
    let answer = get_with(method, url, &[&[AGENT], headers].concat()).await.unwrap();
    answer.body.unwrap();
    answer.status
}

fn row(agent: &str, count: u64) -> (String, String, u64) {
    ("2026-01-31".to_owned(), agent.to_owned(), count)
}

#[tokio::test]
async fn each_get_of_a_whole_file_is_one_download_whether_fetched_kept_or_in_memory() {
    let relay = Counted::start(&[]).await;
    for sizes in [SMALL, BIG] {
        let (_, url) = relay.file(sizes);
        for _ in 0..4 {
            assert_eq!(ask(Method::GET, &url, &[]).await, 200);
        }
    }
    assert_eq!(relay.counted().await, [row("pip/1", 4), row("pip/1", 4)]);
}

#[tokio::test]
async fn heads_conditions_that_are_met_bad_ranges_and_metadata_are_no_downloads() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(SMALL);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    let etag = format!("\"{}\"", file.digests.sha256);
    assert_eq!(ask(Method::HEAD, &url, &[]).await, 200);
    assert_eq!(ask(Method::GET, &url, &[("if-none-match", &etag)]).await, 304);
    assert_eq!(ask(Method::GET, &url, &[("range", "bytes=99999999-")]).await, 416);
    let projects = relay.sandbox.projects();
    let wheel = projects.iter().flat_map(|project| project.files()).map(|(_, upload)| &upload.file);
    let wheel = wheel.into_iter().find(|file| file.metadata.is_some()).unwrap();
    let metadata = format!("{}packages/{}.metadata", relay.relay.url, wheel.path);
    assert_eq!(ask(Method::GET, &metadata, &[]).await, 200);
    assert_eq!(relay.counted().await, [row("pip/1", 1)]);
}

#[tokio::test]
async fn parts_are_a_download_once_they_cover_the_file_and_a_tail_alone_is_none() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(SMALL);
    let half = file.content.size() / 2;
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    // As pip and uv read a wheel's directory.
    for _ in 0..3 {
        assert_eq!(ask(Method::GET, &url, &[("range", "bytes=-100")]).await, 206);
    }
    assert_eq!(ask(Method::GET, &url, &[("range", &format!("bytes={half}-"))]).await, 206);
    // Another client's agent covers nothing of it.
    let other = [("user-agent", "pip/2"), ("range", "bytes=0-50")];
    get_with(Method::GET, &url, &other).await.unwrap();
    assert_eq!(ask(Method::GET, &url, &[("range", &format!("bytes=0-{half}"))]).await, 206);
    // They are forgotten.
    assert_eq!(ask(Method::GET, &url, &[("range", &format!("bytes=0-{half}"))]).await, 206);
    assert_eq!(relay.counted().await, [row("pip/1", 2)]);
}

/// Reads so much of an answer's body, and leaves.
async fn read_and_leave(relay: &str, path: &str, body: usize) {
    let mut stream = connect(relay).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: r.test\r\nUser-Agent: pip/1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut read, mut head) = (Vec::new(), None);
    let mut buffer = vec![0; 64 << 10];
    while head.is_none_or(|head: usize| read.len() < head + body) {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "it ended early");
        read.extend_from_slice(&buffer[..n]);
        head = memchr::memmem::find(&read, b"\r\n\r\n").map(|at| at + 4);
    }
}

#[tokio::test]
async fn a_broken_transfer_is_no_download_and_the_part_that_went_out_counts_with_the_rest() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(BIG);
    let path = format!("/packages/{}", file.path);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    for _ in 0..3 {
        read_and_leave(&relay.relay.url, &path, 1_000_000).await;
    }
    // The end of it from where the client had it.
    assert_eq!(ask(Method::GET, &url, &[("range", "bytes=1000000-")]).await, 206);
    assert_eq!(relay.counted().await, [row("pip/1", 2)]);
}

#[tokio::test]
async fn of_a_broken_transfer_no_more_counts_than_the_socket_took() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(BIG);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    read_and_leave(&relay.relay.url, &format!("/packages/{}", file.path), 1000).await;
    // More than both sides' buffers lies between.
    let far = format!("bytes={}-", file.content.size() - 1_000_000);
    assert_eq!(ask(Method::GET, &url, &[("range", &far)]).await, 206);
    assert_eq!(relay.counted().await, [row("pip/1", 1)]);
}

#[tokio::test]
async fn requests_one_behind_the_other_on_one_connection_count_each() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(SMALL);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    let get = |agent: &str, more: &str| {
        format!("GET /packages/{} HTTP/1.1\r\nHost: r.test\r\n{agent}{more}\r\n", file.path)
    };
    let one = get("User-Agent: pip/1\r\n", "");
    let two = get("User-Agent: a, \"b\"\u{e9}\r\n", "");
    let none = get("", "Connection: close\r\n");
    let requests = [one.as_bytes(), &latin(&two), one.as_bytes(), none.as_bytes()].concat();
    let answers = exchange(&relay.relay.url, &requests).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 4);
    let counted = relay.counted().await;
    assert_eq!(counted, [row("-", 1), row("a, \"b\"\u{fffd}", 1), row("pip/1", 3)]);
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[tokio::test]
async fn a_download_counts_under_the_day_on_which_it_ends_and_nothing_is_counted_if_it_is_off() {
    let relay = Counted::start(&[]).await;
    let (_, url) = relay.file(SMALL);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    relay.clock.set(NOON + 86_400);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    let next = ("2026-02-01".to_owned(), "pip/1".to_owned(), 1);
    assert_eq!(relay.counted().await, [row("pip/1", 1), next]);
    let relay = Counted::start(&["stats.enabled=false"]).await;
    let (_, url) = relay.file(SMALL);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    assert_eq!(relay.counted().await, []);
}

#[tokio::test]
async fn what_is_drained_is_counted_and_a_kill_loses_what_was_not_written_and_doubles_nothing() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let relay = Process::start(folder.path(), &sandbox.url(), &["stats.flush=1h"]).await;
    let url = format!("{}packages/{}", relay.url, file(&sandbox, SMALL).path);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    relay.terminate();
    assert_eq!(relay.exit().await, Some(0));
    assert_eq!(counted(folder.path()).iter().map(|(.., count)| count).sum::<u64>(), 1);
    let relay = Process::start(folder.path(), &sandbox.url(), &["stats.flush=10ms"]).await;
    let url = format!("{}packages/{}", relay.url, file(&sandbox, SMALL).path);
    for _ in 0..10 {
        assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    }
    until("it is not written", async || {
        counted(folder.path()).iter().map(|(.., count)| count).sum::<u64>() == 11
    })
    .await;
    relay.kill().await;
    let relay = Process::start(folder.path(), &sandbox.url(), &["stats.flush=1h"]).await;
    let url = format!("{}packages/{}", relay.url, file(&sandbox, SMALL).path);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    relay.kill().await;
    assert_eq!(counted(folder.path()).iter().map(|(.., count)| count).sum::<u64>(), 11);
}

#[tokio::test]
async fn a_days_report_appears_when_it_is_sealed_and_not_before_and_stays() {
    let relay = Counted::start(&["stats.seal_after=1ms"]).await;
    let (file, url) = relay.file(SMALL);
    let base = relay.relay.url.clone();
    let address = |path: &str| format!("{base}{path}");
    for _ in 0..3 {
        assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    }
    let day = address("local-stats/days/2026-01-31.bz2");
    assert_eq!(get(&day).await.status, 404);
    assert!(!get(&address("local-stats/days/")).await.text().contains("bz2"));
    relay.clock.set(NOON + 86_400);
    until("it is not sealed", async || get(&day).await.status == 200).await;
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    let report = get(&day).await;
    assert_eq!(report.header("content-type"), "application/x-bzip2");
    assert_eq!(
        (report.header("content-encoding"), report.header("content-length")),
        ("", &*report.bytes().len().to_string())
    );
    let mut text = String::new();
    std::io::Read::read_to_string(&mut bzip2::bufread::BzDecoder::new(report.bytes()), &mut text).unwrap();
    let filename = file.path.as_str().rsplit('/').next().unwrap();
    let (project, rest) = text.split_once(',').unwrap();
    assert_eq!(rest, format!("{filename},pip/1,3\r\n"));
    let etag = report.header("etag").to_owned();
    let again = get_with(Method::GET, &day, &[("if-none-match", &etag)]).await.unwrap();
    assert_eq!((again.status, again.header("etag")), (304, &*etag));
    let head = get_with(Method::HEAD, &day, &[]).await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, report.header("content-length")));
    for (page, link) in [
        ("local-stats/", "days/"),
        ("local-stats/days/", "2026-01-31.bz2"),
        ("stats/", "months/"),
        ("stats/days/", "2026-01-31.bz2"),
        ("stats/months/", "2026-01.bz2"),
    ] {
        let found = get(&address(page)).await;
        assert!(found.status == 200 && found.text().contains(&format!("href=\"{link}\"")), "{page}");
        let moved = get(&address(page.trim_end_matches('/'))).await;
        assert_eq!((moved.status, moved.header("location")), (301, &*format!("/{page}")));
    }
    for path in ["stats/days/2026-01-31.bz2", "stats/months/2026-01.bz2"] {
        assert_eq!(get(&address(path)).await.bytes(), report.bytes(), "{path}");
    }
    for path in [
        "local-stats/days/x.bz2",
        "local-stats/days/2026-01-31",
        "stats/months/2026-13.bz2",
        "stats/days/2026-02-01.bz2",
    ] {
        assert_eq!(get(&address(path)).await.status, 404, "{path}");
    }
    assert_eq!(get_with(Method::POST, &day, &[]).await.unwrap().status, 405);
    // The same numbers by calls: yesterday's and today's.
    let top = call(&base, "top_packages", &[]).await.unwrap();
    until("it is not written", async || {
        call(&base, "top_packages", &[]).await.unwrap() == Value::from_iter([row_of(project, 4)])
    })
    .await;
    assert!(top.as_array().is_some());
    assert_eq!(call(&base, "top_packages", &[Value::Int(0)]).await.unwrap(), Value::Array(vec![]));
    assert!(call(&base, "top_packages", &[Value::Int(-1)]).await.is_err());
    let projects = relay.sandbox.projects();
    let version = projects.iter().find_map(|project| {
        project
            .files()
            .find(|(_, upload)| upload.file.path == file.path)
            .map(|(release, _)| release.version.clone())
    });
    let release = [Value::from(project), Value::from(version.unwrap())];
    let counts = call(&base, "release_downloads", &release).await.unwrap();
    let counts = counts.as_array().unwrap();
    assert!(counts.contains(&row_of(filename, 4)));
    let files = call(&base, "release_urls", &release).await.unwrap();
    let files = files.as_array().unwrap();
    assert_eq!(files.len(), counts.len());
    for file in files {
        let counted = if file.get("filename") == Some(&Value::from(filename)) { 4 } else { 0 };
        assert_eq!(file.get("downloads"), Some(&Value::Int(counted)));
        assert!(
            counts.contains(&Value::Array(vec![file.get("filename").unwrap().clone(), Value::Int(counted)]))
        );
    }
    let data = call(&base, "release_data", &release).await.unwrap();
    let month = Value::Int(4);
    assert_eq!(data.get("downloads").unwrap().get("last_month"), Some(&month));
    assert_eq!(
        call(&base, "release_downloads", &["no-such".into(), "1".into()]).await.unwrap(),
        Value::Array(vec![])
    );
    let ready = get(&address("readyz")).await.json();
    assert_eq!(ready["statistics"]["oldest_unsealed_day"], "2026-02-01", "{ready}");
}

fn row_of(name: &str, count: i64) -> Value {
    Value::Array(vec![Value::from(name), Value::Int(count)])
}

#[tokio::test]
async fn where_nothing_is_counted_downloads_are_minus_one() {
    let relay = Counted::start(&["stats.enabled=false"]).await;
    let (file, url) = relay.file(SMALL);
    assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    let projects = relay.sandbox.projects();
    let (name, version) = projects
        .iter()
        .find_map(|project| {
            let found = project.files().find(|(_, upload)| upload.file.path == file.path);
            found.map(|(release, _)| (project.name.clone(), release.version.clone()))
        })
        .unwrap();
    let release = [Value::from(name), Value::from(version)];
    let files = call(&relay.relay.url, "release_urls", &release).await.unwrap();
    assert_eq!(files.as_array().unwrap()[0].get("downloads"), Some(&Value::Int(-1)));
    let data = call(&relay.relay.url, "release_data", &release).await.unwrap();
    assert_eq!(data.get("downloads").unwrap().get("last_day"), Some(&Value::Int(-1)));
    for (method, arguments) in [("release_downloads", &release[..]), ("top_packages", &[])] {
        assert_eq!(
            call(&relay.relay.url, method, arguments).await.unwrap(),
            Value::Array(vec![]),
            "{method}"
        );
    }
}

#[tokio::test]
async fn counts_that_cannot_be_read_are_minus_one_beside_other_facts_and_a_fault_alone() {
    let relay = Counted::start(&[]).await;
    let projects = relay.sandbox.projects();
    let (name, version) = projects
        .iter()
        .find_map(|project| {
            let (release, _) = project.files().next()?;
            Some((project.name.clone(), release.version.clone()))
        })
        .unwrap();
    let release = [Value::from(name), Value::from(version)];
    let url = relay.relay.url.clone();
    let database = relay.relay.folder().join("statistics.sqlite3");
    let raw = rusqlite::Connection::open(database).unwrap();
    raw.execute_batch("ALTER TABLE projects RENAME TO lost").unwrap();
    let files = call(&url, "release_urls", &release).await.unwrap();
    let first = &files.as_array().unwrap()[0];
    assert_eq!(first.get("downloads"), Some(&Value::Int(-1)));
    assert!(first.get("filename").is_some());
    let data = call(&url, "release_data", &release).await.unwrap();
    assert_eq!(data.get("downloads").unwrap().get("last_week"), Some(&Value::Int(-1)));
    for (method, arguments) in [("release_downloads", &release[..]), ("top_packages", &[])] {
        assert!(call(&url, method, arguments).await.is_err(), "{method}");
    }
    raw.execute_batch("ALTER TABLE lost RENAME TO projects").unwrap();
    let files = call(&url, "release_urls", &release).await.unwrap();
    assert_eq!(files.as_array().unwrap()[0].get("downloads"), Some(&Value::Int(0)));
}
