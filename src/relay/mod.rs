//! Package files: found by the index, fetched once however many wait, checked before the last byte leaves.
//!
//! [`Relay::open`] finds out which file a path means; `delivery` answers from what is kept, joins or starts
//! a flight, or passes bytes straight through. A body is a `pump`, which goes at its client's pace from
//! whichever of the three has the bytes.

mod buffers;
mod delivery;
mod direct;
mod error;
mod flight;
mod flights;
mod pump;
mod range;
mod served;
mod settings;
mod stage;
mod tally;
mod target;
mod transfer;
mod want;

#[expect(clippy::module_inception, reason = "the facade has the module's name")]
mod relay;

#[cfg(test)]
mod tests;

pub use error::{FetchError, RelayError};
pub use relay::Relay;
pub use served::{Answer, Content, Served, Source};
pub use settings::RelaySettings;
pub use want::Want;
