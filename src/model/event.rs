//! Events of the changelog and the serials that number them.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The number of an event. Serials ascend and are unique, but not dense (docs/wire.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Serial(pub i64);

impl Serial {
    /// The highest that a client of XML-RPC can be told: `<int>` has 32 bits (docs/wire.md section 2).
    pub const MOST: Self = Self(i32::MAX as i64);

    /// A serial that an index states, if it can be one: neither negative nor beyond [`Serial::MOST`]. Else it counts as
    /// not stated.
    pub fn stated(serial: i64) -> Option<Self> {
        Some(Self(serial)).filter(|serial| (Self(0)..=Self::MOST).contains(serial))
    }
}

/// From a number, or from its digits in a text: some mirrors of the JSON forms write it so.
impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(i64),
            Digits(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(serial) => Ok(Self(serial)),
            Form::Digits(text) => {
                text.parse().map(Self).map_err(|_| D::Error::custom("a serial that is no number"))
            }
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One row of the changelog (docs/wire.md section 6).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_a_number_or_its_digits() {
        assert_eq!(serde_json::from_str::<Serial>("26356948").ok(), Some(Serial(26_356_948)));
        assert_eq!(serde_json::from_str::<Serial>("\"26356948\"").ok(), Some(Serial(26_356_948)));
        assert!(serde_json::from_str::<Serial>("\"new\"").is_err());
        assert!(serde_json::from_str::<Serial>("1.5").is_err());
        assert_eq!(Serial::stated(i64::from(i32::MAX)), Some(Serial::MOST));
        assert_eq!((Serial::stated(1 << 31), Serial::stated(-1)), (None, None));
    }
}
