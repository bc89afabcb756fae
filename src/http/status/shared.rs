//! What all status pages answer from.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;

use super::inputs::StatusInputs;
use super::layout::Site;
use crate::http::admin::Admin;
use crate::http::origin::Origins;
use crate::index::Index;
use crate::rpc::Rpc;
use crate::stats::Stats;

/// How long a page waits for what is read from a disk, and for what it can do without. Past it the page says so: whoever looks at
/// it because something is wrong should see the rest.
pub(super) const READING: Duration = Duration::from_secs(5);

/// How long caches on the way may keep what upstream or the disk may change at any moment.
pub(super) const ASK: &str = "no-cache";

/// The pages. Clones are one.
#[derive(Clone)]
pub(in crate::http) struct StatusPages(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) inputs: StatusInputs,
    pub(super) admin: Admin,
    pub(super) rpc: Rpc,
    pub(super) index: Index,
    pub(super) stats: Stats,
    pub(super) origins: Origins,
}

impl Inner {
    pub(super) fn site<'a>(&'a self, request: &'a Parts) -> Site<'a> {
        Site { origins: &self.origins, request }
    }
}

/// An answer, or that it takes too long.
pub(super) async fn in_time<T>(reading: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || Err(format!("not within {} s", READING.as_secs()));
    tokio::time::timeout(READING, reading).await.unwrap_or_else(|_| late())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_not_waited_for() {
        let late = in_time(std::future::pending::<Result<(), String>>()).await;
        assert_eq!(late, Err("not within 5 s".to_owned()));
        assert_eq!(in_time(async { Ok(1) }).await, Ok(1));
    }
}
