//! How long a peer may take for what: a socket that gives up by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The time a client gets for each phase of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a request to the end of its headers. Default 10 s.
    pub header: Duration,
    /// Between requests, and without taking any byte of an answer. Default 60 s: clients keep a connection
    /// while they build or unpack what they got.
    pub idle: Duration,
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
}

/// A connection's phase, shared by its socket and its service.
#[derive(Debug, Clone)]
pub(super) struct SharedPhase(Arc<AtomicU8>);

impl SharedPhase {
    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.0.load(Ordering::Relaxed) == phase as u8
    }

    /// Wraps an answer's body: when it is gone, whether sent or not, the connection is idle again.
    pub(super) fn idle_after<B>(self, body: B) -> Watched<B> {
        Watched { body, phase: self }
    }
}

/// A socket that ends with `TimedOut` when its peer takes too long.
pub(super) struct Patient<S> {
    socket: S,
    patience: Patience,
    phase: SharedPhase,
    /// The end of the phase that is waited in.
    wait: Pin<Box<Sleep>>,
    /// The phase for which it is set.
    waiting: Phase,
    stall: Pin<Box<Sleep>>,
    stalled: bool,
}

impl<S> Patient<S> {
    pub(super) fn new(socket: S, patience: Patience) -> Self {
        let phase = SharedPhase(Arc::new(AtomicU8::new(Phase::Idle as u8)));
        let timer = || Box::pin(tokio::time::sleep(patience.idle));
        Self { socket, patience, phase, wait: timer(), waiting: Phase::Busy, stall: timer(), stalled: false }
    }

    pub(super) fn phase(&self) -> SharedPhase {
        self.phase.clone()
    }
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if this.phase.is(Phase::Idle) && buf.filled().len() > before {
            this.phase.set(Phase::Head);
            // A head that has to be waited for has its own time.
            this.waiting = Phase::Busy;
        }
        if polled.is_pending() { this.waited(cx) } else { polled }
    }
}

impl<S> Patient<S> {
    /// Nothing came: for how long, where that matters. The time runs from the first look in a phase, which is when
    /// it begins or, of a head that comes at once, never.
    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, limit, complaint) = if self.phase.is(Phase::Idle) {
            (Phase::Idle, self.patience.idle, "no request came")
        } else if self.phase.is(Phase::Head) {
            (Phase::Head, self.patience.header, "the request's headers took too long")
        } else {
            self.waiting = Phase::Busy;
            return Poll::Pending;
        };
        if self.waiting != phase {
            self.waiting = phase;
            self.wait.as_mut().reset(Instant::now() + limit);
        }
        ready!(self.wait.as_mut().poll(cx));
        Poll::Ready(Err(too_slow(complaint)))
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    /// Keeps the time since the peer last took a byte.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = false;
            return polled;
        }
        if !std::mem::replace(&mut self.stalled, true) {
            self.stall.as_mut().reset(Instant::now() + self.patience.idle);
        }
        ready!(self.stall.as_mut().poll(cx));
        Poll::Ready(Err(too_slow("the client takes no more of the answer")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.watch(cx, polled)
    }
}

/// An answer's body that tells its connection when it is gone.
pub(super) struct Watched<B> {
    body: B,
    phase: SharedPhase,
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.phase.set(Phase::Idle);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PATIENCE: Patience = Patience { header: Duration::from_secs(10), idle: Duration::from_mins(1) };

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_at_its_limit() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Patient::new(server, PATIENCE);
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
        let mut server = Patient::new(server, PATIENCE);
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
}
