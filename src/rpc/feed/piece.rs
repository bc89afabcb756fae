//! Events as they go out: written once, whoever gets them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::model::{Event, Serial};

/// The form of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// `text/event-stream`; always live.
    ServerSent,
    /// `application/x-ndjson`.
    Lines,
}

/// Some events, in ascending order.
#[derive(Debug)]
pub struct Piece {
    events: Vec<Event>,
    server_sent: OnceLock<Bytes>,
    lines: OnceLock<Bytes>,
    /// Of whom these were read for alone. It is held until the last byte has left.
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

/// Bytes that hold a turn.
struct Held {
    text: String,
    _turn: Option<Arc<OwnedSemaphorePermit>>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Piece {
    pub(super) fn new(events: Vec<Event>, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { events, server_sent: OnceLock::new(), lines: OnceLock::new(), turn: turn.map(Arc::new) }
    }

    /// At least one.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// That of the last event.
    pub(super) fn last_serial(&self) -> Option<Serial> {
        self.events.last().map(|event| event.serial)
    }

    /// The events in this form; only the first who asks writes it.
    pub fn written(&self, manner: Manner, write: impl FnOnce(&[Event]) -> String) -> Bytes {
        let written = match manner {
            Manner::ServerSent => &self.server_sent,
            Manner::Lines => &self.lines,
        };
        let made = || Bytes::from_owner(Held { text: write(&self.events), _turn: self.turn.clone() });
        written.get_or_init(made).clone()
    }
}
