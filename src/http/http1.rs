//! HTTP/1: one request after the other on a connection, encrypted or not.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::date::Dates;
use super::edge::{Edge, Inbound};
use super::timeouts::{Closing, Phase, TimedStream};

/// The smallest limit on a request's head that hyper takes.
const LEAST_HEADER_BYTES: usize = 8192;

/// Serves a connection to its end. `header_limit`: bytes of a request's line and fields.
pub(super) fn serve<S>(
    stream: TimedStream<S>,
    edge: Arc<Edge>,
    inbound: Inbound,
    dates: Dates,
    header_limit: usize,
) -> impl Future<Output = hyper::Result<()>> + Send
where
    S: AsyncRead + AsyncWrite + Closing + Unpin + Send + 'static,
{
    let phase = stream.phase();
    if let Some(stats) = edge.counted_by() {
        phase.sending().count(stats.clone());
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (edge, phase, dates) = (edge.clone(), phase.clone(), dates.clone());
        async move {
            phase.set(Phase::Busy);
            Ok::<_, Infallible>(edge.answer(inbound, request, &dates, phase).await)
        }
    });
    hyper::server::conn::http1::Builder::new()
        // Without a timer: the socket has its own patience, which costs a busy connection nothing.
        .max_buf_size(header_limit.max(LEAST_HEADER_BYTES))
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
}
