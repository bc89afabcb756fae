//! The changelog for those who would rather be told: events after a serial, and then as they come.

mod next;
mod piece;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalError, Since, WantError};
use crate::model::{Serial, settings};

use next::Next;
pub use piece::{Manner, Piece};
pub use subscription::Subscription;

/// The shortest pause between two questions about the same serial that upstream could not answer.
const PAUSE: Duration = Duration::from_secs(1);

settings! {
    /// Limits of the feed.
    #[derive(Debug, Clone)]
    pub struct FeedSettings in "feed" {
        /// Subscribers of the feed at once; one more is told to come back.
        ///
        /// Those who have all so far are told of an event by one read for all. 10,000 take some 100 MB, and need
        /// `http.max_connections` above that.
        subscribers: usize = 2_000,
        /// Subscribers for whom older events are read at the same time; the others wait for their turn.
        ///
        /// With their buffers these take below 60 MB.
        catching_up: usize = 64,
        /// Bytes of events that are read ahead for a subscriber.
        ///
        /// Nothing else waits for it: what happens meanwhile is read from the journal when it is ready for more.
        buffer: usize as Room = 256 << 10,
        /// From one sign of life to the next where nothing happens.
        ///
        /// Proxies cut silent connections after 30 to 60 s.
        keep_alive: Duration = Duration::from_secs(15),
        /// How long a subscriber may take for one buffer before it is cut; it comes back where it was.
        ///
        /// A subscriber that takes longer reads no 10 KB a second, and its place goes to another.
        patience: Duration = Duration::from_secs(30),
        /// How long a new subscriber waits for a missing slice before it is told to come back.
        ///
        /// As a call's deadline.
        first_wait: Duration = Duration::from_secs(4),
    }
}

/// Why nobody is told anything.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Ours: every place is taken.
    #[error("all {0} places of the feed are taken")]
    Full(usize),
    /// Upstream's: we don't know what came after that serial. It is being asked.
    #[error("the events after serial {after} are not known yet: {reason}")]
    NotYet {
        /// The serial.
        after: Serial,
        /// Why not.
        reason: String,
        /// When to come back.
        retry: Duration,
    },
    /// Upstream's: its last serial is not known yet.
    #[error("upstream's last serial is not known yet: {reason}")]
    NoHead {
        /// Why not.
        reason: String,
        /// When to come back.
        retry: Duration,
    },
    /// Ours.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why a feed ends before its time. Whoever was told events up to a serial comes back with that serial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedCut {
    /// The client's: it takes too long.
    #[error("you read too slowly; come back with the last serial that you have")]
    Slow,
    /// Ours.
    #[error("the relay stops; come back with the last serial that you have")]
    Stopping,
    /// Upstream's: what comes next could not be had.
    #[error("what comes next is not known: {}", .0.reason)]
    Unknown(WantError),
    /// Ours.
    #[error("the relay failed")]
    Failed,
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum Told {
    /// Events, in ascending order and without a gap after those before.
    Events(Arc<Piece>),
    /// Nothing happened; a sign of life.
    Nothing,
    /// The end, too early.
    Cut(FeedCut),
}

/// Tells subscribers of events.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    journal: Journal,
    settings: FeedSettings,
    places: Arc<Semaphore>,
    /// For reads of older events.
    turns: Arc<Semaphore>,
    next: Next,
    stopping: CancellationToken,
}

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
        Ok(Subscription::new(self.clone(), after, until, head, news, place))
    }
}

/// HTTP has no word for "never" but that the feed is unavailable: then once a day.
fn later(retry: Option<Duration>) -> Duration {
    retry.unwrap_or(Duration::from_hours(24))
}
