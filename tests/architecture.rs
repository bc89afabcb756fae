//! Read off every source file: imports go down only, by the layer table; one clock tells the time; no file is too long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod circles;
mod methods;
mod metrics;

/// What each module may use besides itself. `*`: everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("requester", &[]),
    ("metric", &[]),
    ("bounded", &[]),
    ("folder_lock", &[]),
    ("sqlite_file", &[]),
    ("watched", &[]),
    ("tls", &["model", "watched"]),
    ("tokens", &["model", "watched"]),
    ("memo", &["requester", "bounded"]),
    ("revalidate", &["model", "bounded", "memo"]),
    ("log", &["metric"]),
    ("logged", &[]),
    ("xmlrpc", &["model"]),
    ("journal", &["folder_lock", "sqlite_file", "model", "requester", "metric"]),
    ("blob", &["folder_lock", "model", "metric", "bounded"]),
    ("signing", &["model", "memo"]),
    ("stats", &["folder_lock", "sqlite_file", "model", "metric", "bounded"]),
    ("upstream", &["model", "requester", "metric", "bounded", "xmlrpc"]),
    ("client", &["model"]),
    ("backup", &["model", "journal", "blob", "signing", "stats", "tokens"]),
    ("bundle", &["model", "journal", "blob", "signing"]),
    ("collect", &["model", "metric", "upstream", "stats"]),
    ("follow", &["model", "requester", "metric", "journal", "upstream"]),
    (
        "rpc",
        &[
            "model",
            "metric",
            "bounded",
            "xmlrpc",
            "journal",
            "index",
            "stats",
            "memo",
            "revalidate",
            "upstream",
        ],
    ),
    ("index", &["model", "metric", "bounded", "upstream", "memo", "revalidate", "journal", "signing"]),
    (
        "relay",
        &[
            "model",
            "requester",
            "metric",
            "bounded",
            "memo",
            "logged",
            "blob",
            "upstream",
            "index",
            "journal",
            "stats",
        ],
    ),
    ("push", &["model", "requester", "metric", "upstream", "index", "journal", "relay"]),
    (
        "http",
        &[
            "model",
            "requester",
            "metric",
            "bounded",
            "xmlrpc",
            "rpc",
            "index",
            "relay",
            "push",
            "stats",
            "signing",
            "tls",
            "tokens",
        ],
    ),
    ("sandbox", &["model", "metric", "xmlrpc"]),
    ("app", &["*"]),
    ("config", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// The module that a file below `src/` belongs to: its first folder, or its own name.
fn module_of(file: &Path) -> String {
    let first = file.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The modules of ours that a source text names: after `crate::`, also inside `crate::{…}`.
fn named(text: &str) -> BTreeSet<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    // A unit test may build what its module is given by those above.
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            found.insert(word(&line[at + "crate::".len()..]));
        }
    }
    // Groups would hide names from a reader of lines; there are none, and this keeps it so.
    assert!(!found.contains(""), "write one `use crate::MODULE::…` a module, not `use crate::{{…}}`");
    found
}

/// `(file, module used)` of every import that goes up.
fn violations(files: &BTreeMap<PathBuf, String>) -> Vec<(PathBuf, String)> {
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut found = Vec::new();
    for (file, text) in files {
        let module = module_of(file);
        let allowed =
            table.get(module.as_str()).unwrap_or_else(|| panic!("{module}: not in the layer table"));
        let free =
            |used: &String| *used == module || allowed.contains(&used.as_str()) || allowed.contains(&"*");
        found.extend(named(text).into_iter().filter(|used| !free(used)).map(|used| (file.clone(), used)));
    }
    found
}

fn tree() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn imports_go_down_only() {
    let found = violations(&tree());
    assert!(found.is_empty(), "imports that go up: {found:#?}");
}

#[test]
fn an_import_that_goes_up_is_found() {
    let bad = [("model/x.rs", "use crate::journal::Journal;"), ("http/y.rs", "    crate::blob::open();")];
    let files = bad.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    assert_eq!(violations(&files).len(), 2);
}

#[test]
fn no_source_file_has_over_500_lines() {
    let long: Vec<_> =
        tree().into_iter().filter(|(_, text)| text.lines().count() > 500).map(|(file, _)| file).collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Ways to the time that tests cannot set.
const CLOCKS: &[&str] = &[
    "SystemTime::now",
    "UNIX_EPOCH.elapsed",
    "Timestamp::now",
    "Zoned::now",
    "unixepoch",
    "julianday",
    "strftime('",
    "datetime('",
    "CURRENT_TIME",
    "CURRENT_DATE",
];

/// Where they may stand.
const MAY_TELL_TIME: &[&str] = &["model/clock.rs"];

/// `(file, the way)` of everything that takes the time from elsewhere than the one clock.
fn other_clocks(files: &BTreeMap<PathBuf, String>) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| !MAY_TELL_TIME.iter().any(|may| file.ends_with(may)))
    {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            found.extend(
                CLOCKS.iter().filter(|clock| line.contains(**clock)).map(|clock| (file.clone(), *clock)),
            );
        }
    }
    found
}

#[test]
fn only_the_one_clock_tells_what_time_it_is() {
    let found = other_clocks(&tree());
    assert!(found.is_empty(), "pass `now` in, from `model::Clock`: {found:#?}");
}

#[test]
fn another_clock_is_found() {
    let bad = [
        ("blob/x.rs", "let now = SystemTime::now();"),
        ("journal/y.rs", "\"SELECT 1 WHERE until > unixepoch()\""),
        ("journal/z.rs", "\"SELECT strftime('%s', 'now')\""),
        ("model/clock.rs", "SystemTime::now()"),
    ];
    let files = bad.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    assert_eq!(other_clocks(&files).len(), 3);
}
