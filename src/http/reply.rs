//! The body of an answer: a file's bytes as they are, or whatever a route made.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream as _;
use http_body::{Frame, SizeHint};

use crate::relay::{Content, RelayError};

/// Without a box around a file that is answered without a route.
pub(super) enum Reply {
    File(FileBody),
    Other(Body),
}

impl From<Body> for Reply {
    fn from(body: Body) -> Self {
        Self::Other(body)
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self {
            Self::File(body) => Pin::new(body).poll_frame(cx).map_err(axum::Error::new),
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::File(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::File(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

/// A file's bytes with their number: hyper then writes head and bytes at once, and ends without asking again.
pub(super) struct FileBody {
    content: Content,
    /// Bytes still to come; `None` if nobody knows.
    left: Option<u64>,
}

impl FileBody {
    /// `length`: of all bytes, if that is known.
    pub(super) fn new(content: Content, length: Option<u64>) -> Self {
        Self { content, left: length }
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let piece = ready!(Pin::new(&mut self.content).poll_next(cx));
        if let (Some(Ok(bytes)), Some(left)) = (&piece, &mut self.left) {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
