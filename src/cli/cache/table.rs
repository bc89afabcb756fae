//! Kept files as people read them: a heading, and a line for each file or each project.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::item::Item;
use super::say::{age, size};
use crate::cli::columns::fit;
use crate::log::escaped;
use crate::model::ProjectName;

/// Columns before the name of a file. A digest behind them ends in the 80th.
const BEFORE_FILE: usize = 16;
/// The same before that of a project.
const BEFORE_PROJECT: usize = BEFORE_FILE + 8;

/// A line for each file: size, how long ago it was used last, name or digest. Names are cut to `width` columns, if it is given.
pub(super) fn files(items: &[Item], now: SystemTime, width: Option<usize>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let left = width.map(|width| width.saturating_sub(BEFORE_FILE));
    let line = |item: &Item| {
        let digest = || item.kept.sha256.to_string();
        let name = item.name.as_ref().map_or_else(digest, |name| escaped(&name.filename).into_owned());
        let used = used(item.unused(now));
        format!("{:>10} {used:>4} {}\n", size(item.kept.size), fit(&name, left))
    };
    format!("{:>10} {:>4} FILE\n", "SIZE", "USED") + &items.iter().map(line).collect::<String>()
}

/// The kept files of one project; without one those that no kept page names.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    pub(super) project: Option<&'a ProjectName>,
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Of all of them.
    pub(super) uses: f64,
    /// For how long nobody used any of them.
    pub(super) unused: Option<Duration>,
}

impl Sum<'_> {
    /// For machines.
    pub(super) fn object(&self) -> Value {
        json!({
            "project": self.project.map(ProjectName::as_str),
            "files": self.files,
            "bytes": self.bytes,
            "uses": (self.uses * 10.0).round() / 10.0,
            "unused_seconds": self.unused.map(|unused| unused.as_secs()),
        })
    }
}

/// The sums by project; of items that stand by project.
pub(super) fn sums(items: &[Item], now: SystemTime) -> Vec<Sum<'_>> {
    let mut sums: Vec<Sum<'_>> = Vec::new();
    for item in items {
        let project = item.name.as_ref().map(|name| &name.project);
        if sums.last().is_none_or(|sum| sum.project != project) {
            sums.push(Sum { project, files: 0, bytes: 0, uses: 0.0, unused: None });
        }
        let Some(sum) = sums.last_mut() else { continue };
        sum.files += 1;
        sum.bytes += item.kept.size;
        sum.uses += item.kept.uses;
        sum.unused = sum.unused.into_iter().chain(item.unused(now)).min();
    }
    sums
}

/// A line for each project: size, how long ago one of its files was used last, how many it has, name.
pub(super) fn projects(sums: &[Sum<'_>], width: Option<usize>) -> String {
    if sums.is_empty() {
        return String::new();
    }
    let left = width.map(|width| width.saturating_sub(BEFORE_PROJECT));
    let line = |sum: &Sum<'_>| {
        let name = sum.project.map_or("(no kept page names them)", ProjectName::as_str);
        let (bytes, used) = (size(sum.bytes), used(sum.unused));
        format!("{bytes:>10} {used:>4} {:>7} {}\n", sum.files, fit(name, left))
    };
    let heading = format!("{:>10} {:>4} {:>7} PROJECT\n", "SIZE", "USED", "FILES");
    heading + &sums.iter().map(line).collect::<String>()
}

/// At most four characters.
fn used(unused: Option<Duration>) -> String {
    const YEAR: u64 = 365 * 24 * 3600;
    match unused {
        None => "?".to_owned(),
        Some(unused) if unused.as_secs() / (24 * 3600) > 999 => {
            format!("{}y", (unused.as_secs() / YEAR).min(999))
        }
        Some(unused) => age(unused),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::item::Name;
    use super::*;
    use crate::blob::Kept;
    use crate::model::Sha256;

    fn item(name: Option<(&str, &str)>, bytes: u64, days: u64) -> Item {
        let used = UNIX_EPOCH + Duration::from_hours(24 * days);
        let name = name.map(|(project, filename)| Name {
            project: ProjectName::parse(project).unwrap(),
            filename: filename.to_owned(),
            path: filename.to_owned(),
        });
        Item { kept: Kept { sha256: Sha256([0xab; 32]), size: bytes, used, uses: 1.5, came: None }, name }
    }

    const NOW: Duration = Duration::from_hours(24 * 10_000);

    #[test]
    fn lines_have_a_heading_and_fit_80_columns_with_a_whole_digest() {
        let now = UNIX_EPOCH + NOW;
        let long = format!("two-{}-win32.whl", "1".repeat(100));
        let items = [
            item(Some(("one", "one-1.zip")), 1 << 20, 9_999),
            item(Some(("two", &long)), (1 << 30) - 1, 1),
            item(None, 5, 20_000),
        ];
        let table = files(&items, now, Some(80));
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "      SIZE USED FILE");
        assert_eq!(lines[1], "   1.0 MiB   1d one-1.zip");
        assert!(
            lines[2].starts_with("1024.0 MiB  27y two-1")
                && lines[2].ends_with("1-win32.whl")
                && lines[2].contains('…'),
            "{table}"
        );
        assert_eq!(lines[3], format!("       5 B    ? {}", "ab".repeat(32)));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{table}");
        assert!(files(&items, now, None).contains(&long), "a program gets whole names");
        assert_eq!(files(&[], now, None), "");
    }

    #[test]
    fn projects_have_the_sums_of_their_files() {
        let now = UNIX_EPOCH + NOW;
        let items = [
            item(Some(("one", "one-1.zip")), 1 << 20, 9_990),
            item(Some(("one", "one-2.zip")), 1 << 20, 9_998),
            item(Some(("two", "two-1.zip")), 7, 9_000),
            item(None, 5, 20_000),
        ];
        let sums = sums(&items, now);
        let table = projects(&sums, Some(80));
        let expected = "      SIZE USED   FILES PROJECT\n   2.0 MiB   2d       2 one\n       7 B   2y       1 two\n       5 B    ?       1 \
                        (no kept page names them)\n";
        assert_eq!(table, expected);
        assert!((sums[0].uses - 3.0).abs() < 1e-9);
        assert_eq!(projects(&[], None), "");
    }
}
