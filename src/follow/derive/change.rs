//! From two sightings of a page to what happened between them, in the words of docs/wire.md section 6.

use std::collections::{HashMap, HashSet};

use super::sighting::{SeenFile, Sighting};
use crate::model::{FileKind, wheel_tag};

/// An event without its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) version: Option<String>,
    pub(super) time: i64,
    pub(super) action: String,
}

/// Something changed that pages do not show. Of the actions that clients know it is the one without consequences.
pub(super) fn unseen(time: i64) -> Change {
    Change { version: None, time, action: "docupdate".to_owned() }
}

/// The project is no more.
pub(super) fn removed(time: i64) -> Change {
    Change { version: None, time, action: "remove project".to_owned() }
}

/// What leads from `before` to `after`; `None` is before there was a project. `now` is the time of what has no time
/// of its own.
pub(super) fn changes(before: Option<&Sighting>, after: &Sighting, now: i64) -> Vec<Change> {
    let mut found = Vec::new();
    let mut say = |version: Option<&str>, time, action: String| {
        found.push(Change { version: version.map(str::to_owned), time, action });
    };
    let nothing = Sighting::default();
    if before.is_none() {
        let first = after.files.iter().filter_map(|file| file.uploaded).min();
        say(None, first.unwrap_or(now), "create".to_owned());
    }
    let before = before.unwrap_or(&nothing);
    match (before.quarantined, after.quarantined) {
        (false, true) => say(None, now, "project quarantined".to_owned()),
        (true, false) => say(None, now, "project quarantine cleared".to_owned()),
        (false, false) | (true, true) => {}
    }
    if after.quarantined {
        // Its page names no file; none of them is gone.
        return found;
    }
    // Some pages have a hundred thousand files and more.
    let (old, new) = (Parts::of(before), Parts::of(after));
    for version in before.versions.iter().filter(|version| !new.has_version(version)) {
        say(Some(version), now, "remove release".to_owned());
    }
    let stays = |version: &Option<String>| version.as_ref().is_none_or(|version| new.has_version(version));
    for file in before.files.iter().filter(|file| stays(&file.version) && new.named_as(file).is_empty()) {
        say(file.version.as_deref(), now, format!("remove file {}", file.filename));
    }
    // Pages of PyPI's never do that, those of static files do: who has the file is told to fetch it anew.
    let replaced = |file: &&SeenFile| old.named_as(file).iter().any(|known| known.is_replaced_by(file));
    for file in after.files.iter().filter(replaced) {
        say(file.version.as_deref(), now, format!("remove file {}", file.filename));
    }
    let is_added = |file: &&SeenFile| old.named_as(file).is_empty() || replaced(file);
    let mut added: Vec<&SeenFile> = after.files.iter().filter(is_added).collect();
    added.sort_by_key(|file| file.uploaded);
    let mut added_to: HashMap<&str, Vec<&SeenFile>> = HashMap::new();
    for file in &added {
        if let Some(version) = &file.version {
            added_to.entry(version).or_default().push(file);
        }
    }
    let mut releases: Vec<(&String, &[&SeenFile], Option<i64>)> = after
        .versions
        .iter()
        .filter(|version| !old.has_version(version))
        .map(|version| {
            let own = added_to.get(version.as_str()).map_or(&[][..], Vec::as_slice);
            (version, own, own.iter().filter_map(|file| file.uploaded).min())
        })
        .collect();
    releases.sort_by_key(|(_, _, first)| *first);
    for (version, own, first) in releases {
        say(Some(version), first.unwrap_or(now), "new release".to_owned());
        for file in own {
            say(Some(version), file.uploaded.unwrap_or(now), add(file));
        }
    }
    let further = |file: &&&SeenFile| file.version.as_ref().is_none_or(|version| old.has_version(version));
    for file in added.iter().filter(further) {
        say(file.version.as_deref(), file.uploaded.unwrap_or(now), add(file));
    }
    for version in &after.versions {
        match (old.is_yanked(version), new.is_yanked(version)) {
            (false, true) => say(Some(version), now, "yank release".to_owned()),
            (true, false) => say(Some(version), now, "unyank release".to_owned()),
            (false, false) | (true, true) => {}
        }
    }
    found
}

/// What a sighting has, by name and by version.
struct Parts<'a> {
    files: HashMap<&'a str, Vec<&'a SeenFile>>,
    versions: HashSet<&'a str>,
    /// Of versions that have files: whether every one is yanked.
    yanked: HashMap<&'a str, bool>,
}

impl<'a> Parts<'a> {
    fn of(sighting: &'a Sighting) -> Self {
        let versions = sighting.versions.iter().map(String::as_str).collect();
        let (mut files, mut yanked) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for file in &sighting.files {
            files.entry(file.filename.as_str()).or_default().push(file);
            if let Some(version) = &file.version {
                *yanked.entry(version.as_str()).or_insert(true) &= file.yanked;
            }
        }
        Self { files, versions, yanked }
    }

    fn has_version(&self, version: &str) -> bool {
        self.versions.contains(version)
    }

    fn named_as(&self, file: &SeenFile) -> &[&'a SeenFile] {
        self.files.get(file.filename.as_str()).map_or(&[], Vec::as_slice)
    }

    fn is_yanked(&self, version: &str) -> bool {
        self.yanked.get(version).copied().unwrap_or(false)
    }
}

/// `add TAG file FILENAME`: a wheel's tag, `source`, or the Python that an old kind's name ends with.
fn add(file: &SeenFile) -> String {
    let tag = match FileKind::of(&file.filename) {
        Ok(FileKind::Sdist) => "source",
        Ok(FileKind::Wheel) => wheel_tag(&file.filename).unwrap_or("any"),
        Ok(
            FileKind::Egg
            | FileKind::WindowsInstaller
            | FileKind::Msi
            | FileKind::Rpm
            | FileKind::Deb
            | FileKind::Dmg,
        )
        | Err(_) => old_python(&file.filename).unwrap_or("any"),
    };
    format!("add {tag} file {}", file.filename)
}

fn old_python(filename: &str) -> Option<&str> {
    let (_, rest) = filename.rsplit_once("-py")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|python| !python.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str, version: &str, uploaded: i64, yanked: bool) -> SeenFile {
        SeenFile {
            filename: filename.to_owned(),
            version: Some(version.to_owned()),
            uploaded: Some(uploaded),
            yanked,
            ..SeenFile::default()
        }
    }

    fn page(versions: &[&str], files: &[SeenFile]) -> Sighting {
        Sighting {
            versions: versions.iter().map(ToString::to_string).collect(),
            files: files.to_vec(),
            ..Sighting::default()
        }
    }

    fn told(before: Option<&Sighting>, after: &Sighting) -> Vec<(Option<String>, i64, String)> {
        changes(before, after, 999).into_iter().map(|c| (c.version, c.time, c.action)).collect()
    }

    fn row(version: &str, time: i64, action: &str) -> (Option<String>, i64, String) {
        (Some(version).filter(|v| !v.is_empty()).map(str::to_owned), time, action.to_owned())
    }

    #[test]
    fn a_page_of_a_hundred_thousand_files_and_releases_is_compared_file_by_file() {
        // Each with each would take hours.
        let numbered = |serial: i64| {
            let versions: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
            let files = versions.iter().map(|version| SeenFile {
                digest: Some(format!("sha256={:064}", serial * i64::from(version == "7"))),
                ..file(&format!("a-{version}.tar.gz"), version, 1, version == "8" && serial == 2)
            });
            Sighting { files: files.collect(), versions, ..Sighting::default() }
        };
        let (before, after) = (numbered(1), numbered(2));
        let expected = [
            row("7", 999, "remove file a-7.tar.gz"),
            row("7", 1, "add source file a-7.tar.gz"),
            row("8", 999, "yank release"),
        ];
        assert_eq!(told(Some(&before), &after), expected);
        assert_eq!(told(None, &after).len(), 1 + 2 * 100_000 + 1);
    }

    #[test]
    fn a_new_project_is_told_from_its_creation_on() {
        let after = page(
            &["1", "2"],
            &[file("a-2.tar.gz", "2", 20, false), file("a-1-py3-none-any.whl", "1", 10, false)],
        );
        let expected = [
            row("", 10, "create"),
            row("1", 10, "new release"),
            row("1", 10, "add py3 file a-1-py3-none-any.whl"),
            row("2", 20, "new release"),
            row("2", 20, "add source file a-2.tar.gz"),
        ];
        assert_eq!(told(None, &after), expected);
    }

    #[test]
    fn removals_yanks_and_further_files_are_told_apart() {
        let before = page(
            &["1", "2", "3"],
            &[
                file("a-1.zip", "1", 1, false),
                file("a-2.zip", "2", 2, false),
                file("a-3.zip", "3", 3, true),
                file("a-3.egg", "3", 3, true),
            ],
        );
        let after = page(
            &["2", "3"],
            &[
                file("a-2.zip", "2", 2, true),
                file("a-3.zip", "3", 3, false),
                file("a-3-py2.7.egg", "3", 9, false),
            ],
        );
        let expected = [
            row("1", 999, "remove release"),
            row("3", 999, "remove file a-3.egg"),
            row("3", 9, "add 2.7 file a-3-py2.7.egg"),
            row("2", 999, "yank release"),
            row("3", 999, "unyank release"),
        ];
        assert_eq!(told(Some(&before), &after), expected);
        assert!(told(Some(&after), &after).is_empty());
    }

    #[test]
    fn a_release_is_yanked_once_all_of_its_files_are() {
        let seen = |first, second| {
            page(
                &["1", "2"],
                &[file("a-1.tar.gz", "1", 1, first), file("a-1-py3-none-any.whl", "1", 1, second)],
            )
        };
        for (first, second) in [(false, true), (true, false)] {
            assert_eq!(told(Some(&seen(false, false)), &seen(first, second)), []);
            assert_eq!(told(Some(&seen(first, second)), &seen(true, true)), [row("1", 999, "yank release")]);
            assert_eq!(
                told(Some(&seen(true, true)), &seen(first, second)),
                [row("1", 999, "unyank release")]
            );
        }
    }

    #[test]
    fn a_quarantine_hides_files_and_removes_none() {
        let open = page(&["1"], &[file("a-1.zip", "1", 1, false)]);
        let shut = Sighting { quarantined: true, ..page(&["1"], &[]) };
        assert_eq!(told(Some(&open), &shut), [row("", 999, "project quarantined")]);
        let remembered = Sighting { quarantined: true, ..open.clone() };
        assert_eq!(told(Some(&remembered), &open), [row("", 999, "project quarantine cleared")]);
        assert!(told(Some(&remembered), &shut).is_empty());
    }

    #[test]
    fn without_a_sighting_before_only_what_came_since_is_news() {
        let after = page(&["1", "2"], &[file("a-1.zip", "1", 10, false), file("a-2.zip", "2", 30, false)]);
        let before = after.at(20);
        assert_eq!(
            told(Some(&before), &after),
            [row("2", 30, "new release"), row("2", 30, "add source file a-2.zip")]
        );
        assert!(told(Some(&after.at(30)), &after).is_empty());
    }

    #[test]
    fn a_file_with_other_bytes_under_the_same_name_is_removed_and_added() {
        let with = |digest: Option<&str>| {
            let digest = digest.map(str::to_owned);
            page(&["1"], &[SeenFile { digest, ..file("a-1.zip", "1", 10, false) }])
        };
        let replaced = [row("1", 999, "remove file a-1.zip"), row("1", 10, "add source file a-1.zip")];
        assert_eq!(told(Some(&with(Some("sha256=aa"))), &with(Some("sha256=bb"))), replaced);
        for (before, after) in [
            (Some("sha256=aa"), Some("sha256=aa")),
            (Some("md5=aa"), Some("sha256=bb")),
            (None, Some("sha256=bb")),
        ] {
            assert!(told(Some(&with(before)), &with(after)).is_empty(), "{before:?} {after:?}");
        }
    }
}
