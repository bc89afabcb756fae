//! The path of a package file below `/packages/`.

use std::fmt;
use std::sync::Arc;

/// The longest path in bytes. Upstream's own are about 80 bytes plus the file's name.
const MAX_BYTES: usize = 1024;
/// The longest segment in bytes: what common file systems allow for a name.
const MAX_SEGMENT: usize = 255;

/// A path below `/packages/`, decoded, relative, in upstream's own spelling (docs/wire.md section 7).
///
/// It has no empty, `.` or `..` segment, no control character and no backslash, so it can never climb.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Arc<str>);

/// Why a text is no file path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// Longer than the limit, or with a segment longer than its limit.
    #[error("a file path has at most {MAX_BYTES} bytes, a segment of it {MAX_SEGMENT}")]
    Length,
    /// Empty or climbing segments, control characters, backslashes.
    #[error("a file path has no empty, `.` or `..` segment, no control character and no backslash")]
    Segment,
}

impl FilePath {
    /// Reads a path that is already percent-decoded and has no leading `/`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_BYTES || text.split('/').any(|segment| segment.len() > MAX_SEGMENT) {
            return Err(PathError::Length);
        }
        let climbs = |segment: &str| matches!(segment, "" | "." | "..");
        // Control characters beyond ASCII have two bytes in UTF-8, of which the first is 0xC2.
        let hostile = |byte: u8| byte.is_ascii_control() || byte == b'\\' || byte == 0xC2;
        let suspect = text.bytes().any(hostile) && text.contains(|c: char| c.is_control() || c == '\\');
        if text.split('/').any(climbs) || suspect {
            return Err(PathError::Segment);
        }
        Ok(Self(text.into()))
    }

    /// Whether a text can be a file's name: one segment of a path. Clients save a file under the name that a page says.
    pub fn is_filename(text: &str) -> bool {
        !text.contains('/') && Self::parse(text).is_ok()
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn filename(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_spelling_and_knows_its_file() {
        let path = FilePath::parse("ab/cd/Name-1.0+x.tar.gz").unwrap();
        assert_eq!((path.as_str(), path.filename()), ("ab/cd/Name-1.0+x.tar.gz", "Name-1.0+x.tar.gz"));
    }

    #[test]
    fn a_name_is_one_segment() {
        assert!(FilePath::is_filename("Name-1.0+x.tar.gz") && FilePath::is_filename("é b.zip"));
        for bad in ["", "..", "a/b.zip", "/a.zip", "..\\a.zip", "a\n.zip", &"a".repeat(256)] {
            assert!(!FilePath::is_filename(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        for bad in ["", "/etc/passwd", "a//b", "a/../b", "..", "./a", "a/\0", "a\\..\\b", "a/"] {
            assert_eq!(FilePath::parse(bad), Err(PathError::Segment), "{bad:?}");
        }
        assert_eq!(FilePath::parse(&"a".repeat(256)), Err(PathError::Length));
        assert_eq!(FilePath::parse(&"a/".repeat(600)), Err(PathError::Length));
    }
}
