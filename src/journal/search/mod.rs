//! Search over all projects: their names in memory, what documents told of them in the database.
//!
//! Measured over 886 thousand names: SQLite's own full-text index has no substrings below three characters, and ranks
//! the hundred thousand names with `py` in them in tenths of a second. All names one after the other are 13 MB, and one
//! pass over them takes 0.7 ms for a rare word and 4 ms for `py`, ranking included. Summaries and the other texts are words
//! in a full-text index whose order is recency, so that a common word is read until there are enough hits.
//!
//! - [`names`]: the names, and the pass over them.
//! - [`held`]: when they are read, and how commits reach them.
//! - [`learned`]: what documents and events tell.
//! - [`find`]: a question, from both.
//! - [`untold`]: of which projects nothing was told yet.

mod find;
mod held;
mod learned;
mod names;
mod pending;
mod phrase;

pub use find::{Hit, Search};
pub(super) use held::{HeldNames, changes};
pub use learned::{Folded, Learned};
pub(super) use learned::{forget_missing, heed, unlearn};
pub(super) use names::Change;
pub use phrase::TextField;
