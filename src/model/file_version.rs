//! Which release a file belongs to: pages do not say, names do.

use pep440_rs::Version;

use super::file::{FileKind, split_ending};
use super::{KnownVersions, ProjectName};

/// The version in a file's name, in the spelling of `versions` if one of them is meant; `None` if the name does
/// not begin with the project's.
pub fn version_of(filename: &str, name: &ProjectName, versions: &KnownVersions) -> Option<String> {
    let (stem, kind) = split_ending(filename)?;
    let built = kind != FileKind::Sdist;
    // A wheel's name has no `-` before the version; an old sdist's may have some, and so may versions.
    let rests = stem.match_indices('-').filter_map(|(at, _)| {
        let ours = ProjectName::parse(&stem[..at]).is_ok_and(|found| found == *name);
        ours.then(|| &stem[at + 1..])
    });
    let cut =
        |rest: &str| if built { rest.split('-').next().unwrap_or(rest).to_owned() } else { rest.to_owned() };
    let mut found = rests.map(cut).peekable();
    let first = found.peek()?.clone();
    // `x-1.0.win32` is of 1.0: the longest version that it begins with.
    let listed = found.find_map(|spelled| versions.find(&spelled)).or_else(|| versions.beginning(&first));
    Some(listed.unwrap_or_else(|| without_platform(&first, kind)).to_owned())
}

/// What the platforms' names of Python's `distutils` begin with. They stand behind the version and a dot, in the names of
/// installers and of archives that are no sdists (`bdist_dumb`).
const PLATFORMS: [&str; 14] = [
    "win32", "win-", "linux-", "macosx-", "darwin-", "cygwin-", "mingw", "solaris-", "sunos-", "aix-",
    "freebsd-", "netbsd-", "openbsd-", "hp-ux-",
];

/// A version that nobody has listed, without the platform that may follow it.
fn without_platform(spelled: &str, kind: FileKind) -> &str {
    let is_platform = |text: &str| {
        let text = text.to_ascii_lowercase();
        // Of `win-amd64` the first part is left of an installer's name.
        PLATFORMS.iter().any(|platform| text.starts_with(platform))
            || kind != FileKind::Sdist
                && PLATFORMS.iter().any(|platform| platform.strip_suffix('-') == Some(&text))
    };
    let end = spelled.match_indices('.').find(|(at, _)| *at > 0 && is_platform(&spelled[at + 1..]));
    end.map_or(spelled, |(at, _)| &spelled[..at])
}

/// The projects that a file may belong to, by its name: a wheel's is certain, an older kind's may end at any `-`. The
/// longest name, which says most, comes first.
pub fn projects_of(filename: &str) -> Vec<ProjectName> {
    let Some((stem, _)) = stem(filename.strip_suffix(".metadata").unwrap_or(filename)) else {
        return Vec::new();
    };
    let mut ends: Vec<usize> = stem.match_indices('-').map(|(at, _)| at).collect();
    if filename.contains(".whl") {
        ends.truncate(1);
    }
    ends.iter().rev().filter_map(|&at| ProjectName::parse(&stem[..at]).ok()).collect()
}

/// The one project that a file's name stands for: of all that [`projects_of`] tells, the one behind which a version stands;
/// of several, and where no version can be read, the one that takes the least. None if the name has no such part. Each name
/// has one at most, so a name can be reserved to its project.
pub fn project_of(filename: &str) -> Option<ProjectName> {
    let filename = filename.strip_suffix(".metadata").unwrap_or(filename);
    let (stem, built) = stem(filename)?;
    let mut splits: Vec<(&str, &str)> =
        stem.match_indices('-').map(|(at, _)| (&stem[..at], &stem[at + 1..])).collect();
    if filename.ends_with(".whl") {
        splits.truncate(1);
    }
    let version = |rest: &str| {
        let rest = if built { rest.split('-').next().unwrap_or(rest) } else { rest };
        rest.parse::<Version>().is_ok()
    };
    let begins = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let whole = splits.iter().find(|(_, rest)| version(rest));
    let found = whole.or_else(|| splits.iter().find(|(_, rest)| begins(rest))).or(splits.last());
    found.and_then(|(name, _)| ProjectName::parse(name).ok())
}

/// The name without its ending, and whether a Python and a platform may follow the version in it.
fn stem(filename: &str) -> Option<(&str, bool)> {
    split_ending(filename).map(|(stem, kind)| (stem, kind != FileKind::Sdist))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_whose_it_may_be() {
        let names = |filename| projects_of(filename).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("a_b-1.0-py3-none-any.whl"), ["a-b"]);
        assert_eq!(names("a_b-1.0-py3-none-any.whl.metadata"), ["a-b"]);
        assert_eq!(names("a-b-1.0-2.tar.gz"), ["a-b-1-0", "a-b", "a"]);
        assert!(names("README").is_empty() && names("-1.zip").is_empty() && names("a.zip").is_empty());
    }

    #[test]
    fn a_files_name_stands_for_one_project() {
        for (filename, project) in [
            ("a-1.zip", "a"),
            ("Zope.Interface-4.0.1.tar.gz", "zope-interface"),
            ("zope-interface-4.0.1.tar.gz", "zope-interface"),
            ("foo-2d-1.0.zip", "foo-2d"),
            ("foo-1.0-1.zip", "foo"),
            ("a_b-1.0-py3-none-any.whl", "a-b"),
            ("a_b-1.0-1-py3-none-any.whl.metadata", "a-b"),
            ("foo-1.0-py2.7-win32.egg", "foo"),
            ("foo-2d-1.0.win32-py2.7.exe", "foo"),
            ("foo-bar-1.0-SNAPSHOT.zip", "foo-bar"),
            ("foo-bar-latest.zip", "foo-bar"),
        ] {
            assert_eq!(
                project_of(filename).map(|name| name.to_string()).as_deref(),
                Some(project),
                "{filename}"
            );
        }
        for none in ["README", "main.zip", "-1.zip", "1.0.tar.gz"] {
            assert_eq!(project_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_platform_is_no_part_of_a_version_that_nobody_has_listed() {
        let (name, none) = (ProjectName::parse("x").unwrap(), KnownVersions::new([]));
        for (filename, expected) in [
            ("x-1.0.win32.exe", "1.0"),
            ("x-1.0.win32-py2.7.exe", "1.0"),
            ("x-1.0.win-amd64.exe", "1.0"),
            ("x-1.0.win-amd64-py2.7.exe", "1.0"),
            ("x-1.0.win-amd64-py2.7.msi", "1.0"),
            ("x-1.0.linux-x86_64.tar.gz", "1.0"),
            ("x-1.0.linux-i686.exe", "1.0"),
            ("x-1.0.Win32.exe", "1.0"),
            ("x-.win32.exe", ".win32"),
            ("x-1.0b2.macosx-10.9-x86_64.tar.gz", "1.0b2"),
            ("x-1.0.win-amd64.zip", "1.0"),
            ("x-1.0-1.noarch.rpm", "1.0"),
            ("x-1.0-1.src.rpm", "1.0"),
            ("x-1.0-1_all.deb", "1.0"),
            ("x-1.0-py2.7.egg", "1.0"),
            ("x-1.0-py2.7-win-amd64.egg", "1.0"),
            ("x-1.0.linux.tar.gz", "1.0.linux"),
            ("x-1.0.post1.tar.gz", "1.0.post1"),
            ("x-linux-1.0.tar.gz", "linux-1.0"),
        ] {
            assert_eq!(version_of(filename, &name, &none).as_deref(), Some(expected), "{filename}");
        }
    }

    #[test]
    fn names_of_every_age_tell_their_version() {
        let name = ProjectName::parse("zope.interface").unwrap();
        let versions = KnownVersions::new(["4.0", "4.0.1", "5.0rc1", "6"].map(str::to_owned));
        let version = |filename: &str| version_of(filename, &name, &versions);
        for (filename, expected) in [
            ("zope_interface-4.0-cp311-cp311-linux_x86_64.whl", "4.0"),
            ("zope.interface-4.0.1.tar.gz", "4.0.1"),
            ("zope-interface-5.0.rc1.zip", "5.0rc1"),
            ("zope.interface-4.0.1-py2.7-win32.egg", "4.0.1"),
            ("zope.interface-4.0.1.win32-py2.7.exe", "4.0.1"),
            ("zope.interface-6.0.0.tar.gz", "6"),
            ("zope.interface-7-special.tar.gz", "7-special"),
            ("zope.interface-4.0.tar", "4.0"),
            ("zope.interface-4.0.tar.lzma", "4.0"),
            ("zope.interface-4.0.txz", "4.0"),
        ] {
            assert_eq!(version(filename).as_deref(), Some(expected), "{filename}");
        }
        assert_eq!(version("zope-1.0.tar.gz"), None);
        assert_eq!(version("README"), None);
    }
}
