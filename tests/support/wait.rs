//! Waits that end with a test's failure instead of never.
//!
//! How fast the machine is decides nothing: what takes a second here may take ten elsewhere. So there is one limit, and
//! it is far beyond both.

use std::time::Duration;

/// What is not over by then never ends.
pub const ENDLESS: Duration = Duration::from_mins(5);

/// From one look to the next, where nothing tells that there is something to see.
const TICK: Duration = Duration::from_millis(5);

/// What comes in the end. `what`: what a test that waits in vain says.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(ENDLESS, wait).await.unwrap_or_else(|_| panic!("{what}"))
}

/// Looks until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(TICK).await;
        }
    };
    within(what, look).await;
}
