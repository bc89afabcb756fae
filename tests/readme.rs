//! The README says what is so.

use std::collections::{BTreeMap, HashSet};

use cheesewire::config::{Config, Sources};
use cheesewire::rpc::{METHODS, Param};

const README: &str = include_str!("../README.md");

/// The cells of the table rows that begin with a code word.
fn rows() -> Vec<Vec<String>> {
    let rows = README.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_method_stands_in_the_readme_with_its_parameters_and_source() {
    let rows = rows();
    for method in METHODS {
        let params = method.params.iter().map(Param::words);
        let signature = format!("`{}({})`", method.name, params.collect::<Vec<_>>().join(", "));
        let row = rows.iter().find(|row| row[0] == signature).unwrap_or_else(|| panic!("{signature}"));
        assert_eq!(row[2], method.source.words(), "{signature}");
    }
}

/// Every setting's default by its key.
fn defaults() -> BTreeMap<String, String> {
    let template = Config::template(Sources::default()).unwrap();
    let mut section = String::new();
    let mut settings = BTreeMap::new();
    for line in template.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") {
            settings.insert(format!("{section}.{key}"), value.trim_matches('"').to_owned());
        }
    }
    settings
}

#[test]
fn whatever_the_readme_calls_by_a_settings_name_is_one() {
    let settings = defaults();
    let sections: HashSet<&str> = settings.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let key = |code: &&str| {
        let section = code.split_once('.').map_or("", |(section, _)| section);
        let is_word = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
        sections.contains(section) && code.chars().all(is_word)
    };
    // Code words stand between backquotes: every second piece.
    let words =
        README.split('`').skip(1).step_by(2).map(|code| code.split([' ', '=']).next().unwrap_or(code));
    let named: HashSet<&str> = words.filter(key).collect();
    assert!(named.len() > 40, "{named:?}");
    let wrong: Vec<_> = named.iter().filter(|name| !settings.contains_key(**name)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_settings_in_the_readme_exist_with_those_defaults() {
    let settings = defaults();
    let (_, chapter) = README.split_once("The ones most often set:").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let mut seen = 0;
    for row in chapter.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let words = |cell: &str| {
            cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        };
        for (key, default) in words(cells[0]).iter().zip(words(cells[1])) {
            assert_eq!(settings.get(key), Some(&default), "{key}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}
