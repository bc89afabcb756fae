//! A report: comma-separated values as Python's `csv.writer` writes them, as one bzip2 stream (docs/wire.md section 9).
//!
//! One stream, because Python 2.7's `bz2` reads only one. Rows are sorted by file, agent and project, byte by byte.

use std::io::Write as _;

use bzip2::Compression;
use bzip2::write::BzEncoder;
use rusqlite::{Connection, Params};

use super::StatsError;

/// Compressed bytes that are handed on at once.
const PART: usize = 256 << 10;

/// The columns of a report, in the order of its rows. The query has the tables `f` (files), `p` (projects), `a` (agents).
pub(super) const COLUMNS: &str = "p.spelling, f.filename, a.text";
/// How rows come together, and their order.
pub(super) const ORDER: &str =
    "GROUP BY f.filename, a.text, p.spelling ORDER BY f.filename, a.text, p.spelling";

/// Writes the rows that a query finds ([`COLUMNS`], then the count) as a report, and gives its bytes to `each` in parts; the
/// last one may be short.
pub(super) fn write<P: Params>(
    connection: &Connection,
    sql: &str,
    params: P,
    mut each: impl FnMut(Vec<u8>) -> Result<(), StatsError>,
) -> rusqlite::Result<Result<(), StatsError>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut encoder = BzEncoder::new(Vec::new(), Compression::best());
    let mut line = Vec::new();
    while let Some(row) = rows.next()? {
        line.clear();
        let [project, filename, agent] = [row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?];
        csv(
            &mut line,
            [
                project.as_str()?,
                filename.as_str()?,
                agent.as_str()?,
                itoa::Buffer::new().format(row.get::<_, i64>(3)?),
            ],
        );
        let written = encoder.write_all(&line).map_err(StatsError::from);
        let handed = written.and_then(|()| match encoder.get_ref().len() {
            0..PART => Ok(()),
            _ => each(std::mem::take(encoder.get_mut())),
        });
        if handed.is_err() {
            return Ok(handed);
        }
    }
    Ok(encoder.finish().map_err(StatsError::from).and_then(each))
}

/// Appends a row.
pub fn csv<'a>(line: &mut Vec<u8>, fields: impl IntoIterator<Item = &'a str>) {
    for (n, field) in fields.into_iter().enumerate() {
        if n > 0 {
            line.push(b',');
        }
        if field.contains([',', '"', '\r', '\n']) {
            line.push(b'"');
            line.extend(field.replace('"', "\"\"").bytes());
            line.push(b'"');
        } else {
            line.extend(field.bytes());
        }
    }
    line.extend(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_as_by_pythons_writer() {
        let mut line = Vec::new();
        csv(&mut line, ["a", "b,c", "d \"e\"", "", "ü'\u{fffd} ", "7"]);
        assert_eq!(String::from_utf8(line).unwrap(), "a,\"b,c\",\"d \"\"e\"\"\",,ü'\u{fffd} ,7\r\n");
    }
}
