//! The changelog for those who would rather be told: events after a serial, and then as they come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalError, Since, WantError};
use crate::model::{Event, Serial, settings};

/// Events read at once: some 250 KB of them, and a read of about a millisecond.
const ROWS: usize = 1000;

/// What an event's fixed parts take in a feed, in bytes: keys, numbers, quotes, `id:` and `data:`.
const FRAME: usize = 120;

/// The shortest pause between two questions about the same serial that upstream could not answer.
const PAUSE: Duration = Duration::from_secs(1);

settings! {
    /// Limits of the feed.
    #[derive(Debug, Clone)]
    pub struct FeedSettings in "feed" {
        /// Subscribers of the feed at once; one more is told to come back.
        ///
        /// With their buffers these take below 60 MB.
        subscribers: usize = 64,
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
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Events, in ascending order and without a gap after those before.
    Events(Vec<Event>),
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
    stopping: CancellationToken,
}

/// A place in the feed.
pub struct Subscription {
    feed: Feed,
    /// The last serial that was told.
    after: Serial,
    /// Not live: up to here, and then it is over.
    until: Option<Serial>,
    /// Upstream's last serial when it began.
    head: Serial,
    news: watch::Receiver<Option<Serial>>,
    /// When the subscriber was last handed something.
    handed: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// Feeds end at `stopping`, or they would keep the process from its end.
    pub fn new(journal: Journal, settings: FeedSettings, stopping: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(settings.subscribers.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { journal, settings, places, stopping }))
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
        Ok(Subscription { feed: self.clone(), after, until, head, news, handed: None, _place: place })
    }
}

/// HTTP has no word for "never" but that the feed is unavailable: then once a day.
fn later(retry: Option<Duration>) -> Duration {
    retry.unwrap_or(Duration::from_hours(24))
}

impl Subscription {
    /// Upstream's last serial when it began; who is told so far and is not live has everything.
    pub fn head(&self) -> Serial {
        self.head
    }

    /// What there is to tell, one piece in memory: the next is read when it is asked for.
    pub fn pieces(self) -> impl Stream<Item = Told> + Send + 'static {
        stream::unfold(Some(self), |subscription| async move {
            let mut subscription = subscription?;
            let told = subscription.next().await?;
            let over = matches!(told, Told::Cut(_));
            Some((told, (!over).then_some(subscription)))
        })
    }

    async fn next(&mut self) -> Option<Told> {
        if self.handed.is_some_and(|at| at.elapsed() > self.feed.0.settings.patience) {
            tracing::debug!(after = %self.after, "a subscriber of the feed reads too slowly and is cut");
            return Some(Told::Cut(FeedCut::Slow));
        }
        let stopping = self.feed.0.stopping.clone();
        let told = tokio::select! {
            () = stopping.cancelled() => Some(Told::Cut(FeedCut::Stopping)),
            told = self.tell() => told,
        };
        self.handed = Some(Instant::now());
        told
    }

    async fn tell(&mut self) -> Option<Told> {
        let feed = self.feed.clone();
        let Inner { journal, settings, .. } = &*feed.0;
        let mut silence = std::pin::pin!(sleep(settings.keep_alive));
        loop {
            // Seen before the tables are read: what comes after that wakes the wait below.
            let head = *self.news.borrow_and_update();
            let since = match self.since(journal, settings.buffer).await {
                Ok(since) => since,
                Err(error) => {
                    tracing::error!(%error, "a feed ends because the journal failed");
                    return Some(Told::Cut(FeedCut::Failed));
                }
            };
            let wanted = match since {
                Ok(events) if !events.is_empty() => {
                    self.after = events.last()?.serial;
                    return Some(Told::Events(events));
                }
                // Of a feed that is not live this is the end, and the only one without a word.
                Ok(_) if self.until.is_some() => return None,
                Ok(_) => {
                    tokio::select! {
                        // Its sender lives as long as the journal that we hold.
                        _ = self.news.changed() => continue,
                        () = &mut silence => return Some(Told::Nothing),
                    }
                }
                Err(wanted) => wanted,
            };
            let outcome = tokio::select! {
                outcome = wanted.done() => outcome,
                () = &mut silence => return Some(Told::Nothing),
            };
            if let Err(error) = outcome {
                // At the head nothing is lost by waiting; before it the client learns why and when to come back.
                if self.until.is_some() || head.is_none_or(|head| self.after < head) {
                    return Some(Told::Cut(FeedCut::Unknown(error)));
                }
                tokio::select! {
                    _ = self.news.changed() => {}
                    () = sleep(later(error.retry).max(PAUSE)) => {}
                    () = &mut silence => return Some(Told::Nothing),
                }
            }
        }
    }

    /// The next events, as many as a buffer holds and at least one; none if nothing happened.
    async fn since(
        &self,
        journal: &Journal,
        buffer: usize,
    ) -> Result<Result<Vec<Event>, crate::journal::Wanted>, JournalError> {
        if self.until.is_some_and(|until| self.after >= until) {
            return Ok(Ok(Vec::new()));
        }
        let mut chunks = match journal.since_serial(self.after, ROWS).await? {
            Since::Events(chunks) => chunks,
            Since::NotCovered(wanted) => return Ok(Err(wanted)),
        };
        let mut events = chunks.next().await.transpose()?.unwrap_or_default();
        let mut bytes = 0;
        let fits = events.iter().take_while(|event| {
            bytes += size(event);
            bytes <= buffer
        });
        let fits = fits.count();
        // The rest is read again when its turn comes.
        events.truncate(fits.max(1));
        events.shrink_to_fit();
        Ok(Ok(events))
    }
}

/// About what an event takes in a feed.
fn size(event: &Event) -> usize {
    FRAME + event.name.len() + event.version.as_ref().map_or(0, String::len) + event.action.len()
}
