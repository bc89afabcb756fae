//! What documents and events tell of projects besides their names.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::phrase::TextField;
use crate::journal::parsed_event::ParsedEvent;
use crate::journal::{Journal, JournalError, facts, lead};
use crate::model::{Action, ProjectName, Serial, latest, words};

/// The versions that are kept of a project. 10,000, some 100 KB: three times what the largest known has.
const MOST_VERSIONS: usize = 10_000;
/// Serials that order ids; 2⁴² times the bits below still fit.
const SERIALS: i64 = 1 << 42;
/// Ids that may share a serial: an index whose listing tells none gives all projects the same.
const SHARED: i64 = 1 << 20;

/// What a project's JSON document tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The project.
    pub project: ProjectName,
    /// The document's serial, if it states one.
    pub serial: Option<Serial>,
    /// The latest version; empty if there is none.
    pub version: String,
    /// All versions.
    pub versions: Vec<String>,
    /// One line of what it is, as it is.
    pub summary: String,
    /// Texts by field; their words are learned. A field that is missing has none.
    pub texts: Vec<(TextField, String)>,
}

/// What a document tells, its texts taken apart into words.
#[derive(Debug)]
pub struct Folded {
    learned: Learned,
    columns: Vec<String>,
}

impl Learned {
    /// Takes its texts apart. Milliseconds for long ones: not on the reactor.
    pub fn folded(self) -> Folded {
        let columns = columns(&self);
        Folded { learned: self, columns }
    }
}

impl Journal {
    /// Learns what documents told, in place of what was known of these projects. Of projects that are not in the table
    /// nothing is learned: they were removed since, or nobody may find them. What an older document tells
    /// than the one before changes nothing.
    pub async fn learn(&self, learned: Vec<Learned>) -> Result<(), JournalError> {
        let fold = move || learned.into_iter().map(Learned::folded).collect::<Vec<_>>();
        let folded = tokio::task::spawn_blocking(fold).await.map_err(|_| JournalError::Closed)?;
        self.write(move |connection| folded.iter().try_for_each(|folded| learn(connection, folded))).await
    }

    /// The same of one document whose serial is as upstream states it. What makes a number of ours of that is looked up
    /// in the same turn.
    pub async fn learn_stated(&self, mut folded: Folded) -> Result<(), JournalError> {
        let (mut numbering, silent) = (self.unled(), self.serials_say_nothing());
        self.write(move |connection| {
            let Learned { project, serial, .. } = &mut folded.learned;
            if let Some(stated) = *serial {
                // What is not used is not led either.
                numbering.lead = if silent { None } else { lead::get(connection, project.as_str())? };
                *serial = numbering.of_copy(stated);
            }
            learn(connection, &folded)
        })
        .await
    }

    /// Forgets what documents told of a project: upstream has no document any more.
    pub async fn unlearn(&self, project: &ProjectName) -> Result<(), JournalError> {
        let project = project.clone();
        self.write(move |connection| unlearn(connection, project.as_str())).await
    }
}

/// The words of each text, for the index.
fn columns(learned: &Learned) -> Vec<String> {
    let text = |field| learned.texts.iter().find(|(given, _)| *given == field).map_or("", |(_, text)| text);
    TextField::ALL.into_iter().map(|field| words(text(field)).collect::<Vec<_>>().join(" ")).collect()
}

fn learn(connection: &Connection, Folded { learned, columns }: &Folded) -> rusqlite::Result<()> {
    let project = learned.project.as_str();
    let sql = "SELECT serial FROM projects WHERE name = ?1";
    let row = connection.prepare_cached(sql)?.query_row([project], |row| row.get::<_, Option<i64>>(0));
    let Some(listed) = row.optional()? else { return Ok(()) };
    let serial = learned.serial.map_or(listed.unwrap_or(0), |serial| serial.0);
    let mut version = learned.version.clone();
    let mut versions = learned.versions.clone();
    if let Some(known) = load(connection, project)? {
        // One beyond all that is known was wrong, or will be told: then this one is as good.
        let head = facts::get(connection, facts::HEARD_SERIAL)?.unwrap_or(i64::MAX);
        if known.told.is_some_and(|told| told > serial && told <= head) {
            return Ok(());
        }
        // A copy from before the last event: what events told meanwhile still counts.
        if listed.is_some_and(|listed| serial < listed) {
            let both = [version, known.version];
            version = latest(both.iter().map(String::as_str)).map_or_else(String::new, str::to_owned);
            let told: HashSet<&String> = learned.versions.iter().collect();
            versions.extend(known.versions.into_iter().filter(|version| !told.contains(version)));
        }
    }
    unlearn(connection, project)?;
    let row = Row { id: next_id(connection, serial)?, told: Some(serial), version, versions };
    insert(connection, project, &row, &learned.summary)?;
    let sql = "INSERT INTO texts (rowid, summary, keywords, author, author_email, maintainer, maintainer_email, \
               home_page, license, description, platform, download_url) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.raw_bind_parameter(1, row.id)?;
    for (place, column) in (2..).zip(columns) {
        statement.raw_bind_parameter(place, column)?;
    }
    statement.raw_execute().map(|_| ())
}

/// A row of the table, without the summary.
struct Row {
    id: i64,
    told: Option<i64>,
    version: String,
    versions: Vec<String>,
}

fn load(connection: &Connection, project: &str) -> rusqlite::Result<Option<Row>> {
    let sql = "SELECT id, told, version, versions FROM learned WHERE project = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row([project], |row| {
        let versions = row.get_ref(3)?.as_str()?.lines().map(str::to_owned).collect();
        Ok(Row { id: row.get(0)?, told: row.get(1)?, version: row.get(2)?, versions })
    });
    row.optional()
}

fn insert(connection: &Connection, project: &str, row: &Row, summary: &str) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO learned (id, project, told, version, summary, versions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![row.id, project, row.told, row.version, summary, lines(&row.versions)])?;
    Ok(())
}

/// A version has no line feed in it; one that has is none.
fn lines(versions: &[String]) -> String {
    let lines: Vec<&str> = versions
        .iter()
        .map(String::as_str)
        .filter(|version| !version.contains('\n'))
        .take(MOST_VERSIONS)
        .collect();
    lines.join("\n")
}

/// The next free id of a serial.
fn next_id(connection: &Connection, serial: i64) -> rusqlite::Result<i64> {
    let first = serial.clamp(0, SERIALS) * SHARED;
    let sql = "SELECT ifnull(max(id) + 1, ?1) FROM learned WHERE id >= ?1 AND id < ?2";
    connection.prepare_cached(sql)?.query_row([first, first + SHARED], |row| row.get(0))
}

/// Carries what is known over one event; the project table has been already.
pub(in crate::journal) fn heed(connection: &Connection, parsed: &ParsedEvent<'_>) -> rusqlite::Result<()> {
    let Some((name, action)) = parsed.meaning() else { return Ok(()) };
    let (project, version) = (name.as_str(), parsed.event.version.as_deref());
    match (action, version) {
        (Action::NewRelease | Action::AddFile { .. } | Action::ReleaseQuarantineCleared, Some(version)) => {
            released(connection, project, version, parsed.event.serial)
        }
        (Action::RemoveRelease | Action::ReleaseQuarantined, Some(version)) => {
            withdrawn(connection, project, version)
        }
        (Action::RemoveProject, _) => unlearn(connection, project),
        // The table of projects has lost it, or has it again.
        (
            Action::ProjectQuarantined
            | Action::ProjectQuarantineCleared
            | Action::Create
            | Action::NewRelease
            | Action::AddFile { .. }
            | Action::RemoveFile { .. }
            | Action::RemoveRelease
            | Action::YankRelease
            | Action::UnyankRelease
            | Action::ReleaseQuarantined
            | Action::ReleaseQuarantineCleared
            | Action::Other(_),
            _,
        ) => Ok(()),
    }
}

fn released(connection: &Connection, project: &str, version: &str, serial: Serial) -> rusqlite::Result<()> {
    let Some(mut row) = load(connection, project)? else {
        // Of one in quarantine nothing is learned.
        let listed = "SELECT EXISTS (SELECT 1 FROM projects WHERE name = ?1)";
        if !connection.prepare_cached(listed)?.query_row([project], |row| row.get::<_, bool>(0))? {
            return Ok(());
        }
        let versions = vec![version.to_owned()];
        let row =
            Row { id: next_id(connection, serial.0)?, told: None, version: version.to_owned(), versions };
        return insert(connection, project, &row, "");
    };
    if row.versions.iter().any(|known| known == version) {
        return Ok(());
    }
    row.versions.push(version.to_owned());
    row.version = latest([version, row.version.as_str()]).unwrap_or(version).to_owned();
    update(connection, &row)
}

fn withdrawn(connection: &Connection, project: &str, version: &str) -> rusqlite::Result<()> {
    let Some(mut row) = load(connection, project)? else { return Ok(()) };
    row.versions.retain(|known| known != version);
    if row.version == version {
        latest(row.versions.iter().map(String::as_str)).unwrap_or_default().clone_into(&mut row.version);
    }
    update(connection, &row)
}

fn update(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let sql = "UPDATE learned SET version = ?2, versions = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![row.id, row.version, lines(&row.versions)]).map(|_| ())
}

/// Nothing is known any more of a project that was removed, or that nobody may find.
pub(in crate::journal) fn unlearn(connection: &Connection, project: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM learned WHERE project = ?1")?.execute([project]).map(|_| ())
}

/// Forgets what is not in the table any more.
pub(in crate::journal) fn forget_missing(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM learned WHERE project NOT IN (SELECT name FROM projects)")
}
