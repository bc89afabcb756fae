//! What `/metrics` shows, and what the pages for people say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cheesewire::metric::{self, Kind, Metric};
use cheesewire::sandbox::{Effect, Fault, Route};

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
    assert!(value(&url, "process_resident_memory_bytes").await > Some(1e6));
    assert!(value(&url, "process_open_fds").await > Some(5.0));
    assert!(value(&url, "process_threads").await > Some(2.0));
    let started = value(&url, "process_start_time_seconds").await.unwrap();
    let now = cheesewire::model::Clock::system().unix();
    assert!((1_700_000_000.0..=f64::from(u32::try_from(now).unwrap()) + 1.0).contains(&started), "{started}");
    assert_eq!(value(&url, "cheesewire_journal_jobs_waiting").await, Some(0.0));
    until("upstream is not heard", async || value(&url, "cheesewire_follow_age_seconds").await.is_some())
        .await;

    // Connections that say nothing are open too; those that have gone are not.
    let open = async || value(&url, "cheesewire_http_connections").await.unwrap();
    let before = open().await;
    let idle = [connect(&url).await, connect(&url).await, connect(&url).await];
    until("they are not counted", async || open().await >= before + 3.0).await;
    drop(idle);
    until("they stay", async || open().await < before + 3.0).await;

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
    let path = format!("{url}packages/{}", upload.file.path);
    assert_eq!(get(&path).await.bytes(), upload.file.content.to_vec());
    until("it is not kept", async || value(&url, "cheesewire_cache_files").await == Some(1.0)).await;
    assert!(value(&url, "cheesewire_cache_bytes").await > Some(0.0));
}

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
