//! What `/metrics` shows, and what the pages for people say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cheesewire::metric::{self, Kind, Metric};
use cheesewire::sandbox::{Effect, Fault, Publication, Route};

use crate::readme::{is_made, pages};
use crate::support::process::Process;
use crate::support::{Relay, call, connect, get, sandbox, until};

/// The page of all of them.
const PAGE: &str = "docs/metrics.md";

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// A metric with its labels, as the pages spell it.
fn signature(metric: &Metric) -> String {
    let labels = metric.labels.join(",");
    if labels.is_empty() { metric.name.to_owned() } else { format!("{}{{{labels}}}", metric.name) }
}

/// What a line of `/metrics` is a value of, with its labels less those of the format.
fn labels(line: &str) -> (&str, BTreeSet<&str>) {
    let head = line.rsplit_once(' ').unwrap().0;
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| Some(pair.split_once('=')?.0));
    (name, labels.filter(|&label| label != "le").collect())
}

#[tokio::test]
async fn whatever_metrics_shows_is_declared_and_described() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    call(&relay.url, "changelog_last_serial", &[]).await.unwrap();
    let shown = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    let known: BTreeMap<_, _> = metric::ALL.iter().map(|metric| (metric.name, metric)).collect();
    let (mut described, mut values) = (BTreeMap::new(), 0);
    for line in shown.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert_eq!(help, known[name].help(), "{name}");
            described.insert(name, None);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, of) = typed.split_once(' ').unwrap();
            assert_eq!(of, kind(known[name]), "{name}");
            *described.get_mut(name).unwrap_or_else(|| panic!("{name} has no help text")) = Some(known[name]);
        } else {
            let (name, labels) = labels(line);
            let of = |name: &str| described.get(name).copied().flatten();
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| of(name.strip_suffix(end)?));
            let metric = of(name).or(histogram).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(labels, metric.labels.iter().copied().collect(), "{line}");
            values += 1;
        }
    }
    assert!(values > 20, "{shown}");
}

/// The value of a metric without labels, or of its first line.
async fn value(relay: &str, name: &str) -> Option<f64> {
    let shown = get(&format!("{relay}metrics")).await.text().to_owned();
    let line = shown.lines().find(|line| line.starts_with(name));
    line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_tells_what_it_is_and_what_it_does_now() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &["cache.max_bytes=100MiB"]).await;
    let url = relay.url.clone();
    let version = format!("cheesewire_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&url, &version).await, Some(1.0));
    assert_eq!(value(&url, "cheesewire_cache_max_bytes").await, Some(104_857_600.0));
    until("upstream is not heard", async || value(&url, "cheesewire_follow_age_seconds").await.is_some())
        .await;

    // Connections that say nothing are open too; those that have gone are not.
    let open = async || value(&url, "cheesewire_http_connections").await.unwrap();
    // One asks.
    let idle = [connect(&url).await, connect(&url).await, connect(&url).await];
    until("they are not counted", async || open().await >= 4.0).await;
    drop(idle);
    until("they stay", async || open().await < 4.0).await;

    let project = sandbox.project("wire-top").unwrap();
    let (_, upload) = project.files().next().unwrap();
    let path = format!("{url}packages/{}", upload.file.path);
    assert_eq!(get(&format!("{url}simple/wire-top/")).await.status, 200);
    let stalled = Fault::on(Route::File, Effect::Drip { bytes: 1, every_millis: 60_000 });
    sandbox.faults().add(stalled).unwrap();
    let getting = tokio::spawn(async move { get(&path).await.bytes().len() });
    until("nothing is fetched", async || value(&url, "cheesewire_file_transfers").await == Some(1.0)).await;
    getting.abort();
    sandbox.faults().clear();
    until("the fetch goes on", async || value(&url, "cheesewire_file_transfers").await == Some(0.0)).await;
    // All are counted once the folder was looked through.
    for (kept, (_, upload)) in (1_u32..).zip(project.files()) {
        let path = format!("{url}packages/{}", upload.file.path);
        assert_eq!(get(&path).await.bytes(), upload.file.content.to_vec());
        let files = async || value(&url, "cheesewire_cache_files").await;
        until("it is not kept", async || files().await == Some(kept.into())).await;
    }
    assert!(value(&url, "cheesewire_cache_bytes").await > Some(0.0));
    relay.kill().await;
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    let files = f64::from(u32::try_from(project.files().count()).unwrap());
    until("they are not counted", async || value(&relay.url, "cheesewire_cache_files").await == Some(files))
        .await;
}

/// What the system tells of a process; the first word of a line of its files is a name.
fn told_by_proc(pid: u32, file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_takes_is_what_the_system_says() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = cheesewire::model::Clock::system();
    let before = clock.unix();
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    let (url, pid) = (relay.url.clone(), relay.pid());
    let started = value(&url, "process_start_time_seconds").await.unwrap();
    // The system's count of seconds since its start is cut, twice.
    let between = before - 2..=clock.unix() + 2;
    #[expect(clippy::cast_possible_truncation, reason = "seconds")]
    let is_between = between.contains(&(started as i64));
    assert!(is_between, "{started} is not in {between:?}");
    // Each of them changes while it is compared.
    for (metric, file, name, unit) in [
        ("process_threads", "status", "Threads:", 1.0),
        ("process_virtual_memory_bytes", "status", "VmSize:", 1024.0),
        ("process_resident_memory_bytes", "status", "VmRSS:", 1024.0),
        ("process_max_fds", "limits", "Max open files", 1.0),
    ] {
        until(metric, async || {
            let (found, is) = (value(&url, metric).await.unwrap(), told_by_proc(pid, file, name) * unit);
            (found - is).abs() < is / 20.0
        })
        .await;
    }
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let idle = [connect(&url).await, connect(&url).await, connect(&url).await];
    for at_least in [open(), open() - idle.len()] {
        until("process_open_fds", async || {
            let found = value(&url, "process_open_fds").await.unwrap();
            // Looking takes one.
            (f64::from(u32::try_from(open()).unwrap()) - found).abs() <= 1.0 && open() >= at_least
        })
        .await;
    }
    drop(idle);
    let took = || u32::try_from(relay.cpu_time().as_secs()).unwrap();
    until("it takes no time", async || {
        call(&url, "list_packages", &[]).await.unwrap();
        took() >= 2
    })
    .await;
    let least = took();
    let told = value(&url, "process_cpu_seconds_total").await.unwrap();
    assert!(
        (f64::from(least)..=f64::from(took()) + 1.0).contains(&told),
        "{told} is not {least} to {}",
        took()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_tell_how_many_wait_in_them() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = ["prefetch.rules=wire-*", "prefetch.shortest_wait=1s", "follow.interval=20ms"];
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    let url = relay.url.clone();
    let waiting = async || value(&url, "cheesewire_prefetch_waiting").await;
    until("nothing is looked through", async || waiting().await == Some(0.0)).await;
    sandbox.faults().add(Fault::on(Route::File, Effect::Status { code: 503 })).unwrap();
    for name in ["wire-top", "wire-core"] {
        sandbox.publish(Publication::new(name, "9.0")).await.unwrap();
    }
    until("they do not wait", async || waiting().await == Some(4.0)).await;
    sandbox.faults().clear();
    until("they do not come", async || waiting().await == Some(0.0)).await;

    let waiting = async || value(&url, "cheesewire_journal_jobs_waiting").await.unwrap();
    until("the writer is not idle", async || waiting().await == 0.0).await;
    // Somebody else writes, and the relay's writer waits for that.
    let other = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.busy_timeout(crate::support::ENDLESS).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut projects = sandbox.projects().into_iter();
    let mut asking = Vec::new();
    until("nothing waits", async || {
        if let Some(project) = projects.next() {
            let page = format!("{url}simple/{}/", project.name);
            asking.push(tokio::spawn(async move { get(&page).await.status }));
        }
        waiting().await >= 2.0
    })
    .await;
    other.execute_batch("ROLLBACK").unwrap();
    until("all wait for ever", async || waiting().await == 0.0).await;
    for page in asking {
        assert!([200, 404].contains(&page.await.unwrap()));
    }
}

#[tokio::test]
async fn how_long_upstream_was_not_heard_outlives_a_restart_and_is_never_below_0() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
    until("upstream is not heard", async || value(&relay.url, AGE).await.is_some()).await;
    relay.kill().await;
    for (later, ages) in [(-5000, 5000.0..6000.0), (9000, 0.0..1.0)] {
        let journal = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
        let sql = "UPDATE facts SET value = value + ?1 WHERE name = 'as_of'";
        assert_eq!(journal.execute(sql, [later]).unwrap(), 1);
        drop(journal);
        let relay = Process::start(folder.path(), &sandbox.url(), &["follow.enabled=false"]).await;
        let age = value(&relay.url, AGE).await.unwrap();
        assert!(ages.contains(&age), "{age}");
        relay.kill().await;
    }
    let empty = tempfile::tempdir().unwrap();
    let relay = Process::start(empty.path(), &sandbox.url(), &["follow.enabled=false"]).await;
    assert_eq!(value(&relay.url, AGE).await, None);
}

const AGE: &str = "cheesewire_follow_age_seconds ";

#[test]
fn help_texts_are_single_sentences_of_one_line() {
    for metric in metric::ALL {
        let help = metric.help();
        assert!(
            help.len() > 10 && help.ends_with('.') && !help.contains(['\n', '\\', '"']),
            "{}: {help}",
            metric.name
        );
    }
    let names: BTreeSet<_> = metric::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), metric::ALL.len(), "a name stands twice");
}

#[test]
fn the_page_of_all_metrics_is_the_one_that_they_make() {
    let mut table = "| metric | kind | meaning |\n|---|---|---|\n".to_owned();
    for metric in metric::ALL {
        writeln!(table, "| `{}` | {} | {} |", signature(metric), kind(metric), metric.help()).unwrap();
    }
    is_made(PAGE, &table);
}

#[test]
fn whatever_a_page_calls_by_a_metrics_name_is_one() {
    let spelled = |metric: &Metric| [metric.name.to_owned(), signature(metric)];
    let known: BTreeSet<String> = metric::ALL.iter().flat_map(spelled).collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, page) in pages().into_iter().filter(|(path, _)| !path.ends_with(PAGE)) {
        // Code words stand between backquotes: every second piece.
        for word in page.split('`').skip(1).step_by(2).filter(|word| word.starts_with("cheesewire_")) {
            seen += 1;
            if !known.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(seen > 30, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
