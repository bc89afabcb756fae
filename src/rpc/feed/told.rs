//! What subscribers of the feed are told, and the limits of that.

use std::sync::Arc;
use std::time::Duration;

use super::piece::Piece;
use crate::journal::{JournalError, WantError};
use crate::model::{Serial, settings};

/// The shortest pause between two questions about the same serial that upstream could not answer.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

settings! {
    /// Limits of the feed.
    #[derive(Debug, Clone)]
    pub struct FeedSettings in "feed" {
        /// Subscribers of the feed at once; one more is told to come back.
        ///
        /// Those who have all so far are told of an event by one read for all. Each takes some
        /// 28 KB, and one of `http.max_connections`.
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

/// HTTP has no word for "never" but that the feed is unavailable: then once a day.
pub(super) fn later(retry: Option<Duration>) -> Duration {
    retry.unwrap_or(Duration::from_hours(24))
}
