//! The README and the pages in `docs/` say what is so.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cheesewire::config::{Config, Sources};
use cheesewire::rpc::{METHODS, Param};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages for people, by their path below the root.
pub(crate) fn pages() -> BTreeMap<PathBuf, String> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages = pages.chain([root().join("README.md")]);
    pages.map(|path| (path.strip_prefix(root()).unwrap().to_owned(), read(&path))).collect()
}

/// A page for people ends with this table; or it is written so, if that is asked for.
pub(crate) fn is_made(page: &str, table: &str) {
    let path = root().join(page);
    let (page, columns) = (read(&path), table.lines().next().unwrap());
    let head = page.split(columns).next().unwrap();
    let right = format!("{}\n\n{table}", head.trim_end());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &right).unwrap();
        return;
    }
    let differs = page.lines().zip(right.lines()).find(|(is, should)| is != should);
    assert!(page == right, "run it with UPDATE_DOCS=1 set; the first line that differs: {differs:#?}");
}

/// The cells of the table rows that begin with a code word.
fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_method_stands_in_its_page_with_its_parameters_and_source() {
    let rows = rows(&read(&root().join("docs/methods.md")));
    for method in METHODS {
        let params = method.params.iter().map(Param::words);
        let signature = format!("`{}({})`", method.name, params.collect::<Vec<_>>().join(", "));
        let row = rows.iter().find(|row| row[0] == signature).unwrap_or_else(|| panic!("{signature}"));
        assert_eq!(row[2], method.source.words(), "{signature}");
    }
}

/// Every setting's default by its key.
fn defaults() -> BTreeMap<String, String> {
    let settings = Config::described(Sources::default()).unwrap();
    settings.into_iter().map(|setting| (setting.key.to_owned(), setting.default)).collect()
}

#[test]
fn whatever_a_page_calls_by_a_settings_name_is_one() {
    let settings = defaults();
    let sections: HashSet<&str> = settings.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let is_key = |code: &str| {
        let section = code.split_once('.').map_or("", |(section, _)| section);
        let is_word = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
        // The names of source files look like settings.
        sections.contains(section) && code.chars().all(is_word) && !code.ends_with(".rs")
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        // Code words stand between backquotes: every second piece.
        let words = page.split('`').skip(1).step_by(2);
        for word in
            words.map(|code| code.split([' ', '=']).next().unwrap_or(code)).filter(|word| is_key(word))
        {
            seen += 1;
            if !settings.contains_key(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_settings_in_the_readme_exist_with_those_defaults() {
    let settings = defaults();
    let mut seen = 0;
    for cells in rows(&read(&root().join("README.md"))) {
        if let Some(default) = settings.get(cells[0].trim_matches('`')) {
            assert_eq!(default, cells[1].trim_matches('`'), "{}", cells[0]);
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

/// The table of all settings, as it has to stand in its page.
fn table() -> String {
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for setting in Config::described(Sources::default()).unwrap() {
        let default = setting.default.replace('|', "\\|");
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let meaning = setting.meaning.replace('|', "\\|");
        writeln!(table, "| `{}` | {default} | {meaning} |", setting.key).unwrap();
    }
    table
}

#[test]
fn the_page_of_all_settings_is_the_one_that_they_make() {
    is_made("docs/configuration.md", &table());
}

#[test]
fn what_a_page_links_to_is_there() {
    let pages = pages();
    let mut seen = 0;
    for (path, page) in &pages {
        for (at, _) in page.match_indices("](") {
            let target = page[at + 2..].split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = root().join(&file);
            assert!(there.exists(), "{}: {target}", path.display());
            if !heading.is_empty() {
                assert!(headings(&read(&there)).contains(heading), "{}: {target}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn the_source_files_that_a_page_names_exist() {
    for (page, text) in pages() {
        let named = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.ends_with(".rs") && !word.contains([' ', '*']));
        for file in named {
            let places = ["", "src", "tests"].map(|folder| root().join(folder).join(file));
            assert!(places.iter().any(|place| place.is_file()), "{}: {file}", page.display());
        }
    }
}

/// All Rust sources of the crate and its tests, by their path below `src/` or `tests/` with `::` between.
fn sources() -> BTreeMap<String, String> {
    let mut folders = vec![root().join("src"), root().join("tests")];
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(root()).unwrap().with_extension("");
                let parts: Vec<_> = below.iter().skip(1).map(|part| part.to_str().unwrap()).collect();
                let name = parts.join("::").trim_end_matches("::mod").to_owned();
                found.entry(name).or_default().push_str(&read(&path));
            }
        }
    }
    found
}

#[test]
fn the_tests_that_the_promises_and_the_story_name_exist() {
    let sources = sources();
    let is_test = |name: &str| {
        if sources.contains_key(name) {
            return true;
        }
        let Some((module, last)) = name.rsplit_once("::") else { return false };
        let is_in =
            |text: &String| text.contains(&format!("fn {last}(")) || text.contains(&format!("mod {last} {{"));
        // A module inside a file, or a test of one.
        let inside = module.rsplit_once("::").map_or(module, |(file, _)| file);
        [module, inside].iter().any(|file| sources.get(*file).is_some_and(is_in))
    };
    let page = ["promises.md", "story.md"].map(|page| read(&root().join("docs").join(page))).concat();
    let cells = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|row| row.trim_end_matches(" |").rsplit_once("| "));
    let named = cells.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2));
    let (mut seen, mut wrong) = (0, Vec::new());
    for name in named.filter(|name| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'))
    }) {
        seen += 1;
        if !is_test(name) {
            wrong.push(name);
        }
    }
    assert!(seen > 80, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The headings of a page in the form that links to them have.
fn headings(page: &str) -> HashSet<String> {
    let titles =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    titles.map(slug).collect()
}

#[test]
fn the_readme_stays_short() {
    let size = read(&root().join("README.md")).len();
    assert!(size <= 8 << 10, "{size} bytes: what is about one topic belongs into its page in docs/");
}
