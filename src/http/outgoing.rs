//! An answer's body on its way out, with all that is held until it is gone, whether it was sent or not.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::access::Line;
use super::clients::Bounds;
use super::reply::Reply;
use super::sending::Tracked;
use super::timeouts::Answering;

/// A body, its line of the access log, the download that it is, its client's place among the calls or feeds, and its
/// connection's phase.
pub(super) struct Outgoing {
    body: Reply,
    line: Option<Box<Line>>,
    download: Option<Box<Tracked>>,
    _bounds: Option<Box<Bounds>>,
    phase: Answering,
}

impl Outgoing {
    pub(super) fn new(
        body: Reply,
        line: Option<Box<Line>>,
        download: Option<Box<Tracked>>,
        bounds: Option<Box<Bounds>>,
        phase: Answering,
    ) -> Self {
        Self { body, line, download, _bounds: bounds, phase }
    }

    /// Whether it counts as a download, or as a part of one.
    pub(super) fn is_download(&self) -> bool {
        self.download.is_some()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(download) = self.download.take() {
            self.phase.sending().is_over(download);
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, line, download, .. } = &mut *self;
        let polled = match line {
            None => Pin::new(body).poll_frame(cx),
            Some(line) => line.poll_frame(body, cx),
        };
        if let Some(download) = download {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => download.took(frame.data_ref().map_or(0, Bytes::len)),
                Poll::Ready(None) => download.ended(),
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.line.as_ref().map_or_else(|| self.body.is_end_stream(), |line| line.is_end_stream(&self.body))
    }

    /// Asked for before the first frame only.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
