//! Errors to answers, exhaustively: 5xx are logged as errors, 4xx at debug; clients see the reason, never
//! our insides.

mod feed;
mod index;
mod relay;
mod signed;
mod statistics;

pub(super) use feed::{too_many_feeds, too_many_searches};
pub(super) use index::InJson;
pub(super) use relay::{bad_path, unsatisfiable};
