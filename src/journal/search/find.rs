//! A question to names and texts, and its hits in their order.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, params};

use super::held::HeldNames;
use super::names::{Ranked, UNTOLD, rank};
use super::phrase::{FieldQuery, TextField, question};
use crate::journal::{Journal, JournalError, releases};
use crate::model::{Action, AskedVersions, NameTerm, latest, newest_first};

/// Texts that are looked at before any name is: it takes 3 ms, and the names up to 8.
const FEW_TEXTS: usize = 1_000;
/// Names of which each is asked for its texts, at 0.15 ms, where a word is common.
const FEW_NAMES: usize = 100;
/// A word is common if it has as many texts for each project that may be looked at. Reading the ids of so many, at 0.14
/// µs, takes 3 ms by default.
const COMMON: usize = 2;
/// The most ids of texts that are read for each project that may be looked at. Reading twenty takes as long as looking at
/// one project, and an old one counts as much as a new one.
const TEXTS_PER_PROJECT: usize = 100;

/// What to find. A field that is `None`, or not there, was not asked for; one without a value matches nothing.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// All fields have to match; else one.
    pub every: bool,
    /// One of these in the name.
    pub names: Option<Vec<NameTerm>>,
    /// For each field one of the values, by all its words.
    pub texts: Vec<(TextField, Vec<Vec<String>>)>,
    /// Releases of one of these versions.
    pub versions: Option<AskedVersions>,
    /// The most hits.
    pub limit: usize,
    /// The most projects that are looked at where one condition finds them and another one decides.
    pub looked_at: usize,
}

/// A project or, if versions were asked for, a release that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The name as registered.
    pub name: String,
    /// The version; empty if it is not known.
    pub version: String,
    /// Empty if it is not known.
    pub summary: String,
    /// A document told the summary.
    pub told: bool,
}

impl Journal {
    /// Finds projects: by closeness of the name, then those whose summary matches, then those by other texts; among
    /// equals the last changed first. Of a project's releases the oldest comes first. An empty answer says that nothing
    /// matches of what is known; whether the names are, [`Journal::projects_serial`] tells.
    pub async fn search(&self, search: Search) -> Result<Vec<Hit>, JournalError> {
        let names = Arc::clone(self.names());
        self.read(move |connection| Finder { connection, names: &names, search: &search }.hits()).await
    }
}

/// A project that matches.
struct Candidate {
    project: String,
    /// It matches whatever the release.
    whole: bool,
}

struct Finder<'a> {
    connection: &'a Connection,
    names: &'a HeldNames,
    search: &'a Search,
}

impl Finder<'_> {
    fn hits(&self) -> rusqlite::Result<Vec<Hit>> {
        let candidates = self.candidates()?;
        let _snapshot = self.snapshot()?;
        let mut hits = Vec::new();
        for candidate in candidates {
            self.hits_of(&candidate, &mut hits)?;
            if hits.len() >= self.search.limit {
                break;
            }
        }
        hits.truncate(self.search.limit);
        Ok(hits)
    }

    /// One transaction for many rows: to begin one for each takes as long as to find the row. Not while names are looked
    /// for: they are read, if nobody has, as they stand then.
    fn snapshot(&self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.unchecked_transaction()
    }

    /// As many as are looked at: if versions decide, more than there can be hits.
    fn most(&self) -> usize {
        if self.search.versions.is_some() { self.search.looked_at } else { self.search.limit }
    }

    fn candidates(&self) -> rusqlite::Result<Vec<Candidate>> {
        let Search { every, names, texts, versions, .. } = self.search;
        if !every {
            return self.any();
        }
        let found = match (names, texts.is_empty()) {
            (None, true) => return if versions.is_some() { self.recent() } else { Ok(Vec::new()) },
            (Some(terms), true) => self.scan(terms, self.most())?,
            (None, false) => self.by_text(texts, true, self.most())?,
            (Some(terms), false) => self.both(terms)?,
        };
        let whole = versions.is_none();
        Ok(found.into_iter().map(|project| Candidate { project, whole }).collect())
    }

    /// Those that match one field: by name, by summary, by another text, by version.
    fn any(&self) -> rusqlite::Result<Vec<Candidate>> {
        let most = self.most();
        let mut found = match &self.search.names {
            Some(terms) => self.scan(terms, most)?,
            None => Vec::new(),
        };
        let (summary, others): (Vec<FieldQuery>, Vec<FieldQuery>) =
            self.search.texts.iter().cloned().partition(|(field, _)| *field == TextField::Summary);
        for fields in [summary, others] {
            if found.len() < most {
                // Those found already are among these.
                let further = self.by_text(&fields, false, most + found.len())?;
                let known: HashSet<&String> = found.iter().collect();
                let further: Vec<String> =
                    further.into_iter().filter(|project| !known.contains(project)).collect();
                found.extend(further);
                found.truncate(most);
            }
        }
        let known: HashSet<String> = found.iter().cloned().collect();
        let mut found: Vec<_> = found.into_iter().map(|project| Candidate { project, whole: true }).collect();
        if self.search.versions.is_some() {
            let recent = self.recent()?;
            found.extend(recent.into_iter().filter(|candidate| !known.contains(&candidate.project)));
        }
        Ok(found)
    }

    /// The projects that changed last, for their versions.
    fn recent(&self) -> rusqlite::Result<Vec<Candidate>> {
        let sql = "SELECT project FROM learned ORDER BY id DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let candidate = |row: &rusqlite::Row<'_>| Ok(Candidate { project: row.get(0)?, whole: false });
        statement.query_map([bound(self.search.looked_at)], candidate)?.collect()
    }

    fn scan(&self, terms: &[NameTerm], most: usize) -> rusqlite::Result<Vec<String>> {
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let ranked = self.names.with(self.connection, |names| names.scan(terms, most))?;
        Ok(ranked.into_iter().map(|ranked| ranked.name).collect())
    }

    /// By texts, the last changed first.
    fn by_text(&self, fields: &[FieldQuery], every: bool, most: usize) -> rusqlite::Result<Vec<String>> {
        let Some(question) = question(fields, every) else { return Ok(Vec::new()) };
        let sql = "SELECT l.project FROM texts t JOIN learned l ON l.id = t.rowid \
                   WHERE t.texts MATCH ?1 ORDER BY t.rowid DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_map(params![question, bound(most)], |row| row.get(0))?.collect()
    }

    /// Those that match by name and by texts, the best first: as far as possible found from the side that has fewer.
    fn both(&self, terms: &[NameTerm]) -> rusqlite::Result<Vec<String>> {
        let Some(question) = question(&self.search.texts, true) else { return Ok(Vec::new()) };
        let common = self.search.looked_at.saturating_mul(COMMON);
        let mut by_text = self.ids(&question, common)?;
        let is_common = by_text.len() >= common;
        if by_text.len() <= FEW_TEXTS && !is_common {
            return self.rank(terms, by_text);
        }
        let by_name = self.scan(terms, self.search.looked_at)?;
        if is_common {
            if by_name.len() <= FEW_NAMES {
                return self.having_texts(by_name, &question);
            }
            by_text = self.ids(&question, self.search.looked_at.saturating_mul(TEXTS_PER_PROJECT))?;
        }
        if by_text.len() < by_name.len() {
            return self.rank(terms, by_text);
        }
        by_text.sort_unstable();
        self.first(by_name, |id| Ok(by_text.binary_search(&id).is_ok()))
    }

    /// The ids of those that match by texts, the last changed first.
    fn ids(&self, question: &str, most: usize) -> rusqlite::Result<Vec<i64>> {
        let sql = "SELECT rowid FROM texts WHERE texts MATCH ?1 ORDER BY rowid DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_map(params![question, bound(most)], |row| row.get(0))?.collect()
    }

    /// Those of `projects` that match by texts, each asked for.
    fn having_texts(&self, projects: Vec<String>, question: &str) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT EXISTS (SELECT 1 FROM texts WHERE texts MATCH ?1 AND rowid = ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        self.first(projects, |id| statement.query_row(params![question, id], |row| row.get(0)))
    }

    /// The first of `projects` that are learned under an id that is as it should be.
    fn first(
        &self,
        projects: Vec<String>,
        mut is: impl FnMut(i64) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<Vec<String>> {
        let _snapshot = self.snapshot()?;
        let mut statement = self.connection.prepare_cached("SELECT id FROM learned WHERE project = ?1")?;
        let mut found = Vec::new();
        for project in projects {
            let id: Option<i64> = statement.query_row([&project], |row| row.get(0)).optional()?;
            if let Some(id) = id
                && is(id)?
            {
                found.push(project);
                if found.len() >= self.most() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Those learned under these ids that match by name too, the best first.
    fn rank(&self, terms: &[NameTerm], ids: Vec<i64>) -> rusqlite::Result<Vec<String>> {
        let _snapshot = self.snapshot()?;
        let mut learned = self.connection.prepare_cached("SELECT project FROM learned WHERE id = ?1")?;
        let mut projects = self.connection.prepare_cached("SELECT serial FROM projects WHERE name = ?1")?;
        let mut ranked = Vec::new();
        for id in ids {
            let Some(name) = learned.query_row([id], |row| row.get::<_, String>(0)).optional()? else {
                continue;
            };
            let Some((closeness, missing)) = rank(terms, &name) else { continue };
            let serial = projects.query_row([&name], |row| row.get::<_, Option<i64>>(0)).optional()?;
            let serial = std::cmp::Reverse(serial.flatten().unwrap_or(UNTOLD));
            ranked.push(Ranked { closeness, missing, serial, name });
        }
        ranked.sort_unstable();
        Ok(ranked.into_iter().map(|ranked| ranked.name).take(self.most()).collect())
    }

    fn hits_of(&self, candidate: &Candidate, hits: &mut Vec<Hit>) -> rusqlite::Result<()> {
        // Also what was found by an older state of the names: what the table lacks is not given out.
        let sql = "SELECT p.spelling, p.serial, l.told IS NOT NULL, l.version, l.summary, l.versions \
                   FROM projects p LEFT JOIN learned l ON l.project = p.name \
                   WHERE p.name = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([&candidate.project])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        let text = |at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
        let (name, told, summary) = (row.get::<_, String>(0)?, row.get(2)?, text(4)?);
        let known = row.get::<_, Option<String>>(3)?;
        let versions = text(5)?;
        let hit = |version: &str| Hit {
            name: name.clone(),
            version: version.to_owned(),
            summary: summary.clone(),
            told,
        };
        match &self.search.versions {
            None => {
                let version = match known {
                    Some(version) if told => version,
                    _ => {
                        let last = last_version(self.connection, row.get(1)?)?;
                        let all = self.untold(&name, &versions)?;
                        let all = all.iter().map(String::as_str).chain(last.as_deref());
                        latest(all).unwrap_or_default().to_owned()
                    }
                };
                hits.push(hit(&version));
            }
            Some(asked) => {
                let untold = if told { Vec::new() } else { self.untold(&name, &versions)? };
                let listed = versions.lines().filter(|_| told).chain(untold.iter().map(String::as_str));
                let mut versions: Vec<&str> =
                    listed.filter(|version| candidate.whole || asked.have(version)).collect();
                newest_first(&mut versions, |version| version);
                hits.extend(versions.into_iter().rev().map(hit));
            }
        }
        Ok(())
    }
}

impl Finder<'_> {
    /// The versions of a project of which no document told, as events tell them: those of before the first listing as far as
    /// they are kept, and `since`, a line each.
    fn untold(&self, name: &str, since: &str) -> rusqlite::Result<Vec<String>> {
        let mut versions = releases::versions(self.connection, name)?;
        for version in since.lines() {
            if !versions.iter().any(|known| known == version) {
                versions.push(version.to_owned());
            }
        }
        Ok(versions)
    }
}

/// The version that a project's last event is about, if that says that it exists.
fn last_version(connection: &Connection, serial: Option<i64>) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT e.version, v.text, e.object FROM events e JOIN verbs v ON v.id = e.verb \
               WHERE e.serial = ?1 AND e.version IS NOT NULL";
    let mut statement: CachedStatement<'_> = connection.prepare_cached(sql)?;
    let row = statement.query_row([serial], |row| {
        let (version, verb, object): (String, String, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let action = object.map_or(verb.clone(), |object| format!("{verb} {object}"));
        let exists = matches!(Action::parse(&action, true), Action::NewRelease | Action::AddFile { .. });
        Ok(exists.then_some(version))
    });
    row.optional().map(Option::flatten)
}

fn bound(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
