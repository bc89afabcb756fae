//! HTTP/2: many requests at once on one connection, each bounded as one on a connection of its own.
//!
//! The parser bounds heads, frames and resets that come before a request is looked at. What it does not know is bounded here: how
//! many requests of all connections are answered at once, a client that takes nothing of an answer, one that asks nothing, and one
//! that asks and breaks off, again and again.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_LENGTH;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::date::Dates;
use super::edge::{Edge, Inbound};
use super::streams::{Over, Stream, Streamed, Streams};
use super::timeouts::{SharedPhase, Timeouts};
use crate::metric;

/// Bytes of a request's body that may be on their way unasked: of one request, and of all of a connection. Calls are small.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;
/// Bytes that are waited for to be written before the next are taken from an answer: with one, a next piece is taken when
/// the one before is with the encryption. So the parser holds one piece of each answer, and it is known what a client takes.
const SEND_BUFFER: usize = 1;
/// Errors of a client's for each of which one of its requests ends. More end the connection.
const ERRORS: usize = 100;
/// How long a connection may take to end in order.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What connections of HTTP/2 have in common.
pub(super) struct Http2 {
    pub(super) patience: Timeouts,
    /// Bytes of a request's fields.
    pub(super) header_limit: usize,
    /// Requests of one connection at once.
    pub(super) streams: usize,
    /// Places of requests of all connections together.
    pub(super) room: Arc<Semaphore>,
}

impl Http2 {
    /// Serves a connection to its end.
    pub(super) async fn serve<S>(
        &self,
        stream: S,
        edge: Arc<Edge>,
        inbound: Inbound,
        dates: Dates,
        phase: SharedPhase,
    ) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let streams = Streams::new(phase.clone());
        let io = TokioIo::new(Flushing { stream, streams: streams.clone() });
        let service = service_fn({
            let (streams, room) = (streams.clone(), self.room.clone());
            move |request: Request<Incoming>| {
                let (edge, dates) = (edge.clone(), dates.clone());
                // Both from here on, also if the client withdraws the request before it is looked at.
                let (stream, place) = (streams.begin(), room.clone().try_acquire_owned().ok());
                async move { Ok::<_, Infallible>(answer(&edge, inbound, request, &dates, stream, place).await) }
            }
        });
        let connection = Builder::new(TokioExecutor::new())
            .max_concurrent_streams(u32::try_from(self.streams).unwrap_or(u32::MAX))
            .max_header_list_size(u32::try_from(self.header_limit).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_local_error_reset_streams(ERRORS)
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let over = async {
            let over = tokio::select! {
                over = streams.over(self.patience.idle_timeout) => over,
                () = phase.left() => Over::Leaving,
            };
            if over == Over::BrokenOff {
                metrics::counter!(metric::HTTP_BROKEN_OFF_TOTAL).increment(1);
            }
            over
        };
        let over = tokio::select! {
            ended = &mut connection => return ended,
            over = over => over,
        };
        tracing::debug!(?over, "a connection of HTTP/2 is ended");
        match over {
            // Dropped with all that is on its way.
            Over::Stalled | Over::BrokenOff => Ok(()),
            Over::Idle => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = sleep(LAST_WORDS) => Ok(()),
                }
            }
            // What is on its way may end; a client that takes nothing of it does not hold it up.
            Over::Leaving => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    _ = streams.over(self.patience.idle_timeout) => Ok(()),
                }
            }
        }
    }
}

async fn answer(
    edge: &Edge,
    inbound: Inbound,
    request: Request<Incoming>,
    dates: &Dates,
    stream: Stream,
    place: Option<OwnedSemaphorePermit>,
) -> Response<Streamed> {
    let phase = stream.phase();
    if let Some(stats) = edge.counted_by() {
        phase.sending().count(stats.clone());
    }
    let is_head = request.method() == Method::HEAD;
    let mut response = if place.is_some() {
        edge.answer(inbound, request, dates, phase).await
    } else {
        edge.crowded(inbound, &request, phase)
    };
    if is_head && !response.body().is_end_stream() {
        // The parser of HTTP/1 leaves the body out by itself, that of HTTP/2 sends it.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
        }
    }
    response.map(|body| Streamed::new(body, stream, place, is_head))
}

/// A socket that tells when all that was written has left.
struct Flushing<S> {
    stream: S,
    streams: Arc<Streams>,
}

impl<S> Drop for Flushing<S> {
    fn drop(&mut self) {
        self.streams.close();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flushing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flushing<S> {
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
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Ok(())) = polled {
            self.streams.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
