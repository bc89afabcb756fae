//! The journal's part of a bundle: a small journal with the events after a serial and with everything that decides what is
//! answered, made of one journal and put into another (docs/operate.md, "Machines without a network").
//!
//! Events are added, for history is what most of a journal is. All else (the project table, documents and their files, tombstones,
//! removals, quarantine, kept answers, what search knows) takes the place of what was there, so that the importer answers
//! as the exporter does. It happens in one transaction: whoever kills the import finds the journal of before or the one
//! of after.

mod check;
mod error;
mod make;
mod tables;
mod take;

pub use error::BundlePartError;
pub use make::MadePart;
pub(super) use take::leave;
pub use take::{Importing, TakenPart};

use crate::model::{Serial, UpstreamIdentity};

/// What a bundle says of its part of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartClaims {
    /// Whose packages it tells of.
    pub upstream: UpstreamIdentity,
    /// It has the events after this one; `None`: all that the exporter has.
    pub since: Option<Serial>,
    /// The last serial that the exporter knew.
    pub last_serial: Serial,
    /// Unix seconds of when it was made, by the exporter's clock.
    pub taken: i64,
}
