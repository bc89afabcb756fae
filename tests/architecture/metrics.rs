//! Read off every source file: a metric's name stands in one place, and is used as what it was declared as.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cheesewire::metric::{self, Kind, Metric};

use super::tree;

/// What declares them.
const DECLARED_IN: &str = "metric.rs";

/// The code of each file that may not declare any, without comments and blanks.
fn code(files: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    let others = files.iter().filter(|(file, _)| !file.ends_with(DECLARED_IN));
    let bare = |text: &String| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
    };
    others.map(|(file, text)| (file.clone(), bare(text))).collect()
}

/// Files in which a text begins as the metrics' names do.
fn with_literals(files: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    let code = code(files).into_iter();
    code.filter(|(_, text)| text.contains("\"cheesewire_")).map(|(file, _)| file).collect()
}

/// What a use of a metric says: the macro, the constant, and the labels.
type Use = (String, String, BTreeSet<String>);

/// All uses; a constant that stands elsewhere than in a macro has no macro.
fn uses(files: &BTreeMap<PathBuf, String>) -> BTreeSet<Use> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for text in code(files).values() {
        for (at, path) in text.match_indices("metric::") {
            let constant: String = text[at + path.len()..].chars().take_while(|&c| word(c)).collect();
            if constant.chars().any(|c| c.is_ascii_lowercase()) {
                continue;
            }
            let before = text[..at].strip_suffix("!(").unwrap_or("");
            let name = before.rsplit(|c| !word(c)).next().unwrap().to_owned();
            let mut open = 1;
            let inside = |c: &char| {
                open += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                open > 0
            };
            let arguments: String = text[at..].chars().take_while(inside).collect();
            let labels =
                arguments.match_indices("\"=>").filter_map(|(at, _)| arguments[..at].rsplit('"').next());
            found.insert((name, constant, labels.map(str::to_owned).collect()));
        }
    }
    found
}

/// How each metric has to be used.
fn declared() -> BTreeSet<Use> {
    let of = |metric: &Metric| {
        let name = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let constant = metric.name.strip_prefix("cheesewire_").unwrap_or(metric.name).to_uppercase();
        (name.to_owned(), constant, metric.labels.iter().map(|&label| label.to_owned()).collect())
    };
    metric::ALL.iter().map(of).collect()
}

#[test]
fn a_metrics_name_stands_in_one_place() {
    assert_eq!(with_literals(&tree()), Vec::<PathBuf>::new());
}

#[test]
fn every_metric_is_counted_as_it_is_declared() {
    let (uses, declared) = (uses(&tree()), declared());
    assert_eq!(uses.difference(&declared).collect::<Vec<_>>(), Vec::<&Use>::new(), "not so declared");
    assert_eq!(declared.difference(&uses).collect::<Vec<_>>(), Vec::<&Use>::new(), "nowhere used");
}

#[test]
fn a_literal_and_a_use_of_another_kind_or_with_other_labels_are_found() {
    let bad = [
        ("a.rs", "counter!( \n\"cheesewire_panics_total\")"),
        ("b.rs", "metrics::gauge!(metric::PANICS_TOTAL)"),
        (
            "c.rs",
            "counter!(\nmetric::FILES_TOTAL, \"source\" => f(a, (b)), \"why\" => c).increment(1); x(\"no\" => 1)",
        ),
        ("d.rs", "count(metric::PANICS_TOTAL)"),
        ("metric.rs", "\"cheesewire_panics_total\""),
    ];
    let files = bad.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    assert_eq!(with_literals(&files), [PathBuf::from("a.rs")]);
    let of = |name: &str, constant: &str, labels: &[&str]| -> Use {
        (name.to_owned(), constant.to_owned(), labels.iter().map(|&label| label.to_owned()).collect())
    };
    let expected = [
        of("", "PANICS_TOTAL", &[]),
        of("counter", "FILES_TOTAL", &["source", "why"]),
        of("gauge", "PANICS_TOTAL", &[]),
    ];
    assert_eq!(uses(&files), BTreeSet::from(expected));
}
