//! The changelog for those who would rather be told: events after a serial, and then as they come.

mod next;
mod piece;
mod shared;
mod subscription;
mod told;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Since, WantError};
use crate::model::Serial;

pub use piece::{Manner, Piece};
pub use subscription::Subscription;
pub use told::{FeedCut, FeedError, FeedSettings, Told};

use next::Next;
use shared::Inner;
use told::{PAUSE, later};

/// Tells subscribers of events.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

impl Feed {
    /// Feeds end at `stopping`, or they would keep the process from its end.
    pub fn new(journal: Journal, settings: FeedSettings, stopping: CancellationToken) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let (places, turns) = (semaphore(settings.subscribers), semaphore(settings.catching_up.max(1)));
        Self(Arc::new(Inner { journal, settings, places, turns, next: Next::default(), stopping }))
    }

    /// A place from `since` on, or from now on. A live one goes on for ever; another ends at the serial that was
    /// the last when it began.
    pub async fn subscribe(&self, since: Option<Serial>, live: bool) -> Result<Subscription, FeedError> {
        let Inner { journal, settings, places, .. } = &*self.0;
        let full = |_| FeedError::Full(settings.subscribers);
        let place = places.clone().try_acquire_owned().map_err(full)?;
        let news = journal.watch_last_serial();
        let begun = Instant::now();
        let left = || settings.first_wait.saturating_sub(begun.elapsed());
        let late = || WantError { reason: "upstream is being asked".to_owned(), retry: Some(PAUSE) };
        let head = loop {
            match journal.current_last_serial() {
                Ok(head) => break head,
                Err(wanted) => {
                    let done = timeout(left(), wanted.done()).await.unwrap_or_else(|_| Err(late()));
                    done.map_err(|WantError { reason, retry }| FeedError::NoHead {
                        reason,
                        retry: later(retry),
                    })?;
                }
            }
        };
        let after = since.unwrap_or(head).max(Serial(0));
        while let Since::NotCovered(wanted) = journal.since_serial(after, 1).await? {
            let done = timeout(left(), wanted.done()).await.unwrap_or_else(|_| Err(late()));
            done.map_err(|WantError { reason, retry }| FeedError::NotYet {
                after,
                reason,
                retry: later(retry),
            })?;
        }
        let until = (!live).then_some(head);
        Ok(Subscription::new(self.0.clone(), after, until, head, news, place))
    }
}
