//! What a flight tells its followers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::FetchError;
use super::target::Target;
use crate::blob::{Blob, Reader};
use crate::model::FileHasher;

/// When to come back for what has not been brought in time.
const LATER: Duration = Duration::from_secs(10);

/// How far a flight is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Upstream has not answered.
    Asking,
    /// Upstream does not give it, and it is to be brought by others; each follower waits so long for that.
    Awaiting(Duration),
    /// Bytes are coming; `released` of them may be read.
    Flowing { reader: Reader, size: Option<u64>, released: u64 },
    /// All is here and right.
    Whole(Blob),
    /// It cannot be kept: followers go on by themselves.
    Spilled(Arc<Spill>),
    /// It will not come.
    Failed(FetchError),
}

/// What a flight leaves that could not keep its bytes.
#[derive(Debug)]
pub(super) struct Spill {
    /// The bytes that were written; `None` if none were.
    pub(super) reader: Option<Reader>,
    pub(super) written: u64,
    pub(super) released: u64,
    pub(super) size: Option<u64>,
    /// Over the bytes written.
    pub(super) hasher: FileHasher,
    /// What `If-Range` may have.
    pub(super) validator: Option<String>,
}

/// A follower's view of a flight.
#[derive(Debug, Clone)]
pub(super) struct Flight(pub(super) watch::Receiver<Stage>);

impl Flight {
    /// Waits until there is a byte at `at`, or none will come.
    pub(super) async fn reach(&mut self, at: u64) -> Stage {
        let there = |stage: &Stage| match stage {
            Stage::Asking | Stage::Awaiting(_) => false,
            Stage::Flowing { released, .. } => *released > at,
            Stage::Whole(_) | Stage::Spilled(_) | Stage::Failed(_) => true,
        };
        self.wait(there).await.unwrap_or_else(Stage::Failed)
    }

    /// Waits until it is so; for what others are to bring no longer than its followers wait for that.
    async fn wait(&mut self, there: impl Fn(&Stage) -> bool) -> Result<Stage, FetchError> {
        loop {
            let waits = |stage: &Stage| there(stage) || matches!(stage, Stage::Awaiting(_));
            let stage = self.0.wait_for(waits).await.map_err(|_| FetchError::Lost)?.clone();
            let Stage::Awaiting(longest) = stage else { return Ok(stage) };
            let begun = self.0.wait_for(|stage| !matches!(stage, Stage::Awaiting(_)));
            if tokio::time::timeout(longest, begun).await.is_err() {
                return Err(FetchError::Awaited { retry: LATER });
            }
        }
    }

    /// Waits until it is clear how large the file is, if that is ever said before its end.
    pub(super) async fn size(&mut self) -> Result<Option<u64>, FetchError> {
        let answered = |stage: &Stage| !matches!(stage, Stage::Asking | Stage::Awaiting(_));
        match self.wait(answered).await? {
            Stage::Asking | Stage::Awaiting(_) => Ok(None),
            Stage::Flowing { size, .. } => Ok(size),
            Stage::Whole(blob) => Ok(Some(blob.size())),
            Stage::Spilled(spill) => Ok(spill.size),
            Stage::Failed(error) => Err(error),
        }
    }

    /// Waits until nothing more comes, and says how large the file is then.
    pub(super) async fn end(&mut self) -> Result<Option<u64>, FetchError> {
        let under_way =
            |stage: &Stage| matches!(stage, Stage::Asking | Stage::Awaiting(_) | Stage::Flowing { .. });
        self.wait(|stage| !under_way(stage)).await?;
        self.size().await
    }

    /// It could not keep a single byte: each follower has to ask upstream itself.
    pub(super) fn left_nothing(&self) -> bool {
        matches!(&*self.0.borrow(), Stage::Spilled(spill) if spill.reader.is_none())
    }

    /// It has landed: a follower that comes now waits for nothing.
    pub(super) fn is_whole(&self) -> bool {
        matches!(*self.0.borrow(), Stage::Whole(_))
    }
}

impl Spill {
    /// Nothing was written.
    pub(super) fn nothing(target: &Target) -> Self {
        let hasher = target.hasher();
        Self { reader: None, written: 0, released: 0, size: None, hasher, validator: None }
    }
}

/// How many of `arrived` bytes may leave. The last ones may not, nor as many as could be the last; at least one is held
/// back, else the file would have left before it is checked.
pub(super) fn released(arrived: u64, size: Option<u64>, holdback: u64) -> u64 {
    let holdback = holdback.max(1);
    match size {
        Some(size) => arrived.min(size.saturating_sub(holdback)),
        None => arrived.saturating_sub(holdback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_held_back_and_a_small_file_is_held_back_whole() {
        assert_eq!(released(500, Some(1000), 100), 500);
        assert_eq!(released(950, Some(1000), 100), 900);
        assert_eq!(released(1000, Some(1000), 100), 900);
        assert_eq!(released(50, Some(60), 100), 0);
        assert_eq!(released(1000, None, 100), 900);
        assert_eq!(released(50, None, 100), 0);
        assert_eq!(released(1000, Some(1000), 0), 999);
    }
}
