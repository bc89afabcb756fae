//! What each fuzzer holds true of any bytes. `cargo test` replays the corpora through the same bodies.

// Used by the fuzzers' crate, where they are public, and by the test binary, where they are not.
#![allow(unreachable_pub, clippy::must_use_candidate, clippy::missing_panics_doc)]

mod call;
mod form;
mod listing;
mod page;
mod response;
mod round_trip;
mod value;
mod want;

pub use call::call;
pub use form::form;
pub use listing::listing;
pub use page::page;
pub use response::response;
pub use round_trip::round_trip;
pub use want::want;

use cheesewire::xmlrpc::Limits;

/// The depth that the relay reads by default.
const LIMITS: Limits = Limits { depth: 64 };
/// One more: an untyped string is written with its tag, an element deeper than it was read.
const WRITTEN: Limits = Limits { depth: 65 };
