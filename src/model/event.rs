//! Events of the changelog and the serials that number them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The number of an event. Serials ascend and are unique, but not dense (WIRE.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(pub i64);

impl Serial {
    /// Reads a key that each index may fill as it likes, as PEP 691 leaves those that begin with `_`: what is no
    /// serial counts as none said.
    pub fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        Ok(serde_json::Value::deserialize(from)?.as_i64().filter(|serial| *serial >= 0).map(Self))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One row of the changelog (WIRE.md section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub serial: Serial,
    /// The project's spelling in this event.
    pub name: String,
    /// The release it is about; `None` if it is about the whole project.
    pub version: Option<String>,
    /// Unix time in seconds. Not monotonic in serial.
    pub time: i64,
    /// What happened, in upstream's words; see [`super::Action`].
    pub action: String,
}
