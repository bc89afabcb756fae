//! A list of real names, held in one text: 886 thousand of them take some 80 MB.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::model::ProjectName;

/// The columns that every list starts with.
pub(super) const HEADER: [&str; 5] =
    ["name", "version", "month", "rank_among_15000_most_downloaded", "summary"];
/// The longest line in bytes; upstream's longest summary has 512 characters.
const LONGEST_LINE: u64 = 64 * 1024;
/// The most text in bytes: offsets into it have 32 bits.
const MOST_TEXT: usize = u32::MAX as usize;
/// The longest name with its version in bytes, so that file names stay within 255.
const LONGEST_NAME: usize = 220;

/// Why a list is not read. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The list.
        path: PathBuf,
        /// Counted from 1; the header is line 1.
        line: u32,
        /// What is wrong.
        reason: String,
    },
}

/// The names with version and summary, in the order of their normal forms.
#[derive(Debug)]
pub(super) struct Names {
    text: String,
    /// Where each line starts in the text.
    starts: Vec<u32>,
}

/// One project of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed<'a> {
    /// The registered spelling.
    pub(super) name: &'a str,
    /// The latest version; `None` for a project without a release.
    pub(super) version: Option<&'a str>,
    pub(super) summary: &'a str,
}

impl Names {
    /// Reads a list, gzip or not.
    pub(super) fn read(path: &Path) -> Result<Self, ListError> {
        let failed = |error| ListError::Read { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 2];
        // A file of one byte is no gzip; its first line will say what is wrong with it.
        let len = file.read(&mut magic).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if len == 2 && magic == [0x1f, 0x8b] {
            Self::parse(path, BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Self::parse(path, BufReader::new(file))
        }
    }

    fn parse(path: &Path, mut lines: impl BufRead) -> Result<Self, ListError> {
        let wrong = |line, reason: String| ListError::Line { path: path.to_owned(), line, reason };
        let mut text = String::new();
        let mut found: Vec<(ProjectName, u32, u32)> = Vec::new();
        let mut row = String::new();
        for number in 1.. {
            row.clear();
            match lines.by_ref().take(LONGEST_LINE).read_line(&mut row) {
                Ok(0) if number == 1 => return Err(wrong(1, "the list is empty".to_owned())),
                Ok(0) => break,
                Ok(_) if row.ends_with('\n') || row.len() as u64 != LONGEST_LINE => {}
                Ok(_) => return Err(wrong(number, format!("longer than {LONGEST_LINE} bytes"))),
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(wrong(number, error.to_string()));
                }
                Err(error) => return Err(ListError::Read { path: path.to_owned(), error }),
            }
            let columns: Vec<&str> = row.trim_end_matches(['\n', '\r']).split('\t').collect();
            if number == 1 {
                if columns != HEADER {
                    return Err(wrong(1, format!("the header is not `{}`", HEADER.join("<tab>"))));
                }
                continue;
            }
            let [name, version, _, _, summary] = columns[..] else {
                return Err(wrong(number, format!("{} columns instead of {}", columns.len(), HEADER.len())));
            };
            let normal = ProjectName::parse(name).map_err(|error| wrong(number, error.to_string()))?;
            let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '\\';
            if version.contains(odd) || name.len() + version.len() > LONGEST_NAME {
                return Err(wrong(number, format!("`{version}` is no version")));
            }
            let start = u32::try_from(text.len()).ok().filter(|_| text.len() + row.len() < MOST_TEXT);
            let start = start.ok_or_else(|| wrong(number, "the list is larger than 4 GB".to_owned()))?;
            found.push((normal, start, number));
            for part in [name, "\t", version, "\t", summary, "\n"] {
                text.push_str(part);
            }
        }
        found.sort();
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(wrong(pair[1].2, format!("the same project as line {}", pair[0].2)));
        }
        if found.is_empty() {
            return Err(wrong(2, "no project".to_owned()));
        }
        text.shrink_to_fit();
        Ok(Self { text, starts: found.into_iter().map(|(_, start, _)| start).collect() })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// A project by its place.
    pub(super) fn get(&self, place: usize) -> Option<Listed<'_>> {
        let start = usize::try_from(*self.starts.get(place)?).ok()?;
        let mut columns = self.text[start..].split_once('\n')?.0.splitn(3, '\t');
        let (name, version, summary) = (columns.next()?, columns.next()?, columns.next()?);
        Some(Listed { name, version: Some(version).filter(|version| !version.is_empty()), summary })
    }

    /// A project's place by its name.
    pub(super) fn place(&self, name: &ProjectName) -> Option<usize> {
        let normal = |place: usize| self.get(place).and_then(|listed| ProjectName::parse(listed.name).ok());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match normal(middle)?.cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary\n";

    fn read(rows: &str) -> Result<Names, ListError> {
        Names::parse(Path::new("list"), format!("{START}{rows}").as_bytes())
    }

    #[test]
    fn a_project_is_found_by_any_spelling_in_a_list_of_any_order() {
        let names = read("b\t2\t\t\tB\nA_c\t\t2020-01\t3\t\naa\t1\t\t\t<&\n").unwrap();
        let place = |name: &str| names.place(&ProjectName::parse(name).unwrap());
        assert_eq!([place("a-c"), place("AA"), place("b"), place("c")], [Some(0), Some(1), Some(2), None]);
        assert_eq!(names.get(0), Some(Listed { name: "A_c", version: None, summary: "" }));
    }

    #[test]
    fn a_bad_list_says_the_line_and_what_is_wrong() {
        let cases = [
            ("a\t1\t\t\t\n-b\t1\t\t\t\n", "list, line 3: a project name has ASCII"),
            ("a\t1\t\n", "list, line 2: 3 columns instead of 5"),
            ("a-b\t1\t\t\t\nc\t1\t\t\t\nA.B\t1\t\t\t\n", "list, line 4: the same project as line 2"),
            ("a\t1/2\t\t\t\n", "list, line 2: `1/2` is no version"),
            ("", "list, line 2: no project"),
        ];
        for (rows, message) in cases {
            let error = read(rows).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let error = Names::parse(Path::new("list"), "name\n".as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("list, line 1: the header"), "{error}");
    }
}
