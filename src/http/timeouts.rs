//! How long a peer may take for what: a socket that gives up by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::sending::{Sending, Taken};
use crate::model::settings;

settings! {
    /// The time a client gets for each phase of a connection.
    #[derive(Debug, Clone, Copy)]
    pub struct Timeouts in "http" {
        /// From a request's first byte to the end of its headers.
        header_timeout: Duration = Duration::from_secs(10),
        /// Between requests, and for a client that takes no byte of its answer.
        ///
        /// Clients keep a connection while they build or unpack what they got.
        idle_timeout: Duration = Duration::from_mins(1),
        /// For a client that has closed its side and gets nothing: then it counts as gone, and nothing is fetched for it any
        /// more.
        ///
        /// Counted from when it closed its side, or has taken the last bytes since. Some close their side with the request and
        /// wait for the answer all the same, and a page's takes 10 s at most.
        closed_timeout: Duration = Duration::from_secs(15),
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waiting for a request.
    Idle,
    /// Reading a request's head.
    Head,
    /// A request is being answered.
    Busy,
    /// The peer takes nothing of an answer at the moment.
    Stalled,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::Busy, Self::Stalled];
}

/// A connection's phase, shared by its socket, its service and the listener; and since when its peer is waited for.
#[derive(Debug, Clone)]
pub(super) struct SharedPhase {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    /// The phase in the lowest two bits, above them milliseconds since `begun`.
    state: AtomicU64,
    /// The connection is to end with the answer that it is at.
    leaving: AtomicBool,
    task: AtomicWaker,
    sending: Sending,
}

impl SharedPhase {
    /// `begun`: the same moment for all connections that are compared. `taken`: what is known of the bytes that it is told of.
    pub(super) fn new(begun: Instant, taken: Taken) -> Self {
        let (state, leaving) = (AtomicU64::default(), AtomicBool::default());
        let shared = Shared { begun, state, leaving, task: AtomicWaker::new(), sending: Sending::new(taken) };
        let phase = Self { shared: Arc::new(shared) };
        phase.set(Phase::Idle);
        phase
    }

    /// Only the connection's own task sets it, so nothing comes between a load and a store.
    pub(super) fn set(&self, phase: Phase) {
        let since = match phase {
            // A head that drips has been waited for since the last answer.
            Phase::Head => self.state() >> 2,
            Phase::Busy => 0,
            Phase::Idle | Phase::Stalled => {
                u64::try_from(self.shared.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
            }
        };
        self.shared.state.store(since << 2 | phase as u64, Ordering::Relaxed);
    }

    fn state(&self) -> u64 {
        self.shared.state.load(Ordering::Relaxed)
    }

    fn get(&self) -> Phase {
        Phase::ALL[(self.state() & 3) as usize]
    }

    /// When it began to wait for a request.
    fn idle_since(&self) -> Instant {
        self.shared.begun + Duration::from_millis(self.state() >> 2)
    }

    /// Ends the connection as soon as it waits for a request, which may be now.
    pub(super) fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Release);
        self.shared.task.wake();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Acquire)
    }

    /// Ready when the connection is to end: for its own task.
    pub(super) async fn left(&self) {
        std::future::poll_fn(|cx| {
            self.shared.task.register(cx.waker());
            if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What the connection sends.
    pub(super) fn sending(&self) -> &Sending {
        &self.shared.sending
    }

    /// Since when the connection waits for its peer, in milliseconds; `None` while the peer waits for us.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        let state = self.state();
        (state & 3 != Phase::Busy as u64).then_some(state >> 2)
    }

    /// For an answer's body to hold: when it is gone, whether sent or not, the connection is idle again.
    pub(super) fn idle_after(self) -> Answering {
        Answering(self)
    }
}

/// A socket that ends with `TimedOut` when its peer takes too long.
pub(super) struct TimedStream<S> {
    socket: S,
    patience: Timeouts,
    phase: SharedPhase,
    /// For requests. Once set it is left alone, and set anew only when it fires too early: a busy connection would set
    /// it for nothing at every request.
    wait: Pin<Box<Sleep>>,
    /// `wait` knows the task.
    waits: bool,
    /// When the head that is being read has to be there.
    head: Option<Instant>,
    stall: Pin<Box<Sleep>>,
    /// The phase that a stall interrupts.
    stalled: Option<Phase>,
    /// When a peer that has closed its side is gone.
    gone: Option<Pin<Box<Sleep>>>,
}

/// A socket that tells whether its peer has closed its side, without taking what else has come.
pub(super) trait Closing {
    /// Ready if it has, or if the connection is broken.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Closing for TcpStream {
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        match ready!(self.poll_peek(cx, &mut ReadBuf::new(&mut byte)))? {
            0 => Poll::Ready(Ok(())),
            // The next request: whoever sends on is there.
            _ => Poll::Pending,
        }
    }
}

impl<S> TimedStream<S> {
    /// `phase`: the connection's, from here on.
    pub(super) fn new(socket: S, patience: Timeouts, phase: SharedPhase) -> Self {
        let timer = || Box::pin(tokio::time::sleep(patience.idle_timeout));
        Self {
            socket,
            patience,
            phase,
            wait: timer(),
            waits: false,
            head: None,
            stall: timer(),
            stalled: None,
            gone: None,
        }
    }

    pub(super) fn phase(&self) -> SharedPhase {
        self.phase.clone()
    }

    fn note_sent(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.phase.sending().sent(*bytes);
        }
    }
}

impl<S> Drop for TimedStream<S> {
    fn drop(&mut self) {
        self.phase.sending().close();
    }
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if buf.filled().len() > before && this.phase.get() == Phase::Idle {
            this.phase.set(Phase::Head);
            this.head = None;
        }
        if polled.is_ready() {
            return polled;
        }
        match this.phase.get() {
            Phase::Idle => this.wait_for_request(cx),
            Phase::Head => this.wait_for_head(cx),
            // What a body may take is the affair of who reads it.
            Phase::Busy | Phase::Stalled => Poll::Pending,
        }
    }
}

impl<S> TimedStream<S> {
    fn wait_for_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.waits {
            self.phase.shared.task.register(cx.waker());
        }
        if self.phase.is_leaving() {
            // No bytes: the end of the stream.
            return Poll::Ready(Ok(()));
        }
        ready!(self.wait_until(self.phase.idle_since() + self.patience.idle_timeout, cx));
        Poll::Ready(Err(too_slow("no request came")))
    }

    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.patience.header_timeout;
        let deadline = *self.head.get_or_insert_with(|| Instant::now() + limit);
        ready!(self.wait_until(deadline, cx));
        Poll::Ready(Err(too_slow("the request's headers took too long")))
    }

    /// Ready at the deadline. A connection is one task, so the waker that was registered first stays right.
    fn wait_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waits || self.wait.deadline() > deadline {
            self.waits = true;
            self.wait.as_mut().reset(deadline);
        } else if !self.wait.is_elapsed() {
            return Poll::Pending;
        } else if self.wait.deadline() < deadline {
            self.wait.as_mut().reset(deadline);
        }
        self.wait.as_mut().poll(cx)
    }
}

impl<S: AsyncWrite + Unpin> TimedStream<S> {
    /// Keeps the time since the peer last took a byte.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if let Some(before) = self.stalled.take().filter(|_| self.phase.get() == Phase::Stalled) {
                self.phase.set(before);
            }
            return polled;
        }
        if self.stalled.is_none() {
            self.stalled = Some(self.phase.get());
            self.phase.set(Phase::Stalled);
            self.stall.as_mut().reset(Instant::now() + self.patience.idle_timeout);
        }
        ready!(self.stall.as_mut().poll(cx));
        Poll::Ready(Err(too_slow("the client takes no more of the answer")))
    }
}

impl<S: Closing> TimedStream<S> {
    /// Fails if the peer is gone for which an answer is on its way. A write would tell, but there may be none for long.
    fn watch_peer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.socket.poll_closed(cx)?.is_pending() {
            return Ok(());
        }
        let closed = self.patience.closed_timeout;
        let gone = self.gone.get_or_insert_with(|| Box::pin(tokio::time::sleep(closed)));
        match gone.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client has left")),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncWrite + Closing + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.gone = None;
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note_sent(&polled);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gone = None;
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note_sent(&polled);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// The server does this each time that it has written what it has: while a request is being answered, it waits for more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        ready!(self.watch(cx, polled))?;
        self.phase.sending().flushed();
        if self.phase.get() == Phase::Busy {
            self.watch_peer(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.watch(cx, polled)
    }
}

/// What an answer's body holds: when it goes, the connection is idle again.
pub(super) struct Answering(SharedPhase);

impl Answering {
    /// What the connection sends.
    pub(super) fn sending(&self) -> &Sending {
        self.0.sending()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PATIENCE: Timeouts = Timeouts {
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_mins(1),
        closed_timeout: Duration::from_secs(10),
    };

    fn phase() -> SharedPhase {
        SharedPhase::new(Instant::now(), Taken::BySystem)
    }

    impl Closing for tokio::io::DuplexStream {
        fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_at_its_limit() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = TimedStream::new(server, PATIENCE, phase());
        let started = Instant::now();
        let drip = tokio::spawn(async move {
            for _ in 0..30 {
                client.write_all(b"x").await.ok();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut buffer = [0; 8];
        let error = loop {
            if let Err(error) = server.read(&mut buffer).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 10);
        drip.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_and_one_that_takes_slowly_is_not() {
        let (mut client, server) = tokio::io::duplex(4);
        let mut server = TimedStream::new(server, PATIENCE, phase());
        let reader = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                client.read_exact(&mut [0; 4]).await.ok();
            }
            client
        });
        server.write_all(&[0; 20]).await.expect("slow is not stalled");
        let _client = reader.await.expect("the reader ends");
        let error = server.write_all(&[0; 8]).await.expect_err("nobody reads any more");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Takes everything, and has closed its own side.
    type HalfClosed = tokio::io::Join<tokio::io::Empty, tokio::io::Sink>;

    impl Closing for HalfClosed {
        fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_closed_its_side_is_gone_some_time_after_the_last_bytes_that_it_took() {
        let socket: HalfClosed = tokio::io::join(tokio::io::empty(), tokio::io::sink());
        let mut server = TimedStream::new(socket, PATIENCE, phase());
        server.phase().set(Phase::Busy);
        server.flush().await.unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        server.flush().await.expect("it took a byte 9 s ago");
        tokio::time::advance(Duration::from_secs(1)).await;
        let error = server.flush().await.expect_err("it is gone");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        server.phase().set(Phase::Idle);
        server.flush().await.expect("nothing is on its way to it");
    }
}
