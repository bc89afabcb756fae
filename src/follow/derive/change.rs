//! From two sightings of a page to what happened between them, in the words of docs/wire.md section 6.

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
    for version in before.versions.iter().filter(|version| !after.versions.contains(version)) {
        say(Some(version), now, "remove release".to_owned());
    }
    let stays =
        |version: &Option<String>| version.as_ref().is_none_or(|version| after.versions.contains(version));
    for file in before.files.iter().filter(|file| stays(&file.version) && !has(after, file)) {
        say(file.version.as_deref(), now, format!("remove file {}", file.filename));
    }
    // Pages of PyPI's never do that, those of static files do: who has the file is told to fetch it anew.
    let replaced = |file: &&SeenFile| before.files.iter().any(|known| known.is_replaced_by(file));
    for file in after.files.iter().filter(replaced) {
        say(file.version.as_deref(), now, format!("remove file {}", file.filename));
    }
    let is_added = |file: &&SeenFile| !has(before, file) || replaced(file);
    let mut added: Vec<&SeenFile> = after.files.iter().filter(is_added).collect();
    added.sort_by_key(|file| file.uploaded);
    let mut releases: Vec<(&String, Option<i64>)> = after
        .versions
        .iter()
        .filter(|version| !before.versions.contains(version))
        .map(|version| (version, first_upload(&added, version)))
        .collect();
    releases.sort_by_key(|(_, first)| *first);
    for (version, first) in releases {
        say(Some(version), first.unwrap_or(now), "new release".to_owned());
        let own = |file: &&&SeenFile| file.version.as_ref() == Some(version);
        for file in added.iter().filter(own) {
            say(Some(version), file.uploaded.unwrap_or(now), add(file));
        }
    }
    let further =
        |file: &&&SeenFile| file.version.as_ref().is_none_or(|version| before.versions.contains(version));
    for file in added.iter().filter(further) {
        say(file.version.as_deref(), file.uploaded.unwrap_or(now), add(file));
    }
    for version in &after.versions {
        match (before.yanked(version), after.yanked(version)) {
            (false, true) => say(Some(version), now, "yank release".to_owned()),
            (true, false) => say(Some(version), now, "unyank release".to_owned()),
            (false, false) | (true, true) => {}
        }
    }
    found
}

fn has(sighting: &Sighting, file: &SeenFile) -> bool {
    sighting.files.iter().any(|known| known.filename == file.filename)
}

fn first_upload(files: &[&SeenFile], version: &str) -> Option<i64> {
    files
        .iter()
        .filter(|file| file.version.as_deref() == Some(version))
        .filter_map(|file| file.uploaded)
        .min()
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
