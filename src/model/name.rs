//! Project names: what may be one, and when two of them are the same project.

use std::fmt;
use std::sync::Arc;

/// The longest name that is looked up, in bytes. The longest registered names have about 100; the bound
/// keeps keys of caches and tables small whatever a client sends.
const MAX_BYTES: usize = 256;

/// A project's name in the normal form of PEP 503: lower case, with runs of `-`, `_` and `.` as one `-`.
///
/// Two spellings are the same project exactly if their normal forms are equal. Results carry the
/// *registered* spelling, which is kept beside the name and is not this type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(Arc<str>);

/// Why a text is no project name (PEP 508: ASCII letters, digits, `-`, `_`, `.`, with a letter or digit at
/// both ends).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing, or more than the limit.
    #[error("a project name has 1 to {MAX_BYTES} characters, this one has {0}")]
    Length(usize),
    /// A character that no name has, or a separator at an end.
    #[error(
        "a project name has ASCII letters, digits and single `-`, `_`, `.` between them; start and end with a letter or digit"
    )]
    Spelling,
}

impl ProjectName {
    /// Reads any spelling of a name.
    pub fn parse(spelling: &str) -> Result<Self, NameError> {
        let bytes = spelling.as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_BYTES {
            return Err(NameError::Length(bytes.len()));
        }
        let ends_well = |b: u8| b.is_ascii_alphanumeric();
        if !ends_well(bytes[0]) || !ends_well(bytes[bytes.len() - 1]) {
            return Err(NameError::Spelling);
        }
        let mut normal = String::with_capacity(bytes.len());
        let mut separated = false;
        for &b in bytes {
            match b {
                b'-' | b'_' | b'.' => separated = true,
                _ if b.is_ascii_alphanumeric() => {
                    if std::mem::take(&mut separated) {
                        normal.push('-');
                    }
                    normal.push(char::from(b.to_ascii_lowercase()));
                }
                _ => return Err(NameError::Spelling),
            }
        }
        Ok(Self(normal.into()))
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_project_have_one_normal_form() {
        for spelling in ["zope.interface", "Zope_Interface", "ZOPE--._interface"] {
            assert_eq!(ProjectName::parse(spelling).unwrap().as_str(), "zope-interface");
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        assert_eq!(ProjectName::parse(""), Err(NameError::Length(0)));
        assert_eq!(ProjectName::parse(&"a".repeat(257)), Err(NameError::Length(257)));
        for bad in ["-a", "a.", "a b", "naïve", "a/b", "..", "a\0b"] {
            assert_eq!(ProjectName::parse(bad), Err(NameError::Spelling), "{bad:?}");
        }
    }
}
