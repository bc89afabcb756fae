//! Bodies that are made piece by piece while a client reads them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body::{Frame, SizeHint};

use crate::index::{Compressing, Pieces};

/// A text of known length.
pub(super) fn body(mut pieces: Pieces) -> Body {
    // Nearly always it is one piece.
    let first = pieces.next().unwrap_or_default();
    if pieces.left() == 0 { first.into() } else { Body::new(Text { first: Some(first), pieces }) }
}

/// A text that is compressed meanwhile: its length is not known before its end.
pub(super) fn compressing(rest: Box<Compressing>) -> Body {
    Body::from_stream(stream::try_unfold(*rest, Compressing::next))
}

struct Text {
    first: Option<Bytes>,
    pieces: Pieces,
}

impl http_body::Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        Poll::Ready(this.first.take().or_else(|| this.pieces.next()).map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.pieces.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.first.as_ref().map_or(0, Bytes::len) + self.pieces.left();
        SizeHint::with_exact(length as u64)
    }
}
