//! The order of releases.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

use pep440_rs::Version;

/// Sorts versions newest first by PEP 440. Versions that PEP 440 does not know come after all that it
/// knows, in descending text order, as the removed methods of Warehouse had them.
pub fn newest_first<T>(releases: &mut [T], version: impl Fn(&T) -> &str) {
    releases.sort_by_cached_key(|release| std::cmp::Reverse(Key::of(version(release))));
}

/// The version that an installer would take for the latest: the newest final one, else the newest at all.
pub fn latest<'a>(versions: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    versions.into_iter().max_by_key(|version| {
        let key = Key::of(version);
        (key.is_final(), key)
    })
}

/// Whether two spellings are the same version by PEP 440, or the same text.
pub fn same_version(a: &str, b: &str) -> bool {
    AskedVersions::new([a]).have(b)
}

/// The longest text that is read as a version, in bytes. The longest known has about 100; to read one takes as long as it
/// is, and clients send what they like.
pub const LONGEST_VERSION: usize = 256;

/// Versions that somebody asked for, to be compared with many: each is read once.
#[derive(Debug, Clone, Default)]
pub struct AskedVersions(BTreeSet<Key>);

impl AskedVersions {
    /// These.
    pub fn new<'a>(versions: impl IntoIterator<Item = &'a str>) -> Self {
        Self(versions.into_iter().map(Key::of).collect())
    }

    /// Whether one of them is the same version by PEP 440, or the same text.
    pub fn have(&self, version: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&Key::of(version))
    }
}

/// The versions of a project, found by their text or by their meaning without looking at each.
#[derive(Debug, Clone, Default)]
pub struct KnownVersions {
    listed: Vec<String>,
    /// Where a spelling is listed first.
    spelled: HashMap<String, usize>,
    /// The same of what versions mean.
    meant: BTreeMap<Key, usize>,
}

impl KnownVersions {
    /// In their order; one that is listed twice stays so.
    pub fn new(listed: impl IntoIterator<Item = String>) -> Self {
        let mut known = Self::default();
        listed.into_iter().for_each(|version| known.push(version));
        known
    }

    /// Adds a version at the end.
    pub fn push(&mut self, version: String) {
        let at = self.listed.len();
        self.spelled.entry(version.clone()).or_insert(at);
        self.meant.entry(Key::of(&version)).or_insert(at);
        self.listed.push(version);
    }

    /// A version as it is listed: in this spelling, else the first that is the same by PEP 440.
    pub fn find(&self, version: &str) -> Option<&str> {
        let at = self.spelled.get(version).or_else(|| self.meant.get(&Key::of(version)))?;
        self.listed.get(*at).map(String::as_str)
    }

    /// Whether it is listed in this spelling.
    pub fn lists(&self, version: &str) -> bool {
        self.spelled.contains_key(version)
    }

    /// The longest of them with which a text begins.
    pub fn beginning(&self, text: &str) -> Option<&str> {
        let mut ends = (0..=text.len()).rev().filter(|&end| text.is_char_boundary(end));
        let (version, _) = ends.find_map(|end| self.spelled.get_key_value(&text[..end]))?;
        Some(version)
    }

    /// They in their order.
    pub fn into_vec(self) -> Vec<String> {
        self.listed
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key(Result<Version, String>);

impl Key {
    fn of(version: &str) -> Self {
        #[cfg(test)]
        READ.with(|read| read.set(read.get() + 1));
        let read = (version.len() <= LONGEST_VERSION).then(|| Version::from_str(version).ok());
        Self(read.flatten().ok_or_else(|| version.to_owned()))
    }

    fn is_final(&self) -> bool {
        self.0.as_ref().is_ok_and(|version| !version.any_prerelease())
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Ok(a), Ok(b)) => a.cmp(b),
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
            (Err(a), Err(b)) => a.cmp(b),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
thread_local! {
    /// How many versions this thread has read.
    pub(crate) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_version_is_found_in_any_spelling_and_the_first_listed_wins() {
        let known = KnownVersions::new(["1.0", "1", "2.0.0", "x"].map(str::to_owned));
        assert_eq!(known.find("1"), Some("1"));
        assert_eq!(known.find("1.0.0"), Some("1.0"));
        assert_eq!((known.find("2"), known.find("x"), known.find("3")), (Some("2.0.0"), Some("x"), None));
        assert_eq!((known.beginning("1.0.win32"), known.beginning("3")), (Some("1.0"), None));
    }

    #[test]
    fn order_is_pep_440s_and_the_unknown_come_last() {
        let mut versions = ["1.9", "1.10", "2.0rc1", "0-legacy!", "1.10.post1", "2.0.dev3"];
        newest_first(&mut versions, |v| v);
        assert_eq!(versions, ["2.0rc1", "2.0.dev3", "1.10.post1", "1.10", "1.9", "0-legacy!"]);
    }

    #[test]
    fn spellings_of_one_version_are_the_same_and_what_is_too_long_is_only_a_text() {
        let asked = AskedVersions::new(["1.0", "0-legacy!"]);
        for (version, same) in
            [("1", true), ("v1.0.0", true), ("0-legacy!", true), ("1.1", false), ("", false)]
        {
            assert_eq!(asked.have(version), same, "{version}");
        }
        let long = format!("1{}", ".0".repeat(LONGEST_VERSION));
        assert!(!same_version("1", &long) && same_version(&long, &long));
        assert!(!AskedVersions::default().have("1"));
    }

    #[test]
    fn latest_prefers_a_final_release() {
        assert_eq!(latest(["1.0", "2.0rc1"]), Some("1.0"));
        assert_eq!(latest(["2.0a1", "2.0rc1"]), Some("2.0rc1"));
        assert_eq!(latest([]), None);
    }
}
