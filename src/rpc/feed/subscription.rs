//! One subscriber of the feed.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep, sleep};

use super::next::Found;
use super::piece::Piece;
use super::shared::Inner;
use super::told::{FeedCut, PAUSE, Told, later};
use crate::journal::{Journal, JournalError, Since};
use crate::model::{Event, Serial};

/// Events read at once: some 250 KB of them, and a read of about a millisecond.
const ROWS: usize = 1000;

/// What an event's fixed parts take in a feed, in bytes: keys, numbers, quotes, `id:` and `data:`.
const FRAME: usize = 120;

/// A turn that is waited for.
type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A place in the feed.
pub struct Subscription {
    feed: Arc<Inner>,
    /// The last serial that was told.
    after: Serial,
    /// Not live: up to here, and then it is over.
    until: Option<Serial>,
    /// Upstream's last serial when it began.
    head: Serial,
    news: watch::Receiver<Option<Serial>>,
    /// It has been told all that there was, and is told what comes with the others.
    is_level: bool,
    /// Its place in the queue for a turn.
    turn: Option<Turn>,
    /// When the subscriber was last handed something.
    handed: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Subscription {
    pub(super) fn new(
        feed: Arc<Inner>,
        after: Serial,
        until: Option<Serial>,
        head: Serial,
        news: watch::Receiver<Option<Serial>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let is_level = until.is_none() && after == head;
        Self { feed, after, until, head, news, is_level, turn: None, handed: None, _place: place }
    }

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
        if self.handed.is_some_and(|at| at.elapsed() > self.feed.settings.patience) {
            tracing::debug!(after = %self.after, "a subscriber of the feed reads too slowly and is cut");
            return Some(Told::Cut(FeedCut::Slow));
        }
        let stopping = self.feed.stopping.clone();
        let told = tokio::select! {
            () = stopping.cancelled() => Some(Told::Cut(FeedCut::Stopping)),
            told = self.tell() => told,
        };
        self.handed = Some(Instant::now());
        told
    }

    async fn tell(&mut self) -> Option<Told> {
        let feed = self.feed.clone();
        let mut silence = std::pin::pin!(sleep(feed.settings.keep_alive));
        let mut answered = None;
        loop {
            // Seen before the tables are read: what comes after that wakes the wait below.
            let head = *self.news.borrow_and_update();
            let found = match self.find(&feed, head, answered, silence.as_mut()).await {
                Ok(Some(found)) => found,
                Ok(None) => return Some(Told::Nothing),
                Err(error) => {
                    tracing::error!(%error, "a feed ends because the journal failed");
                    return Some(Told::Cut(FeedCut::Failed));
                }
            };
            let wanted = match found {
                Found::Events(piece) => {
                    self.after = piece.last_serial()?;
                    self.is_level |= self.until.is_none() && head.is_some_and(|head| self.after >= head);
                    return Some(Told::Events(piece));
                }
                // Of a feed that is not live this is the end, and the only one without a word.
                Found::Nothing if self.until.is_some() => return None,
                Found::Nothing => {
                    self.is_level = head.is_some_and(|head| self.after == head);
                    tokio::select! {
                        // Its sender lives as long as the journal that we hold.
                        _ = self.news.changed() => continue,
                        () = &mut silence => return Some(Told::Nothing),
                    }
                }
                Found::Unknown(wanted) => wanted,
            };
            let outcome = tokio::select! {
                outcome = wanted.done() => outcome,
                () = &mut silence => return Some(Told::Nothing),
            };
            answered = Some(Instant::now());
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

    /// What there is after the last that was told: with the others if it is where they are, else by itself and in turn.
    /// `None`: it is still not its turn when something has to be said.
    async fn find(
        &mut self,
        feed: &Inner,
        head: Option<Serial>,
        answered: Option<Instant>,
        mut silence: Pin<&mut Sleep>,
    ) -> Result<Option<Found>, JournalError> {
        if self.until.is_some_and(|until| self.after >= until) {
            return Ok(Some(Found::Nothing));
        }
        let (journal, buffer, after) = (&feed.journal, feed.settings.buffer, self.after);
        if let Some(head) = head.filter(|head| self.is_level && *head >= after) {
            if let Some(found) = feed.next.after(after, head, answered) {
                return found.get_or_try_init(|| read(journal, after, buffer, None)).await.cloned().map(Some);
            }
            self.is_level = false;
        }
        let turn = self.turn.get_or_insert_with(|| Box::pin(feed.turns.clone().acquire_owned()));
        let turn = tokio::select! {
            // Nobody closes it.
            turn = turn => turn.ok(),
            () = silence.as_mut() => return Ok(None),
        };
        self.turn = None;
        read(journal, after, buffer, turn).await.map(Some)
    }
}

/// The next events, as many as a buffer holds and at least one.
async fn read(
    journal: &Journal,
    after: Serial,
    buffer: usize,
    turn: Option<OwnedSemaphorePermit>,
) -> Result<Found, JournalError> {
    let mut chunks = match journal.since_serial(after, ROWS).await? {
        Since::Events(chunks) => chunks,
        Since::NotCovered(wanted) => return Ok(Found::Unknown(wanted)),
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
    Ok(if events.is_empty() { Found::Nothing } else { Found::Events(Arc::new(Piece::new(events, turn))) })
}

/// About what an event takes in a feed.
fn size(event: &Event) -> usize {
    FRAME + event.name.len() + event.version.as_ref().map_or(0, String::len) + event.action.len()
}
