//! No circle of files: what two files need of each other stands in a third one below both. Those that stay are listed, with
//! their reasons, in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tree;

/// A module's path: `["relay", "prefetch", "task"]`.
type Module = Vec<String>;

/// The module that a file is.
fn module(file: &Path) -> Module {
    let file = file.with_extension("");
    let mut path: Module = file.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    path.pop_if(|last| last == "mod");
    path
}

/// What a source text is without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

/// The single paths of `a::{b, c::{d, e}}`.
fn expand(paths: &str) -> Vec<String> {
    let paths = paths.trim();
    let Some((before, rest)) = paths.split_once('{') else {
        return vec![paths.split(" as ").next().unwrap_or(paths).to_owned()];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in rest[..rest.rfind('}').unwrap()].chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{before}{}", part.trim()))).collect()
}

/// A file's `use` paths, those that it gives on marked, and what it says by whole path elsewhere.
fn named(code: &str, children: &BTreeSet<String>) -> Vec<(bool, Module)> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let start = statement.rfind("\nuse ").map_or(0, |at| at + 1);
        let public = statement.rfind("\npub").map(|at| at + 1).or(statement.starts_with("pub").then_some(0));
        let public = public.filter(|&at| statement[at..].lines().next().unwrap().contains(" use "));
        let at = public.unwrap_or(start);
        let Some((_, paths)) = statement[at..]
            .split_once("use ")
            .filter(|_| public.is_some() || statement[at..].starts_with("use "))
        else {
            rest += statement;
            continue;
        };
        rest += &statement[..at];
        let split =
            |path: String| (public.is_some(), path.split("::").map(|part| part.trim().to_owned()).collect());
        found.extend(expand(paths.trim_end_matches(';')).into_iter().map(split));
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = rest.split(|c: char| !is_name(c)).filter(|word| word.contains("::"));
    let paths = words.map(|word| word.split("::").map(str::to_owned).collect::<Module>());
    let ours =
        |path: &Module| matches!(path[0].as_str(), "super" | "crate" | "self") || children.contains(&path[0]);
    found.extend(paths.filter(ours).map(|path| (false, path)));
    found
}

/// A path from the crate's root, if it is one of ours.
fn absolute(of: &Module, path: &Module, modules: &BTreeMap<Module, PathBuf>) -> Option<Module> {
    let mut base = of.clone();
    let mut rest = &path[..];
    match path[0].as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        child => {
            base.push(child.to_owned());
            modules.contains_key(&base).then_some(())?;
            rest = &path[1..];
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// Which files each file takes something from. What a file gives on from another one is taken from that.
fn arrows(files: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files: BTreeMap<_, _> =
        files.iter().filter(|(file, _)| !module(file).iter().any(|part| part == "tests")).collect();
    let modules: BTreeMap<Module, PathBuf> =
        files.keys().map(|file| (module(file), (*file).clone())).collect();
    let mut names: BTreeMap<&PathBuf, Vec<(bool, Module)>> = BTreeMap::new();
    let mut given: BTreeMap<Module, Module> = BTreeMap::new();
    for (file, text) in &files {
        let of = module(file);
        let children = modules.keys().filter(|path| path.len() == of.len() + 1 && path.starts_with(&of));
        let children = children.map(|path| path.last().unwrap().clone()).collect();
        for (public, path) in named(&code(text), &children) {
            let Some(path) = absolute(&of, &path, &modules) else { continue };
            if let Some(name) = path.last() {
                given.insert(of.iter().chain([name]).cloned().collect(), path.clone());
            }
            names.entry(file).or_default().push((public, path));
        }
    }
    let home = |path: &Module| {
        let mut path = path.clone();
        for _ in 0..9 {
            let through = (1..=path.len()).find_map(|at| Some((at, given.get(&path[..at])?)));
            match through {
                Some((at, to)) if to[..] != path[..at] => {
                    path.splice(..at, to.iter().cloned()).for_each(drop);
                }
                _ => break,
            }
        }
        (1..=path.len()).rev().find_map(|at| modules.get(&path[..at]))
    };
    let mut arrows: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for (file, paths) in names {
        let of = module(file);
        // A parent gives on what its children have.
        let taken = paths.iter().filter(|(public, path)| !(*public && path.starts_with(&of)));
        let to = taken.filter_map(|(_, path)| home(path)).filter(|to| *to != file);
        arrows.entry(file.clone()).or_default().extend(to.cloned());
    }
    arrows
}

/// Files that lead back to themselves, by circle.
fn circles(files: &BTreeMap<PathBuf, String>) -> BTreeSet<BTreeSet<PathBuf>> {
    let arrows = arrows(files);
    let none = BTreeSet::new();
    let reached = |from: &PathBuf| {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(file) = ahead.pop() {
            let new = arrows.get(&file).unwrap_or(&none).iter().filter(|to| seen.insert((*to).clone()));
            ahead.extend(new.cloned());
        }
        seen
    };
    let reached: BTreeMap<_, _> = arrows.keys().map(|file| (file, reached(file))).collect();
    let circle = |file: &PathBuf| {
        let both = reached[file].iter().filter(|to| reached.get(to).is_some_and(|back| back.contains(file)));
        both.cloned().collect::<BTreeSet<_>>()
    };
    arrows.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// The circles that `docs/architecture.md` gives a reason for.
fn excused() -> BTreeSet<BTreeSet<PathBuf>> {
    let page = include_str!("../../docs/architecture.md");
    let (_, section) = page.split_once("\n## Circles that stay\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    lines.map(|(files, _)| files.split(", ").map(|file| file.trim_matches('`').into()).collect()).collect()
}

#[test]
fn no_files_import_each_other_but_where_a_reason_is_given() {
    let (found, excused) = (circles(&tree()), excused());
    let new: Vec<_> = found.difference(&excused).collect();
    assert!(new.is_empty(), "put what they share into a file below them: {new:#?}");
    let gone: Vec<_> = excused.difference(&found).collect();
    assert!(gone.is_empty(), "docs/architecture.md gives reasons for circles that are no more: {gone:#?}");
}

#[test]
fn circles_are_found_through_what_is_given_on_and_whole_paths_too() {
    let found = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let files = files.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
        let name = |file: &PathBuf| file.to_str().unwrap().to_owned();
        circles(&files).iter().map(|circle| circle.iter().map(name).collect()).collect()
    };
    let facade = ("a/mod.rs", "//! A.\nmod b;\nmod c;\npub use b::{B, Other};\npub use c::C;\n");
    let b = ("a/b.rs", "use std::io;\nuse super::{\n    C,\n    D,\n};\nstruct B(C);");
    assert_eq!(found(&[facade, b, ("a/c.rs", "use crate::x::Y;\n")]), Vec::<Vec<String>>::new());
    let both = vec![vec!["a/b.rs".to_owned(), "a/c.rs".to_owned()]];
    assert_eq!(found(&[facade, b, ("a/c.rs", "\nfn c(b: &super::b::B) {}\n")]), both);
    assert_eq!(found(&[facade, b, ("a/c.rs", "use crate::a::Other;\n")]), both);
    // A comment and a unit test are none.
    let innocent = "/// As [`super::b::B`].\nstruct C;\n#[cfg(test)]\nmod tests {\nuse super::super::B;\n}\n";
    assert_eq!(found(&[facade, b, ("a/c.rs", innocent)]), Vec::<Vec<String>>::new());
    let parent = ("a.rs", "mod b;\nuse b::B;\nconst MOST: usize = 1;\n");
    assert_eq!(found(&[parent, ("a/b.rs", "use super::MOST;\n")]), [["a/b.rs", "a.rs"]]);
}
