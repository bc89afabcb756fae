//! Reads settings one by one and keeps every complaint for the end.

use std::collections::BTreeMap;
use std::fmt;

use super::setting::{Bytes, Count, Room, Setting};
use super::source::{Origin, Sources};
use super::{ConfigError, Described};
use crate::model::redacted;

/// How alike an unknown key must be to a known one to be taken for a slip (Jaro–Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

pub(super) struct Reader {
    given: BTreeMap<String, (toml::Value, Origin)>,
    described: Vec<Described>,
    complaints: Vec<String>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { given: sources.values, described: Vec::new(), complaints: Vec::new() }
    }

    /// Sets `place`, which holds the default, if a value was given.
    pub(super) fn set<T: Setting>(&mut self, key: &'static str, place: &mut T, meaning: &'static str) {
        let default = place.write();
        if let Some((value, origin)) = self.given.remove(key) {
            if let Some(read) = text(&value).as_deref().and_then(T::read) {
                *place = read;
            } else {
                // Whatever it is, a password may be in it.
                let value = redacted(&value.to_string());
                self.complaints.push(format!("{key} = {value} ({origin}): expected {}", T::EXPECTED));
            }
        }
        self.described.push(Described { key, default, value: place.write(), meaning });
    }

    /// Sets a number of bytes.
    pub(super) fn bytes<T>(&mut self, key: &'static str, place: &mut T, meaning: &'static str)
    where
        T: TryFrom<u64> + TryInto<u64> + Copy,
    {
        let mut bytes = Bytes(*place);
        self.set(key, &mut bytes, meaning);
        *place = bytes.0;
    }

    /// Sets a number of bytes without some of which nothing goes on.
    pub(super) fn room<T>(&mut self, key: &'static str, place: &mut T, meaning: &'static str)
    where
        T: TryFrom<u64> + TryInto<u64> + Copy,
    {
        let mut room = Room(*place);
        self.set(key, &mut room, meaning);
        *place = room.0;
    }

    /// Sets a number of things of which one is needed.
    pub(super) fn count<T>(&mut self, key: &'static str, place: &mut T, meaning: &'static str)
    where
        T: TryFrom<u64> + Copy + fmt::Display,
    {
        let mut count = Count(*place);
        self.set(key, &mut count, meaning);
        *place = count.0;
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

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
