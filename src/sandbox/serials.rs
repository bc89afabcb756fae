//! Serials that an answer states instead of the true ones.

use serde::{Deserialize, Serialize};

use crate::model::Serial;

/// What an answer states instead of its serials: in its header, in its body, and in a changelog's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Serials {
    /// None at all, as static files do. Calls state theirs all the same: they have no form without.
    None,
    /// This one for everything.
    All(i64),
    /// This one as the answer's own: of the page, of the document, of the listing (not of its projects), of
    /// `changelog_last_serial`. A changelog has one row more that has it, at its end.
    One(i64),
    /// This one for one project of the listing and of `list_packages_with_serial`.
    Project {
        /// The registered spelling.
        name: String,
        /// The serial.
        serial: i64,
    },
}

/// What is stated, by what is true.
#[derive(Debug, Clone, Default)]
pub(super) struct Stated(pub(super) Option<Serials>);

impl Stated {
    /// An answer's own serial.
    pub(super) fn own(&self, serial: Serial) -> Option<Serial> {
        match self.0 {
            Some(Serials::None) => None,
            Some(Serials::All(stated) | Serials::One(stated)) => Some(Serial(stated)),
            Some(Serials::Project { .. }) | None => Some(serial),
        }
    }

    /// A project's in a list of all.
    pub(super) fn listed(&self, name: &str, serial: Serial) -> Option<Serial> {
        match &self.0 {
            Some(Serials::None) => None,
            Some(Serials::All(stated)) => Some(Serial(*stated)),
            Some(Serials::Project { name: wanted, serial }) if wanted == name => Some(Serial(*serial)),
            Some(Serials::One(_) | Serials::Project { .. }) | None => Some(serial),
        }
    }

    /// A row's of a changelog.
    pub(super) fn row(&self, serial: Serial) -> Serial {
        match self.0 {
            Some(Serials::All(stated)) => Serial(stated),
            Some(Serials::None | Serials::One(_) | Serials::Project { .. }) | None => serial,
        }
    }

    /// The serial of the row that a changelog has besides.
    pub(super) fn further_row(&self) -> Option<Serial> {
        match self.0 {
            Some(Serials::One(stated)) => Some(Serial(stated)),
            Some(Serials::None | Serials::All(_) | Serials::Project { .. }) | None => None,
        }
    }
}
