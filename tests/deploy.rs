//! What `deploy/` gives to who runs a relay: it names what there is, and the programs that read it take it.

mod containers;
mod fronts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cheesewire::metric::{self, Kind, Metric};
use tokio::process::Command;

use crate::support::process::BINARY;
use crate::support::programs::run;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap()
}

/// The words of an expression, without what stands between quotes.
fn words(expression: &str) -> Vec<&str> {
    let outside = expression.split('"').step_by(2);
    outside
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// The metric of a series, which of a histogram has an ending.
fn metric_of(series: &str) -> Option<&'static Metric> {
    let named = |name: &str| metric::ALL.iter().find(|metric| metric.name == name);
    let histogram = || {
        let endings = ["_bucket", "_sum", "_count"];
        let base = endings.iter().find_map(|ending| series.strip_suffix(ending))?;
        named(base).filter(|metric| matches!(metric.kind, Kind::Histogram))
    };
    named(series).filter(|metric| !matches!(metric.kind, Kind::Histogram)).or_else(histogram)
}

/// Names in it that no metric and no label has. Labels that Prometheus sets count as known.
fn unknown(expression: &str, known_words: &BTreeSet<&str>) -> Vec<String> {
    let words = words(expression);
    let metrics: BTreeMap<_, _> = words
        .iter()
        .filter(|word| word.starts_with("cheesewire_"))
        .map(|&word| (word, metric_of(word)))
        .collect();
    let labels: BTreeSet<_> =
        metrics.values().flatten().flat_map(|metric| metric.labels.iter().copied()).collect();
    let is_known = |word: &str| match metrics.get(word) {
        Some(metric) => metric.is_some(),
        None => {
            labels.contains(word)
                || known_words.contains(word)
                || word.starts_with(|c: char| c.is_ascii_digit())
        }
    };
    words.into_iter().filter(|word| !is_known(word)).map(str::to_owned).collect()
}

/// What PromQL itself has, of what is used here.
const PROMQL: [&str; 17] = [
    "time",
    "sum",
    "max",
    "by",
    "rate",
    "increase",
    "histogram_quantile",
    "and",
    "up",
    "job",
    "instance",
    "le",
    "m",
    "h",
    "s",
    "topk",
    "avg",
];

#[test]
fn rules_and_dashboard_name_metrics_and_labels_that_there_are() {
    let words = BTreeSet::from(PROMQL);
    let rules = text("prometheus/alerts.yml");
    // An expression is what follows the key, to the next key.
    let expressions: Vec<_> = rules
        .split("expr: ")
        .skip(1)
        .map(|rest| rest.split("\n        for:").next().unwrap().split("\n        labels:").next().unwrap())
        .map(|expression| expression.trim_start_matches('|').to_owned())
        .collect();
    let dashboard: serde_json::Value = serde_json::from_str(&text("grafana/cheesewire.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(expressions.len() > 10 && queries.len() > 25, "{} {}", expressions.len(), queries.len());
    for expression in expressions.iter().chain(&queries) {
        let unknown = unknown(expression, &words);
        assert!(unknown.is_empty(), "{expression}: {unknown:?}");
    }
    let twice: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(twice.len(), panels.len(), "a panel's number stands twice");
}

#[test]
fn a_name_that_is_none_is_found() {
    let words = BTreeSet::from(PROMQL);
    let found = |expression| unknown(expression, &words);
    assert_eq!(found("rate(cheesewire_files_total{source=\"hit\"}[5m]) > 0"), [""; 0]);
    assert_eq!(found("rate(cheesewire_file_total[5m])"), ["cheesewire_file_total"]);
    assert_eq!(found("sum by (kind) (cheesewire_files_total)"), ["kind"]);
    assert_eq!(
        found("cheesewire_rpc_seconds"),
        ["cheesewire_rpc_seconds"],
        "a histogram has no series of its own"
    );
    assert_eq!(found("cheesewire_cache_bytes_sum"), ["cheesewire_cache_bytes_sum"]);
}

/// The flags that a unit starts it with, and the configuration beside it, by `config`, which takes the flags of `serve`.
#[tokio::test]
async fn the_unit_and_its_configuration_are_understood() {
    let unit = text("systemd/cheesewire.service");
    let start =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/cheesewire serve ")).unwrap();
    let configuration = deploy("cheesewire.toml");
    let configuration = configuration.to_str().unwrap();
    let arguments = start.split(' ').map(|word| match word {
        "/etc/cheesewire/cheesewire.toml" => configuration,
        word => word,
    });
    let arguments: Vec<_> = arguments.collect();
    assert!(arguments.contains(&configuration), "{start}");
    let shown = run(Command::new(BINARY).arg("config").args(&arguments)).await;
    for said in ["folder = \"/var/lib/cheesewire\"", "trusted_proxies = \"127.0.0.1/32, ::1/128\""] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // Its user has to name the index.
    let output = Command::new(BINARY).arg("serve").args(arguments).output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{complaint}");
    assert!(complaint.contains("upstream.url"), "{complaint}");
    for line in ["RestartPreventExitStatus=64", "Type=notify", "WatchdogSec=60", "TimeoutStartSec=infinity"] {
        assert!(unit.lines().any(|stands| stands == line), "{line}");
    }
}

#[tokio::test]
#[ignore = "runs systemd-analyze of Debian's systemd"]
async fn systemd_takes_the_unit_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cheesewire.service");
    // Neither program nor manual page is installed here.
    let unit = text("systemd/cheesewire.service").replace("/usr/bin/cheesewire", BINARY);
    std::fs::write(&path, unit.replace("Documentation=man:cheesewire(1)\n", "")).unwrap();
    let socket = folder.path().join("cheesewire.socket");
    std::fs::write(&socket, text("systemd/cheesewire.socket")).unwrap();
    let verify = Command::new("systemd-analyze").arg("verify").args([&path, &socket]).output().await.unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success() && said.is_empty(), "{said}");
    // In tenths; an ordinary service has 96.
    let security = ["security", "--offline=true", "--threshold=15"];
    run(Command::new("systemd-analyze").args(security).arg(&path)).await;
}

#[tokio::test]
#[ignore = "runs promtool of Debian's prometheus"]
async fn prometheus_takes_the_rules() {
    let said =
        run(Command::new("promtool").args(["check", "rules"]).arg(deploy("prometheus/alerts.yml"))).await;
    let rules = text("prometheus/alerts.yml").matches("- alert:").count();
    assert!(said.contains(&format!("SUCCESS: {rules} rules found")), "{said}");
}
