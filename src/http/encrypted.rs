//! Encrypted connections: how they begin, and what they speak then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::counter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::clients::Turns;
use super::date::Dates;
use super::edge::{Edge, Inbound};
use super::http1;
use super::http2::Http2;
use super::timeouts::{Closing, Phase, SharedPhase, TimedStream, Timeouts};
use crate::metric;
use crate::model::Clock;

/// The first byte of every TLS connection: a record of the kind handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The answer to who speaks HTTP without TLS. Where it leads is not told: the client's own word for our name is not read.
const CLEAR_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 54\r\nConnection: close\r\n\r\n\
    this port speaks HTTPS only: begin the address so too\n";
/// How much of what such a client still sends is let go by, and for how long: a connection closed on it would take the answer.
const SWALLOWED: u64 = 64 << 10;
const SWALLOW: Duration = Duration::from_secs(1);

/// What encrypted connections have in common.
pub(super) struct Encryption {
    pub(super) acceptor: TlsAcceptor,
    /// How long the beginning may take.
    pub(super) handshake: Duration,
    /// How many of one client may be at it.
    pub(super) turns: Turns,
    pub(super) patience: Timeouts,
    pub(super) header_limit: usize,
    /// The clock of `Date`.
    pub(super) clock: Clock,
    pub(super) http2: Http2,
}

/// How a connection begins.
enum Begun {
    Encrypted(Box<TlsStream<TcpStream>>),
    ClearText(TcpStream),
}

impl Encryption {
    /// Serves a connection to its end. What only its beginning or HTTP/2 needs is in places of its own: each connection has this for
    /// as long as it is open.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        edge: Arc<Edge>,
        inbound: Inbound,
        phase: SharedPhase,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let deadline = Instant::now() + self.handshake;
        let begun = tokio::select! {
            begun = timeout_at(deadline, Box::pin(self.begin(stream, inbound))) => begun,
            () = phase.left() => return Ok(()),
        };
        let outcome =
            |outcome: &'static str| counter!(metric::TLS_HANDSHAKES_TOTAL, "outcome" => outcome).increment(1);
        let stream = match begun {
            Ok(Ok(Begun::Encrypted(stream))) => stream,
            Ok(Ok(Begun::ClearText(stream))) => {
                outcome("clear_text");
                return Ok(refuse(stream).await?);
            }
            Ok(Err(error)) => {
                outcome("failed");
                return Err(error.into());
            }
            Err(late) => {
                outcome("late");
                return Err(late.into());
            }
        };
        outcome("done");
        // The client has the time of one that has just connected.
        phase.set(Phase::Idle);
        // Made when the connection begins, as it has to be.
        let dates = Dates::new(&self.clock);
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_http2 {
            Box::pin(self.http2.serve(*stream, edge, inbound, dates, phase)).await?;
        } else {
            let stream = Encrypted { stream, ahead: None, closed: false };
            let stream = TimedStream::new(stream, self.patience, phase);
            http1::serve(stream, edge, inbound, dates, self.header_limit).await?;
        }
        Ok(())
    }

    async fn begin(&self, stream: TcpStream, inbound: Inbound) -> io::Result<Begun> {
        let mut first = [0];
        // Who sends nothing keeps nobody's place.
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] != HANDSHAKE {
            return Ok(Begun::ClearText(stream));
        }
        let _turn = self.turns.take(inbound.peer).await;
        Ok(Begun::Encrypted(Box::new(self.acceptor.accept(stream).await?)))
    }
}

/// Says what is wrong, to who speaks HTTP at all.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
        stream.write_all(CLEAR_TEXT).await?;
        stream.shutdown().await?;
        let rest =
            async { tokio::io::copy(&mut (&mut stream).take(SWALLOWED), &mut tokio::io::sink()).await };
        // What comes then is cut off.
        let _ = timeout(SWALLOW, rest).await;
    }
    Ok(())
}

/// An encrypted stream that tells whether its peer has closed its side.
struct Encrypted {
    stream: Box<TlsStream<TcpStream>>,
    /// A byte that was read to find that out.
    ahead: Option<u8>,
    closed: bool,
}

impl Closing for Encrypted {
    /// The end is said by a record, behind which nothing comes; so one byte is read to get there, and kept.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_some() {
            // The next request: whoever sends on is there.
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
            Ok(()) => self.ahead = buf.filled().first().copied(),
            // Closed without a word of goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        if self.ahead.is_some() {
            return Poll::Pending;
        }
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(byte) = self.ahead.take() {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            // Many clients close so. What needs an end, such as a body, has it in its own form.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.closed = true;
                Poll::Ready(Ok(()))
            }
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_clear_text_has_the_length_that_it_states() {
        let text = std::str::from_utf8(CLEAR_TEXT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
