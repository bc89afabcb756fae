//! Reads settings one by one and keeps every complaint for the end.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::source::{Origin, Sources};
use crate::model::{Kind, SettingReader, redacted};

/// How alike an unknown key must be to a known one to be taken for a slip (Jaro–Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// A setting as documented.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its dotted key.
    pub key: &'static str,
    /// Its default, in the text form; empty if there is none.
    pub default: String,
    /// Its value now.
    pub value: String,
    /// What it means: the first paragraph of its declaration's comment, in one line, with code between backquotes.
    pub meaning: String,
}

pub(super) struct Reader {
    given: BTreeMap<String, (toml::Value, Origin)>,
    described: Vec<Described>,
    complaints: Vec<String>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { given: sources.values, described: Vec::new(), complaints: Vec::new() }
    }

    /// How many complaints there are.
    pub(super) fn complaints(&self) -> usize {
        self.complaints.len()
    }

    /// Adds a complaint of a check between settings.
    pub(super) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    /// Ends the reading: what was given and not taken is unknown. All complaints come at once.
    pub(super) fn finish(mut self) -> Result<Vec<Described>, ConfigError> {
        for (key, (_, origin)) in &self.given {
            let near = |known: &Described| strsim::jaro_winkler(known.key, key);
            let best = self.described.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
            let hint = best.filter(|known| near(known) > ALIKE);
            let hint = hint.map_or_else(String::new, |known| format!("; did you mean {}?", known.key));
            // An address that was written in the wrong place is a key here.
            self.complaints.push(format!("{} ({origin}): no such setting{hint}", redacted(key)));
        }
        if self.complaints.is_empty() {
            Ok(self.described)
        } else {
            Err(ConfigError { complaints: self.complaints })
        }
    }
}

impl SettingReader for Reader {
    fn set<T, K: Kind<T>>(&mut self, key: &'static str, place: &mut T, comment: &'static str) {
        let default = K::write(place);
        if let Some((value, origin)) = self.given.remove(key) {
            if let Some(read) = text(&value).as_deref().and_then(K::read) {
                *place = read;
            } else {
                // Whatever it is, a password may be in it.
                let value = redacted(&value.to_string());
                self.complaints.push(format!("{key} = {value} ({origin}): expected {}", K::EXPECTED));
            }
        }
        self.described.push(Described { key, default, value: K::write(place), meaning: meaning(comment) });
    }
}

/// The first paragraph of a comment, in one line. What is below is for who changes the code.
fn meaning(comment: &str) -> String {
    let words: Vec<&str> =
        comment.lines().take_while(|line| !line.is_empty()).flat_map(str::split_whitespace).collect();
    words.join(" ")
}

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
