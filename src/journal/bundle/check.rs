//! Whether the journal of a bundle is one that a relay exports. It is signed; but a mistake of the exporter's, or a stolen key, is to
//! do no more harm than wrong answers.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::{BundlePartError, PartClaims};
use crate::journal::schema::SCHEMA;
use crate::journal::{JournalError, facts, file_list};
use crate::model::{FilePath, ProjectName, Serial};
use crate::sqlite_file::Defect;

/// Columns that have normalised names of projects.
const PROJECTS: &[(&str, &str)] = &[
    ("projects", "name"),
    ("quarantined", "project"),
    ("removals", "project"),
    ("leads", "project"),
    ("tombstones", "project"),
    ("documents", "project"),
    ("learned", "project"),
];
/// Columns that have paths of package files.
const PATHS: &[(&str, &str)] = &[("tombstones", "path"), ("files", "path")];

/// Brings the part in `path` to the newest schema, and fails if it does not hold what the bundle claims.
pub(super) fn check(path: &Path, claims: &PartClaims) -> Result<(), BundlePartError> {
    let wrong = |defect: Defect| match defect {
        Defect::Newer { found, known } => BundlePartError::Newer { found, known },
        // A table that is missing, or another one of that name.
        Defect::Damaged(error) | Defect::Other(error) => BundlePartError::Misshapen(error.to_string()),
        Defect::Foreign => BundlePartError::Misshapen("it is another program's database".to_owned()),
        other => JournalError::sqlite(path, other).into(),
    };
    drop(SCHEMA.open(path).map_err(wrong)?);
    let part =
        SCHEMA.connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| wrong(error.into()))?;
    let complaint = complaint(&part, claims).map_err(|error| wrong(error.into()))?;
    // What lies beside it goes into it: it is attached next.
    part.execute_batch("PRAGMA journal_mode = DELETE").map_err(|error| wrong(error.into()))?;
    complaint.map_or(Ok(()), |complaint| Err(BundlePartError::Misshapen(complaint)))
}

fn complaint(part: &Connection, claims: &PartClaims) -> rusqlite::Result<Option<String>> {
    let sound: String = part.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Ok(Some(sound));
    }
    let (head, after) = (claims.last_serial, claims.since.map_or(i64::MIN, |since| since.0));
    if claims.since > Some(head) {
        return Ok(Some("it ends before it begins".to_owned()));
    }
    if facts::get(part, facts::PROJECTS_SERIAL)?.map(Serial) != Some(head) {
        return Ok(Some(format!("its last serial is not {head}")));
    }
    let outside = "SELECT serial FROM events WHERE serial <= ?1 OR serial > ?2 LIMIT 1";
    if let Some(serial) =
        part.query_row(outside, params![after, head.0], |row| row.get::<_, i64>(0)).optional()?
    {
        return Ok(Some(format!("event {serial} is none of those that it says it has")));
    }
    let outside = "SELECT EXISTS (SELECT 1 FROM coverage WHERE after < ?1 OR upto > ?2 OR after >= upto)";
    let mut outside = part.query_row(outside, params![after, head.0], |row| row.get::<_, bool>(0))?;
    if let Some(since) = claims.since.filter(|since| *since < head) {
        let whole = "SELECT EXISTS (SELECT 1 FROM coverage WHERE after = ?1 AND upto = ?2)";
        outside |= !part.query_row(whole, params![since.0, head.0], |row| row.get::<_, bool>(0))?;
    }
    if outside {
        return Ok(Some("the serials that it has are not those that it says".to_owned()));
    }
    texts(part)
}

/// Names that are not normalised and paths that climb would be looked for and never found, or be given to clients.
fn texts(part: &Connection) -> rusqlite::Result<Option<String>> {
    let is_project = |text: &str| ProjectName::parse(text).is_ok_and(|name| name.as_str() == text);
    let is_path = |text: &str| FilePath::parse(text).is_ok();
    for (table, column) in PROJECTS {
        if let Some(text) = first_wrong(part, table, column, is_project)? {
            return Ok(Some(format!("{table} has {text:?}, which is no normalised name")));
        }
    }
    for (table, column) in PATHS {
        if let Some(text) = first_wrong(part, table, column, is_path)? {
            return Ok(Some(format!("{table} has {text:?}, which is no path of a file")));
        }
    }
    let mut lists = part.prepare("SELECT list FROM file_lists")?;
    let mut rows = lists.query([])?;
    while let Some(row) = rows.next()? {
        let mut wrong = None;
        let read = file_list::read(row.get_ref(0)?.as_blob()?, |entry| {
            if !is_path(entry.path) {
                wrong = Some(format!("a page names {:?}, which is no path of a file", entry.path));
            }
        });
        if read.is_none() {
            wrong = Some("a list of files is damaged".to_owned());
        }
        if wrong.is_some() {
            return Ok(wrong);
        }
    }
    let mut names = part.prepare("SELECT spelling, normal FROM names")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        let (spelling, normal) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str_or_null()?);
        if ProjectName::parse(spelling).ok().as_ref().map(ProjectName::as_str) != normal {
            return Ok(Some(format!("{spelling:?} has another normalised name")));
        }
    }
    Ok(None)
}

fn first_wrong(
    part: &Connection,
    table: &str,
    column: &str,
    is_right: impl Fn(&str) -> bool,
) -> rusqlite::Result<Option<String>> {
    let mut statement = part.prepare(&format!("SELECT {column} FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str()?;
        if !is_right(text) {
            return Ok(Some(text.to_owned()));
        }
    }
    Ok(None)
}
