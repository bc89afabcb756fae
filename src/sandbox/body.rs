//! Bodies: whole, streamed, and spoilt on the way out.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use super::wire::Flushes;

/// What a body is made longer with, piece by piece.
static ZEROS: &[u8] = &[0; 64 * 1024];

/// The connection is to be cut here: on demand, or because the rest cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
pub(super) struct Cut;

pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// A body that is in memory.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is made while it is sent.
pub(super) fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    try_pieces(pieces.map(Ok))
}

/// A body that is made while it is sent, and may turn out not to be possible.
pub(super) fn try_pieces(pieces: impl Iterator<Item = Result<Bytes, Cut>> + Send + 'static) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(stream::iter(pieces.map(|piece| piece.map(Frame::data)))))
}

/// What is done to a body.
#[derive(Debug, Default)]
pub(super) struct Spoil {
    pub(super) cut: Option<u64>,
    pub(super) wrong: Vec<u64>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) longer: u64,
    /// The body ends after so many bytes.
    pub(super) end: Option<u64>,
}

impl Spoil {
    pub(super) fn is_none(&self) -> bool {
        self.cut.is_none()
            && self.wrong.is_empty()
            && self.drip.is_none()
            && self.longer == 0
            && self.end.is_none()
    }

    /// Applies it. A cut comes after everything before it has left, as `flushes` tells.
    pub(super) fn apply(self, body: Body, mut flushes: Flushes) -> Body {
        flushes.mark();
        let spoiling = Spoiling { spoil: self, body, flushes, waiting: Bytes::new(), at: 0 };
        let frames = stream::try_unfold(spoiling, |mut spoiling| async move {
            let piece = spoiling.next().await?;
            Ok(piece.map(|piece| (Frame::data(piece), spoiling)))
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    }
}

struct Spoiling {
    spoil: Spoil,
    body: Body,
    flushes: Flushes,
    waiting: Bytes,
    at: u64,
}

impl Spoiling {
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        let stop = self.spoil.cut.into_iter().chain(self.spoil.end).min();
        let room = stop.map_or(u64::MAX, |stop| stop - self.at);
        if room == 0 {
            if self.spoil.cut == Some(self.at) {
                self.flushes.wait().await;
                return Err(Cut);
            }
            return Ok(None);
        }
        while self.waiting.is_empty() {
            match self.body.frame().await {
                Some(frame) => self.waiting = frame?.into_data().unwrap_or_default(),
                None if self.spoil.longer > 0 => {
                    let len = self.spoil.longer.min(ZEROS.len() as u64);
                    self.spoil.longer -= len;
                    self.waiting = Bytes::from_static(ZEROS);
                    self.waiting.truncate(usize::try_from(len).unwrap_or(ZEROS.len()));
                }
                None => return Ok(None),
            }
        }
        let mut len = self.waiting.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if let Some((bytes, every)) = self.spoil.drip {
            tokio::time::sleep(every).await;
            len = len.min(bytes.max(1));
        }
        let mut piece = self.waiting.split_to(len);
        let end = self.at + len as u64;
        for &wrong in &self.spoil.wrong {
            if (self.at..end).contains(&wrong) {
                let mut bytes = piece.to_vec();
                let index = usize::try_from(wrong - self.at).unwrap_or(0);
                bytes[index] = !bytes[index];
                piece = bytes.into();
            }
        }
        self.at = end;
        self.flushes.mark();
        Ok(Some(piece))
    }
}
