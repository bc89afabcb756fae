//! Package files: found by the index, fetched once however many wait, checked before the last byte leaves.
//!
//! [`Relay::open`] finds out which file a path means; `delivery` answers from what is kept, joins or starts
//! a flight, or passes bytes straight through. A body is a `pump`, which goes at its client's pace from
//! whichever of the three has the bytes.

mod again;
mod bring;
mod brought;
mod buffers;
mod conditions;
mod contents;
mod decode;
mod delivery;
mod direct;
mod error;
mod fetch;
mod flight;
mod flights;
mod named;
mod prefetch;
mod pump;
mod purge;
mod range;
mod resources;
mod served;
mod settings;
mod source;
mod stage;
mod sweep;
mod tally;
mod target;
mod tombstones;
mod transfer;

#[expect(clippy::module_inception, reason = "the facade has the module's name")]
mod relay;

#[cfg(test)]
mod tests;

pub use again::{Again, RepeatableFile};
pub use bring::{Bringer, NotTaken, Upload, Uploader, upload};
pub use conditions::Conditions;
pub use error::{FetchError, RelayError};
pub use fetch::Fetched;
pub use prefetch::{PrefetchSettings, Rule, RuleError, Rules};
pub use range::RangeRequest;
pub use relay::Relay;
pub use served::{Content, FileAnswer, Served};
pub use settings::RelaySettings;
pub use source::Source;
pub use sweep::Swept;
