//! An answer's body on its way out, with all that is held until it is gone, whether it was sent or not.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::access::Line;
use super::clients::Bounds;
use super::reply::Reply;
use super::timeouts::Answering;

/// A body, its line of the access log, its client's place among the calls or feeds, and its connection's phase.
pub(super) struct Outgoing {
    body: Reply,
    line: Option<Box<Line>>,
    _bounds: Option<Box<Bounds>>,
    _phase: Answering,
}

impl Outgoing {
    pub(super) fn new(
        body: Reply,
        line: Option<Box<Line>>,
        bounds: Option<Box<Bounds>>,
        phase: Answering,
    ) -> Self {
        Self { body, line, _bounds: bounds, _phase: phase }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, line, .. } = &mut *self;
        match line {
            None => Pin::new(body).poll_frame(cx),
            Some(line) => line.poll_frame(body, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.line.as_ref().map_or_else(|| self.body.is_end_stream(), |line| line.is_end_stream(&self.body))
    }

    /// Asked for before the first frame only.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
