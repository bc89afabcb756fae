//! One file's bytes as upstream sends them, from a given byte on, whatever upstream does with ranges.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::Fuse;
use futures_util::{FutureExt, Stream, StreamExt};

use super::FetchError;
use super::target::Target;
use crate::upstream::{Resume, Upstream, UpstreamError};

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// An answer of upstream's in arrival.
pub(super) struct Transfer {
    body: Fuse<Body>,
    /// Bytes that come again and are dropped: upstream started before the byte asked for.
    skip: u64,
    /// An error that came behind bytes that are still to be handed out.
    failed: Option<FetchError>,
    /// The whole size: the index's, else upstream's.
    pub(super) size: Option<u64>,
    /// Strong validator for a resumption.
    pub(super) etag: Option<String>,
}

/// What to go on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    pub(super) byte: u64,
    pub(super) etag: Option<&'a str>,
}

impl Transfer {
    /// Asks for the file from `from.byte` on. Without a validator all of it is asked for, and the start
    /// dropped: a range of who knows which file would cost more than the bytes.
    pub(super) async fn open(
        upstream: &Upstream,
        target: &Target,
        size: Option<u64>,
        max: u64,
        from: From<'_>,
    ) -> Result<Self, FetchError> {
        let resume = match from.etag {
            Some(etag) if from.byte > 0 => Some(Resume { from: from.byte, if_range: etag.to_owned() }),
            Some(_) | None => None,
        };
        let answer = upstream.file(&target.url()?, resume.as_ref()).await?;
        let size = match (size, answer.size) {
            (Some(stated), Some(sent)) if stated != sent => return Err(FetchError::Size { stated, sent }),
            (stated, sent) => stated.or(sent),
        };
        if size.is_some_and(|size| size > max) {
            return Err(FetchError::TooLarge(max));
        }
        let etag = answer.etag.filter(|etag| etag.starts_with('"'));
        let skip = from.byte.saturating_sub(answer.start);
        Ok(Self { body: answer.body.fuse(), skip, failed: None, size, etag })
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while let Some(chunk) = self.body.next().await {
            if let Some(chunk) = self.past_skip(chunk?) {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The next bytes and what has arrived behind them, up to about `most`; `None` at the end. It never
    /// waits for more than the first: the first byte goes out as soon as it is there.
    pub(super) async fn batch(&mut self, most: usize) -> Result<Option<Vec<Bytes>>, FetchError> {
        let Some(first) = self.chunk().await? else { return Ok(None) };
        let mut gathered = first.len();
        let mut batch = vec![first];
        while gathered < most {
            match self.body.next().now_or_never() {
                Some(Some(Ok(chunk))) => {
                    if let Some(chunk) = self.past_skip(chunk) {
                        gathered += chunk.len();
                        batch.push(chunk);
                    }
                }
                Some(Some(Err(error))) => {
                    self.failed = Some(error.into());
                    break;
                }
                Some(None) | None => break,
            }
        }
        Ok(Some(batch))
    }

    fn past_skip(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let again = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        self.skip -= again as u64;
        let rest = chunk.split_off(again);
        (!rest.is_empty()).then_some(rest)
    }
}
