//! Whose methods stand in more than three files is told in `docs/architecture.md`, with how many and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{module_of, tree};

/// More need a reason.
const MOST: usize = 3;

/// A module and a type of it.
type Name = (String, String);

/// The name at the start of a text, without its parameters and the path before it.
fn name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].rsplit("::").next().filter(|name| !name.is_empty())
}

/// The type that a line defines.
fn defined(line: &str) -> Option<&str> {
    let shown = line.strip_prefix("pub").unwrap_or(line);
    let shown = if shown.starts_with('(') { shown.split_once(')')?.1 } else { shown }.trim_start();
    name(shown.strip_prefix("struct ").or_else(|| shown.strip_prefix("enum "))?)
}

/// The type that a line begins methods of, not a trait's.
fn begun(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl").filter(|_| !line.contains(" for "))?;
    // Its own parameters come first.
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest };
    name(rest.trim_start())
}

/// The files with methods of each type that a module of ours has; of traits' methods not.
fn methods(files: &BTreeMap<PathBuf, String>) -> BTreeMap<Name, BTreeSet<PathBuf>> {
    let code = |text: &str| text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text).to_owned();
    let files: Vec<(&Path, String, String)> =
        files.iter().map(|(file, text)| (file.as_path(), module_of(file), code(text))).collect();
    let mut homes: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for (_, module, code) in &files {
        for name in code.lines().filter_map(defined) {
            homes.entry(name.to_owned()).or_default().insert(module);
        }
    }
    let mut found: BTreeMap<Name, BTreeSet<PathBuf>> = BTreeMap::new();
    for (file, module, code) in &files {
        for name in code.lines().filter_map(begun) {
            // It may be another module's, which the file has it from then.
            let homes = homes.get(name).into_iter().flatten();
            let home = homes.filter(|home| **home == module || code.contains(&format!("crate::{home}::")));
            let home = home.max_by_key(|home| **home == module).map_or(module, |home| home);
            found.entry((home.clone(), name.to_owned())).or_default().insert(file.to_path_buf());
        }
    }
    found
}

/// The types that the page names, each with its files.
fn excused(page: &str) -> BTreeMap<String, usize> {
    let (_, section) = page.split_once("\n## Types whose methods stand in many files\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?.parse().unwrap()))
    });
    rows.collect()
}

#[test]
fn a_types_methods_stand_in_three_files_at_most_but_where_a_reason_is_given() {
    let many = methods(&tree()).into_iter().filter(|(_, files)| files.len() > MOST);
    let many: BTreeMap<String, usize> =
        many.map(|((module, name), files)| (format!("{module}::{name}"), files.len())).collect();
    assert_eq!(
        excused(include_str!("../../docs/architecture.md")),
        many,
        "docs/architecture.md says it otherwise"
    );
}

#[test]
fn methods_are_found_wherever_they_stand() {
    let files = [
        ("a/mod.rs", "pub struct A<T>(T);\nimpl<T: Into<u8>> A<T> {\n}\nimpl Drop for A {\n}\n"),
        ("a/b.rs", "impl super::A {\n}\n#[cfg(test)]\nmod tests {\nimpl Of {\n}\n"),
        ("c.rs", "use crate::a::A;\npub(in crate::c) enum B {}\nimpl B {\n}\nimpl A<u8> {\n}\n"),
        ("d.rs", "struct B;\nimpl B {\n}\n"),
    ];
    let files = files.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    let found: Vec<_> =
        methods(&files).into_iter().map(|((module, name), files)| (module, name, files.len())).collect();
    let expected = [("a", "A", 3), ("c", "B", 1), ("d", "B", 1)];
    assert_eq!(found, expected.map(|(module, name, files)| (module.to_owned(), name.to_owned(), files)));
}
