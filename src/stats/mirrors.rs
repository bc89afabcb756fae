//! Other mirrors, by their addresses.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::model::{Setting, redacted};

/// A mirror with reports of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Mirror(Url);

/// Why a text is no mirror's address.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no mirror's address; give it as http://mirror.test/")]
pub struct MirrorError(String);

impl Mirror {
    /// The page that names its days.
    pub fn page(&self) -> Url {
        // Joined to what ends with a slash, a path always is an address.
        self.0.join("local-stats/days/").unwrap_or_else(|_| self.0.clone())
    }

    /// By what its days are known: without a password, which may change.
    pub fn name(&self) -> String {
        let mut url = self.0.clone();
        // It has a host.
        let _ = (url.set_username(""), url.set_password(None));
        url.into()
    }
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let wrong = || MirrorError(redacted(text));
        let mut url: Url = text.trim().parse().map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.0.as_str()))
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mirror({self})")
    }
}

/// Several of them, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors(pub Vec<Mirror>);

impl Setting for Mirrors {
    const EXPECTED: &'static str = "addresses such as http://mirror.test/, with commas between them";
    fn read(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        text.split(',').map(|one| one.parse().ok()).collect::<Option<_>>().map(Self)
    }
    fn write(&self) -> String {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_known_by_its_address_without_password() {
        let mirror: Mirror = "http://u:p@Mirror.test:81/a?x#y".parse().unwrap();
        assert_eq!(mirror.name(), "http://mirror.test:81/a/");
        assert_eq!(mirror.page().path(), "/a/local-stats/days/");
        assert!(!format!("{mirror} {mirror:?}").contains(":p@"));
        for bad in ["", "mirror.test", "ftp://mirror.test/", "file:///x"] {
            assert!(bad.parse::<Mirror>().is_err(), "{bad}");
        }
        let two = "http://a.test/, https://b.test/x/";
        assert_eq!(Mirrors::read(two).unwrap().write(), two);
        assert_eq!(Mirrors::read(" ").unwrap(), Mirrors::default());
        assert_eq!(Mirrors::read("http://a.test/,"), None);
    }
}
