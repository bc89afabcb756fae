//! Where settings come from: defaults, a TOML file, the environment, flags. Later ones win.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::ConfigError;
use crate::model::redacted;

/// Environment variables are this prefix and the key in capitals, `__` for the dot:
/// `http.idle_timeout` is `CHEESEWIRE_HTTP__IDLE_TIMEOUT`.
const PREFIX: &str = "CHEESEWIRE_";

/// Who gave a value; named in complaints about it.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(String),
    Environment(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "in {file}"),
            Self::Environment(variable) => write!(f, "in the environment variable {variable}"),
            Self::Flag(flag) => write!(f, "in the flag {flag}"),
        }
    }
}

/// `SERVICE_HOST`, `MAIN_SERVICE_PORT_HTTP`, `PORT_3141_TCP_ADDR` …: a setting's name has `__` in it, or no such word.
fn is_of_service(key: &str) -> bool {
    let words: Vec<&str> = key.split('_').collect();
    !words.contains(&"") && (words.contains(&"PORT") || words.ends_with(&["SERVICE", "HOST"]))
}

/// The values that were given, by dotted key.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub(super) values: BTreeMap<String, (toml::Value, Origin)>,
}

impl Sources {
    /// Adds a TOML file. Fails if it can't be read or is not TOML.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::one(format!("the configuration file {name} can't be read: {error}"))
        })?;
        self.text(&text, &name)
    }

    /// Adds TOML text; `name` is used in complaints.
    pub fn text(&mut self, text: &str, name: &str) -> Result<(), ConfigError> {
        // Without the line itself, in which a password may stand.
        let not_toml = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::one(format!("{name} is not TOML: line {line}: {}", error.message()))
        };
        let table: toml::Table = text.parse().map_err(not_toml)?;
        self.table("", table, &Origin::File(name.to_owned()));
        Ok(())
    }

    fn table(&mut self, path: &str, table: toml::Table, origin: &Origin) {
        for (key, value) in table {
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            match value {
                toml::Value::Table(inner) => self.table(&path, inner, origin),
                value => {
                    self.values.insert(path, (value, origin.clone()));
                }
            }
        }
    }

    /// Adds environment variables; those without our prefix are passed over, and those with which Kubernetes tells a
    /// container where a service of our name is.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in variables {
            if let Some(key) = variable.strip_prefix(PREFIX).filter(|key| !is_of_service(key)) {
                let key = key.to_ascii_lowercase().replace("__", ".");
                self.values.insert(key, (toml::Value::String(value), Origin::Environment(variable)));
            }
        }
    }

    /// Adds a flag's value under a key.
    pub fn flag(&mut self, flag: &str, key: &str, value: Option<String>) {
        if let Some(value) = value {
            let value = toml::Value::String(value);
            self.values.insert(key.to_owned(), (value, Origin::Flag(flag.to_owned())));
        }
    }

    /// Adds `KEY=VALUE` of a `--set` flag.
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = assignment.split_once('=') else {
            let complaint =
                format!("--set {}: write KEY=VALUE, such as http.idle_timeout=30s", redacted(assignment));
            return Err(ConfigError::one(complaint));
        };
        self.flag(&format!("--set {}", redacted(key)), key.trim(), Some(value.trim().to_owned()));
        Ok(())
    }
}
