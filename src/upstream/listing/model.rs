//! What a listing says.

use crate::model::Serial;
use crate::upstream::{Skipped, Validators};

/// Every project that upstream has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The serial that the listing is as new as.
    pub last_serial: Option<Serial>,
    /// The projects in upstream's order.
    pub projects: Vec<ListedProject>,
    /// The validators for the next question.
    pub validators: Validators,
    /// When upstream made it, in Unix seconds: by its own clock and less its age, or else when it came.
    pub taken: i64,
    /// What of it could not be used.
    pub skipped: Skipped,
}

/// What a conditional question for the listing brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// 304: it is still the one that the validator stands for.
    Same {
        /// When upstream had it so, as [`Listing::taken`].
        taken: i64,
    },
    /// A new one.
    New(Listing),
}

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProject {
    /// The registered spelling.
    pub name: String,
    /// The project's last serial; HTML has none.
    pub serial: Option<Serial>,
}

/// What is said of one that is too long.
pub(super) fn too_many(most: usize) -> String {
    format!("more than {most} projects (upstream.listing_projects)")
}
