//! One file's bytes as upstream sends them, from a given byte on. An answer that breaks off is taken up again, unseen
//! by who reads.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::Fuse;
use futures_util::{FutureExt, Stream, StreamExt};
use metrics::counter;
use tracing::debug;

use super::FetchError;
use super::resources::Resources;
use super::target::Target;
use crate::metric;
use crate::upstream::{Coding, FileResponse, Resume, UpstreamError};

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// The longest pause before a resumption.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A file in arrival.
pub(super) struct Transfer {
    resources: Arc<Resources>,
    target: Target,
    answer: UpstreamAnswer,
    /// The place in the file of the next byte to be handed out.
    at: u64,
    /// Answers in a row that brought too little to count as progress.
    in_vain: u32,
    /// The whole size, as upstream's first answer announced it.
    pub(super) size: Option<u64>,
    /// What `If-Range` may have.
    pub(super) validator: Option<String>,
    /// What speaks against it being the right file. Nothing of it may leave before its digest was compared.
    pub(super) oddity: Option<FetchError>,
    /// The content coding that upstream says it has.
    pub(super) coding: Option<Coding>,
}

/// One answer of upstream's.
struct UpstreamAnswer {
    body: Fuse<Body>,
    /// Bytes that come again and are dropped: upstream started before the byte asked for.
    skip: u64,
    /// An error that came behind bytes that are still to be handed out.
    failed: Option<FetchError>,
    /// Bytes handed out.
    brought: u64,
}

/// What to begin with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct From<'a> {
    pub(super) byte: u64,
    /// The size that an earlier answer announced.
    pub(super) size: Option<u64>,
    pub(super) validator: Option<&'a str>,
}

impl Transfer {
    /// Asks for the file from `from.byte` on. The first answer is asked for repeatedly by the upstream module already.
    pub(super) async fn open(
        resources: &Arc<Resources>,
        target: &Target,
        from: From<'_>,
    ) -> Result<Self, FetchError> {
        let response = ask(resources, target, from).await?;
        let size = match (from.size, response.size) {
            (Some(announced), Some(sent)) if announced != sent => {
                return Err(FetchError::Size { stated: announced, sent });
            }
            (announced, sent) => announced.or(sent),
        };
        let max = resources.settings.max_file;
        if size.is_some_and(|size| size > max) {
            return Err(FetchError::TooLarge(max));
        }
        let other_size = target.size.zip(size).filter(|(stated, sent)| stated != sent);
        let other_size = other_size.map(|(stated, sent)| FetchError::Size { stated, sent });
        let oddity = response.oddity.clone().map(FetchError::from).or(other_size);
        if let (Some(oddity), None) = (&oddity, target.digest) {
            return Err(oddity.clone());
        }
        Ok(Self {
            resources: Arc::clone(resources),
            target: target.clone(),
            at: from.byte,
            in_vain: 0,
            size,
            validator: response.validator.clone(),
            oddity,
            coding: response.coding,
            answer: UpstreamAnswer::new(response, from.byte),
        })
    }

    /// The next bytes and what has arrived behind them, up to about `most`; `None` at the end. It never
    /// waits for more than the first: the first byte goes out as soon as it is there.
    pub(super) async fn batch(&mut self, most: usize) -> Result<Option<Vec<Bytes>>, FetchError> {
        loop {
            let error = match self.answer.batch(most).await {
                Ok(Some(batch)) => {
                    self.at += batch.iter().map(|part| part.len() as u64).sum::<u64>();
                    if self.answer.brought >= self.resources.settings.resume_progress {
                        self.in_vain = 0;
                    }
                    return Ok(Some(batch));
                }
                Ok(None) if self.size.is_none_or(|size| self.at >= size) => return Ok(None),
                // A range that ends before the file does.
                Ok(None) => UpstreamError::Broken("fewer bytes than announced".to_owned()).into(),
                Err(error) => error,
            };
            self.resume(error).await?;
        }
    }

    /// Asks for the rest, after pauses that grow until there is progress. Gives the last error back if it is not to be
    /// had.
    async fn resume(&mut self, mut error: FetchError) -> Result<(), FetchError> {
        let settings = &self.resources.settings;
        while error.resumable() && self.may_resume() && self.in_vain < settings.resumes {
            debug!(path = %self.target.path, at = self.at, %error, "a transfer broke off: resuming");
            counter!(metric::FILE_RESUMES_TOTAL).increment(1);
            tokio::time::sleep(pause(settings.resume_pause, self.in_vain)).await;
            self.in_vain += 1;
            let from = From { byte: self.at, size: self.size, validator: self.validator.as_deref() };
            match Self::open(&self.resources, &self.target, from).await {
                // Without a digest only the validator tells that it is the same file's rest.
                Ok(rest) if self.target.digest.is_none() && rest.validator != self.validator => {
                    return Err(error);
                }
                Ok(rest) => {
                    (self.answer, self.size) = (rest.answer, rest.size);
                    self.validator = rest.validator;
                    return Ok(());
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    fn may_resume(&self) -> bool {
        self.target.digest.is_some() || self.validator.is_some()
    }
}

/// How long to wait after so many answers in vain.
fn pause(first: Duration, in_vain: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(in_vain)).min(LONGEST_PAUSE)
}

/// Asks for the file's rest, on condition that it is the same file if that can be said. If it cannot, the digest of the
/// whole decides afterwards: to ask for all of it again would never get through on a bad line.
async fn ask(resources: &Resources, target: &Target, from: From<'_>) -> Result<FileResponse, FetchError> {
    let if_range = from.validator.map(str::to_owned);
    let resume = (from.byte > 0).then_some(Resume { from: from.byte, if_range });
    Ok(resources.upstream.file(&target.url(&resources.upstream)?, resume.as_ref()).await?)
}

impl UpstreamAnswer {
    fn new(response: FileResponse, from: u64) -> Self {
        let skip = from.saturating_sub(response.start);
        Self { body: response.body.fuse(), skip, failed: None, brought: 0 }
    }

    async fn batch(&mut self, most: usize) -> Result<Option<Vec<Bytes>>, FetchError> {
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
        self.brought += gathered as u64;
        Ok(Some(batch))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
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

    fn past_skip(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let again = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        self.skip -= again as u64;
        let rest = chunk.split_off(again);
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = (0..8).map(|vain| pause(Duration::from_millis(200), vain).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(pause(Duration::from_millis(200), u32::MAX), LONGEST_PAUSE);
    }
}
