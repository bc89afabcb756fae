//! A connection that tells when everything written has left.
//!
//! hyper drops what it has buffered when a body fails. A cut at byte N has to come after byte N−1 is out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The connection.
pub(super) struct Wire {
    stream: TcpStream,
    flushed: watch::Sender<()>,
}

/// Waits for the next flush of a connection.
#[derive(Clone)]
pub(super) struct Flushes(watch::Receiver<()>);

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Self, Flushes) {
        let (flushed, receiver) = watch::channel(());
        (Self { stream, flushed }, Flushes(receiver))
    }
}

impl Flushes {
    /// Flushes up to now are of no interest.
    pub(super) fn mark(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits for a flush since the last mark, or the connection's end.
    pub(super) async fn wait(&mut self) {
        // An error means that the connection is gone, and nothing is left to wait for.
        let _ = self.0.changed().await;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flushed.send_replace(());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
