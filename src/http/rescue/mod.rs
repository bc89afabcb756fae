//! Errors to answers, exhaustively: 5xx are logged as errors, 4xx at debug; clients see the reason, never
//! our insides.

mod feed;
mod index;
mod relay;

use std::time::Duration;

pub(super) use relay::{bad_path, unsatisfiable};

/// For `Retry-After`: at least one, since 0 would mean "at once".
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
