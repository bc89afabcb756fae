//! What all subscribers of the feed share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::next::Next;
use super::told::FeedSettings;
use crate::journal::Journal;

pub(super) struct Inner {
    pub(super) journal: Journal,
    pub(super) settings: FeedSettings,
    pub(super) places: Arc<Semaphore>,
    /// For reads of older events.
    pub(super) turns: Arc<Semaphore>,
    pub(super) next: Next,
    pub(super) stopping: CancellationToken,
}
