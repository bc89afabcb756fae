//! The requests of one connection of HTTP/2: which of them wait for us and which for the client, and their bodies on the way out.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::outgoing::Outgoing;
use super::sending::Taken;
use super::timeouts::{Phase, SharedPhase};

/// Bytes of an answer that are given to the parser at once.
const PIECE: usize = 64 << 10;
/// Answers that a client may break off beyond those that it has taken. A browser or an installer breaks off a few.
const BROKEN_OFF: usize = 100;

/// All requests of a connection.
pub(super) struct Streams {
    /// The connection's: it waits for its peer if no request waits for us.
    phase: SharedPhase,
    state: Mutex<State>,
    /// Told when too many were broken off.
    cut: Notify,
}

struct State {
    /// The next request's number.
    next: u64,
    /// Requests that wait for us.
    ours: usize,
    /// Those that wait for the client to take a piece of their answers, and since when.
    theirs: HashMap<u64, Instant>,
    /// When the last request ended, or the connection began.
    idle_since: Instant,
    /// Answers that were broken off, and those that were not.
    broken: usize,
    whole: usize,
    /// Whose downloads are complete once all that was written has left.
    unflushed: Vec<SharedPhase>,
    closed: bool,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its client has asked nothing for too long.
    Idle,
    /// It has taken nothing of an answer for too long.
    Stalled,
    /// It breaks off what it asks for.
    BrokenOff,
    /// It is told to.
    Leaving,
}

impl Streams {
    pub(super) fn new(phase: SharedPhase) -> Arc<Self> {
        let state = State {
            next: 0,
            ours: 0,
            theirs: HashMap::new(),
            idle_since: Instant::now(),
            broken: 0,
            whole: 0,
            unflushed: Vec::new(),
            closed: false,
        };
        Arc::new(Self { phase, state: Mutex::new(state), cut: Notify::new() })
    }

    /// A request begins; it waits for us.
    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.ours += 1;
        self.note(&state);
        drop(state);
        let phase = SharedPhase::new(Instant::now(), Taken::OfBody);
        Stream { streams: self.clone(), id, is_ours: true, is_whole: false, phase }
    }

    /// Ready when the connection has to end, and why; `idle`: how long a client may take to ask, or to take something.
    pub(super) async fn over(&self, idle: Duration) -> Over {
        loop {
            let due = self.due(idle);
            let now = Instant::now();
            if let Some((at, over)) = due
                && at <= now
            {
                return over;
            }
            // What begins to wait meanwhile is due no sooner than this.
            let look = due.map_or(now + idle, |(at, _)| at);
            tokio::select! {
                () = sleep_until(look) => {}
                () = self.cut.notified() => return Over::BrokenOff,
            }
        }
    }

    /// When it would end if nothing happens.
    fn due(&self, idle: Duration) -> Option<(Instant, Over)> {
        let state = self.lock();
        if let Some(since) = state.theirs.values().min() {
            return Some((*since + idle, Over::Stalled));
        }
        (state.ours == 0).then(|| (state.idle_since + idle, Over::Idle))
    }

    /// All that was written has left.
    pub(super) fn flushed(&self) {
        let unflushed = std::mem::take(&mut self.lock().unflushed);
        for phase in unflushed {
            phase.sending().flushed();
        }
    }

    /// The socket is gone.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let unflushed = std::mem::take(&mut state.unflushed);
        drop(state);
        for phase in unflushed {
            phase.sending().close();
        }
    }

    fn note(&self, state: &State) {
        self.phase.set(if state.ours > 0 { Phase::Busy } else { Phase::Idle });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole states only.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, until its answer is gone.
pub(super) struct Stream {
    streams: Arc<Streams>,
    id: u64,
    is_ours: bool,
    /// All of its answer was taken.
    is_whole: bool,
    phase: SharedPhase,
}

impl Stream {
    /// A phase of its own, which tells nothing of the connection.
    pub(super) fn phase(&self) -> SharedPhase {
        self.phase.clone()
    }

    /// It waits for the client to take a piece.
    fn waits_for_client(&mut self) {
        let mut state = self.streams.lock();
        if std::mem::take(&mut self.is_ours) {
            state.ours -= 1;
        }
        state.theirs.insert(self.id, Instant::now());
        self.streams.note(&state);
    }

    /// It waits for us.
    fn waits_for_us(&mut self) {
        if self.is_ours {
            return;
        }
        self.is_ours = true;
        let mut state = self.streams.lock();
        state.theirs.remove(&self.id);
        state.ours += 1;
        self.streams.note(&state);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.streams.lock();
        if self.is_ours {
            state.ours -= 1;
        } else {
            state.theirs.remove(&self.id);
        }
        state.idle_since = Instant::now();
        if self.is_whole {
            state.whole += 1;
        } else {
            state.broken += 1;
        }
        if state.broken > state.whole + BROKEN_OFF {
            self.streams.cut.notify_one();
        }
        self.streams.note(&state);
        if state.closed {
            drop(state);
            self.phase.sending().close();
        } else if self.is_whole {
            state.unflushed.push(self.phase.clone());
        }
    }
}

/// The body of an answer, in pieces: the next one is asked for when the one before is with the encryption.
pub(super) struct Streamed {
    // Dropped in this order: a download is over before its stream is.
    body: Outgoing,
    stream: Stream,
    _place: Option<OwnedSemaphorePermit>,
    /// What the body gave and is not handed over yet.
    rest: Bytes,
    /// Bytes of a download that the body has not given yet: its last one is held back until all before it are with the encryption,
    /// so that whoever breaks off has not downloaded it.
    left: Option<u64>,
    is_ended: bool,
}

impl Streamed {
    /// `is_head`: nothing of the body is sent.
    pub(super) fn new(
        body: Outgoing,
        stream: Stream,
        place: Option<OwnedSemaphorePermit>,
        is_head: bool,
    ) -> Self {
        let left = if body.is_download() { body.size_hint().exact() } else { None };
        Self { body, stream, _place: place, rest: Bytes::new(), left, is_ended: is_head }
    }

    fn next_piece(&mut self) -> Bytes {
        let mut size = self.rest.len().min(PIECE);
        if self.left == Some(0) && size == self.rest.len() && size > 1 {
            size -= 1;
        }
        self.rest.split_to(size)
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.stream.is_whole = self.rest.is_empty() && (self.is_ended || self.is_end_stream());
        if !self.stream.is_whole {
            self.stream.phase.sending().close();
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => {
                    this.stream.waits_for_us();
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    this.is_ended = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                        this.rest = data;
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            }
        }
        let piece = this.next_piece();
        this.stream.phase.sending().sent(piece.len());
        this.stream.waits_for_client();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// A download ends with a word of its own, for which is asked when its last byte is on its way.
    fn is_end_stream(&self) -> bool {
        self.is_ended || self.rest.is_empty() && self.left.is_none() && self.body.is_end_stream()
    }

    /// Asked for before the first frame only.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
