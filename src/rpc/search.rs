//! `search`: what a spec asks for, and what its hits look like (docs/wire.md section 4).
//!
//! What the removed method did not settle is settled so:
//!
//! - A field that is empty (`''`, `[]`, nil) was not asked for. A spec that asks for nothing finds nothing: upstream's
//!   gave a hundred arbitrary projects, which nobody can use.
//! - Names match by substring, with `-`, `_`, `.` and spaces equal, a value's words in any order. Other texts match by
//!   whole words without their endings, as upstream's did, a value's words all in the same field.
//! - `version` is about releases: with `and` those of one of these versions, of projects that match otherwise; with `or`
//!   all releases of projects that match otherwise, and those of these versions. Of a project the oldest comes first, so
//!   that old clients of pip, which show the last that they receive, show the newest.
//! - `version` of a hit is the latest that is known: from a document and events since, or from all events. If none is known
//!   it is [`UNKNOWN`]. The documents of the first hits are waited for if nobody has seen them, the others' are not fetched:
//!   a hundred of them would be neither polite nor within the deadline.
//! - `_pypi_ordering` falls from hit to hit: pip 1.5 sorts by it.

use std::time::Duration;

use super::arguments::Arguments;
use super::{Ask, Rpc, SearchSettings};
use crate::journal::{Hit, JournalError, Search, TextField, WantError};
use crate::model::{AskedVersions, NameTerm, ProjectName, words};
use crate::xmlrpc::{Fault, Value};

/// The most hits, as upstream's.
pub const HITS: usize = 100;

/// The part of the deadline in which documents are waited for; the rest is for finding again, and for what else is asked
/// of this machine.
const WAIT: f64 = 0.75;

/// A hit's version where none is known. pip 24.1 and newer parse it, and die on an empty one.
const UNKNOWN: &str = "0";

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The question's: it has too many words.
    #[error("a search may have at most {0} words")]
    TooManyWords(usize),
    /// Upstream's: its list of projects is not known yet.
    #[error("upstream's list of projects is not known yet: {0}")]
    Unknown(WantError),
    /// Upstream has not answered yet; when to come back.
    #[error("upstream has not answered yet")]
    Late(Duration),
    /// Ours.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Rpc {
    pub(super) async fn search(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Value, Fault> {
        let every = operator(arguments)?;
        let Some(search) = asked(arguments, every, &self.0.settings.search)? else {
            return Ok(Value::Array(Vec::new()));
        };
        let hits = self.find(search, ask.deadline).await?;
        Ok(hits.iter().zip((1..=HITS).rev()).map(|(hit, ordering)| value(hit, ordering)).collect())
    }

    /// The projects whose name or summary matches, as `pip search` finds them: at most [`HITS`], none for an empty text. Within
    /// the deadline of calls.
    pub async fn find_projects(&self, text: &str) -> Result<Vec<Hit>, SearchError> {
        let settings = &self.0.settings;
        let mut room = Room { words: settings.search.words, left: settings.search.words };
        room.take(text.split_whitespace())?;
        let summary = vec![room.take(words(text))?];
        let search = Search {
            limit: HITS,
            looked_at: settings.search.looked_at,
            names: Some(NameTerm::parse(text).into_iter().collect()),
            texts: vec![(TextField::Summary, summary)],
            ..Search::default()
        };
        let found = tokio::time::timeout(settings.deadline, self.find(search, settings.deadline)).await;
        found.unwrap_or_else(|_| Err(SearchError::Late(settings.deadline)))
    }

    /// What there is, once the documents of the first hits are there for which that is worth waiting.
    async fn find(&self, search: Search, deadline: Duration) -> Result<Vec<Hit>, SearchError> {
        // Names of a listing that is a little old are better than none. Before the first one nothing is known.
        if self.0.journal.projects_serial().is_none() {
            while let Err(wanted) = self.0.journal.projects_known() {
                wanted.done().await.map_err(SearchError::Unknown)?;
            }
        } else {
            // Asks for a newer one where nobody polls; whoever searches next has it.
            let _ = self.0.journal.projects_known();
        }
        let mut hits = self.0.journal.search(search.clone()).await?;
        let first = hits.iter().filter(|hit| !hit.told).take(self.0.settings.search.learn_hits);
        let first: Vec<ProjectName> = first.filter_map(|hit| ProjectName::parse(&hit.name).ok()).collect();
        if !first.is_empty() && self.0.index.learn_now(first, deadline.mul_f64(WAIT)).await {
            hits = self.0.journal.search(search).await?;
        }
        Ok(hits)
    }
}

/// Whether all fields have to match.
fn operator(arguments: &Arguments) -> Result<bool, Fault> {
    match arguments.given(1).and_then(Value::as_str) {
        None => Ok(true),
        Some(operator) if operator.eq_ignore_ascii_case("and") => Ok(true),
        Some(operator) if operator.eq_ignore_ascii_case("or") => Ok(false),
        Some(_) => Err(Fault::raised("ValueError", "Invalid operator, must be one of 'and' or 'or'.")),
    }
}

/// What is to be found; `None` if nothing is asked for.
fn asked(
    arguments: &Arguments,
    every: bool,
    settings: &SearchSettings,
) -> Result<Option<Search>, SearchError> {
    let mut search = Search { every, limit: HITS, looked_at: settings.looked_at, ..Search::default() };
    let mut room = Room { words: settings.words, left: settings.words };
    if let Some(values) = values(arguments, "name") {
        for value in &values {
            room.take(value.split_whitespace())?;
        }
        search.names = Some(values.into_iter().filter_map(NameTerm::parse).collect());
    }
    if let Some(values) = values(arguments, "version") {
        for value in &values {
            room.take(value.split_whitespace())?;
        }
        search.versions = Some(AskedVersions::new(values.into_iter().map(str::trim)));
    }
    for field in TextField::ALL {
        if let Some(values) = values(arguments, field.name()) {
            let terms: Result<Vec<_>, SearchError> =
                values.into_iter().map(|value| room.take(words(value))).collect();
            search.texts.push((field, terms?));
        }
    }
    let nothing = search.names.is_none() && search.versions.is_none() && search.texts.is_empty();
    Ok((!nothing).then_some(search))
}

/// The words that may still come.
struct Room {
    words: usize,
    left: usize,
}

impl Room {
    /// Takes a value's words; an empty value counts as one. Not read beyond what there is room for.
    fn take<T>(&mut self, words: impl Iterator<Item = T>) -> Result<Vec<T>, SearchError> {
        let taken: Vec<T> = words.take(self.left + 1).collect();
        let left = self.left.checked_sub(taken.len().max(1));
        self.left = left.ok_or(SearchError::TooManyWords(self.words))?;
        Ok(taken)
    }
}

/// A field's values; `None` if it was not asked for.
fn values<'a>(arguments: &'a Arguments, field: &str) -> Option<Vec<&'a str>> {
    match arguments.member(0, field)? {
        Value::Array(values) if values.is_empty() => None,
        Value::Array(values) => Some(values.iter().filter_map(Value::as_str).collect()),
        value => value.as_str().filter(|value| !value.is_empty()).map(|value| vec![value]),
    }
}

fn value(hit: &Hit, ordering: usize) -> Value {
    let ordering = i64::try_from(ordering).unwrap_or(0);
    let version = if hit.version.is_empty() { UNKNOWN } else { hit.version.as_str() };
    Value::Struct(vec![
        ("name".to_owned(), Value::from(hit.name.as_str())),
        ("version".to_owned(), Value::from(version)),
        ("summary".to_owned(), Value::from(hit.summary.as_str())),
        ("_pypi_ordering".to_owned(), Value::Int(ordering)),
    ])
}
