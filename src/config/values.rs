//! The values of all settings, and which of them differ from others.

use std::collections::BTreeMap;

use super::{Described, Sources};

/// What is written in place of a password.
const HIDDEN: &str = "***";

/// The value of each setting, by its key.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    written: String,
    /// As it was given, if what is written hides a part of it.
    hidden: Option<String>,
}

impl Values {
    pub(super) fn of(described: Vec<Described>, given: &Sources) -> Self {
        let values = described.into_iter().map(|setting| {
            let written = setting.value;
            let given = given.values.get(setting.key).filter(|_| written.contains(HIDDEN));
            (setting.key, Value { written, hidden: given.map(|(given, _)| given.to_string()) })
        });
        Self(values.collect())
    }

    /// The keys of the settings that have other values there, in the order of the alphabet.
    pub fn changed(&self, there: &Self) -> Vec<&'static str> {
        let differs = |(key, value): &(&&'static str, &Value)| there.0.get(**key) != Some(*value);
        self.0.iter().filter(differs).map(|(key, _)| *key).collect()
    }

    /// Takes over the value of a setting from there.
    pub fn take(&mut self, key: &'static str, there: &Self) {
        if let Some(value) = there.0.get(key) {
            self.0.insert(key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn values(text: &str) -> Values {
        let mut sources = Sources::default();
        sources.text(text, "a file").unwrap();
        Config::read_with_values(sources).unwrap().1
    }

    #[test]
    fn what_has_another_value_is_named_also_if_only_a_password_differs() {
        let before = values("upstream.url = \"https://user:one@index.test\"\nhttp.drain = \"30s\"");
        // The default, and another spelling of it.
        let same = values("upstream.url = \"https://user:one@index.test\"\nhttp.drain = \"30000ms\"");
        assert_eq!(before.changed(&same), [""; 0]);
        let other = values(
            "upstream.url = \"https://user:two@index.test\"\nclients.burst = 7\nlog.filter = \"debug\"",
        );
        assert_eq!(before.changed(&other), ["clients.burst", "log.filter", "upstream.url"]);
        let mut mixed = before.clone();
        mixed.take("clients.burst", &other);
        assert_eq!(mixed.changed(&other), ["log.filter", "upstream.url"]);
        assert_eq!(mixed.changed(&before), ["clients.burst"]);
    }
}
