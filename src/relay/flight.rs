//! One fetch of one file: a task of its own, which nobody's leaving stops.
//!
//! Bytes go to a temporary file; the stage tells followers how far they may read. The last bytes are not
//! released before size and digest are right (promise 2), then they are at once: keeping comes after.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::FetchError;
use super::delivery::Delivery;
use super::flights::Takeoff;
use super::target::Target;
use super::transfer::{From, Transfer};
use crate::blob::{Blob, KeepError, Key, Reader, Writer};

/// How far a flight is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Upstream has not answered.
    Asking,
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
    pub(super) hasher: sha2::Sha256,
    pub(super) etag: Option<String>,
}

/// A follower's view of a flight.
#[derive(Debug, Clone)]
pub(super) struct Flight(pub(super) watch::Receiver<Stage>);

impl Flight {
    /// Waits until there is a byte at `at`, or none will come.
    pub(super) async fn reach(&mut self, at: u64) -> Stage {
        let there = |stage: &Stage| match stage {
            Stage::Asking => false,
            Stage::Flowing { released, .. } => *released > at,
            Stage::Whole(_) | Stage::Spilled(_) | Stage::Failed(_) => true,
        };
        self.0.wait_for(there).await.map_or(Stage::Failed(FetchError::Lost), |stage| stage.clone())
    }

    /// Waits until it is clear how large the file is, if that is ever said before its end.
    pub(super) async fn size(&mut self) -> Result<Option<u64>, FetchError> {
        let answered = |stage: &Stage| !matches!(stage, Stage::Asking);
        match &*self.0.wait_for(answered).await.map_err(|_| FetchError::Lost)? {
            Stage::Asking => Ok(None),
            Stage::Flowing { size, .. } => Ok(*size),
            Stage::Whole(blob) => Ok(Some(blob.size())),
            Stage::Spilled(spill) => Ok(spill.size),
            Stage::Failed(error) => Err(error.clone()),
        }
    }

    /// It has landed: a follower that comes now waits for nothing.
    pub(super) fn is_whole(&self) -> bool {
        matches!(*self.0.borrow(), Stage::Whole(_))
    }
}

/// How many of `arrived` bytes may leave. The last ones may not, nor as many as could be the last.
pub(super) fn released(arrived: u64, size: Option<u64>, holdback: u64) -> u64 {
    match size {
        Some(size) => arrived.min(size.saturating_sub(holdback)),
        None => arrived.saturating_sub(holdback),
    }
}

/// The task.
pub(super) struct Pilot {
    pub(super) delivery: Arc<Delivery>,
    pub(super) target: Target,
    pub(super) key: Key,
    pub(super) takeoff: Takeoff,
}

impl Pilot {
    /// Flies to the end.
    pub(super) async fn fly(self) {
        match self.try_fly().await {
            Ok(writer) => self.land(writer).await,
            Err(End::Whole(blob)) => self.takeoff.end(Stage::Whole(blob)),
            Err(End::Spilled(cause, spill)) => {
                self.unkept(&cause);
                self.takeoff.end(Stage::Spilled(Arc::new(spill)));
            }
            Err(End::Failed(error)) => {
                self.target.report(&error);
                self.takeoff.end(Stage::Failed(error));
            }
        }
    }

    async fn try_fly(&self) -> Result<Writer, End> {
        // Between a follower's look into the store and its look into the table another flight may have
        // landed.
        if let Some(blob) = self.delivery.store.get(&self.key).await {
            return Err(End::Whole(blob));
        }
        let _turn = self.delivery.transfers.acquire().await.map_err(|_| FetchError::Lost)?;
        let size = self.target.size;
        let begun = self.delivery.store.writer(size).await;
        let writer = begun.map_err(|cause| End::Spilled(cause, Spill::nothing(size)))?;
        self.arrive(writer).await
    }

    /// Takes the bytes in until they are all there and right.
    async fn arrive(&self, mut writer: Writer) -> Result<Writer, End> {
        let mut leg = Leg { broken: 0, size: self.target.size, etag: None };
        let mut transfer = self.open(&mut leg, 0).await?;
        loop {
            self.flowing(&writer, &leg);
            let batch = match transfer.batch(self.delivery.settings.batch).await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    self.pause(&mut leg, error, writer.written()).await?;
                    transfer = self.open(&mut leg, writer.written()).await?;
                    continue;
                }
            };
            self.check_length(&leg, writer.written() + total(&batch))?;
            writer = match writer.append(batch).await {
                Ok(writer) => writer,
                Err(spilled) => {
                    let released = released(spilled.written, leg.size, self.delivery.settings.holdback);
                    let (reader, written) = (Some(spilled.reader), spilled.written);
                    let (size, hasher, etag) = (leg.size, spilled.hasher, leg.etag);
                    let spill = Spill { reader, written, released, size, hasher, etag };
                    return Err(End::Spilled(spilled.cause, spill));
                }
            };
        }
        self.check(&writer, &leg)?;
        Ok(writer)
    }

    /// Opens the transfer, or the rest of it, as often as a leg allows.
    async fn open(&self, leg: &mut Leg, byte: u64) -> Result<Transfer, FetchError> {
        loop {
            let from = From { byte, etag: leg.etag.as_deref() };
            match self.delivery.transfer(&self.target, leg.size, from).await {
                Ok(transfer) => {
                    leg.size = transfer.size;
                    leg.etag.clone_from(&transfer.etag);
                    return Ok(transfer);
                }
                // The first answer is asked for repeatedly by the upstream module already.
                Err(error) if byte == 0 => return Err(error),
                Err(error) => self.pause(leg, error, byte).await?,
            }
        }
    }

    /// Waits before a resumption; gives the error back if there is to be none.
    async fn pause(&self, leg: &mut Leg, error: FetchError, byte: u64) -> Result<(), FetchError> {
        if !error.resumable() || leg.broken >= self.delivery.settings.resumes {
            return Err(error);
        }
        debug!(path = %self.target.path, byte, %error, "a transfer broke off: resuming");
        counter!("cheesewire_file_resumes_total").increment(1);
        tokio::time::sleep(self.delivery.settings.resume_pause * 2_u32.pow(leg.broken.min(16))).await;
        leg.broken += 1;
        Ok(())
    }

    fn flowing(&self, writer: &Writer, leg: &Leg) {
        let released = released(writer.written(), leg.size, self.delivery.settings.holdback);
        let stage = Stage::Flowing { reader: writer.reader(), size: leg.size, released };
        self.takeoff.stage.send_replace(stage);
    }

    /// More bytes than stated, or than any file may have.
    fn check_length(&self, leg: &Leg, arrived: u64) -> Result<(), FetchError> {
        match leg.size {
            Some(stated) if arrived > stated => Err(FetchError::Size { stated, sent: arrived }),
            None if arrived > self.delivery.settings.max_file => {
                Err(FetchError::TooLarge(self.delivery.settings.max_file))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check(&self, writer: &Writer, leg: &Leg) -> Result<(), FetchError> {
        if let Some(stated) = leg.size.filter(|&size| size != writer.written()) {
            return Err(FetchError::Size { stated, sent: writer.written() });
        }
        let (expected, actual) = (self.key.sha256, writer.sha256());
        if expected == actual { Ok(()) } else { Err(FetchError::Digest { expected, actual }) }
    }

    /// Releases the last bytes, then keeps the file. The flight stays in the table until it is kept, so
    /// that nobody fetches it in between.
    async fn land(self, writer: Writer) {
        let size = writer.written();
        self.takeoff.stage.send_replace(Stage::Whole(Blob::File(writer.reader(), size)));
        match writer.finish(&self.key).await {
            Ok(()) => debug!(path = %self.target.path, bytes = size, "fetched and kept"),
            Err(cause) => self.unkept(&cause),
        }
    }

    fn unkept(&self, cause: &KeepError) {
        counter!("cheesewire_files_unkept_total").increment(1);
        warn!(path = %self.target.path, %cause, "a file is served but not kept");
    }
}

/// What one flight knows of its transfers.
struct Leg {
    broken: u32,
    size: Option<u64>,
    etag: Option<String>,
}

/// The ends of a flight that has nothing to land.
enum End {
    Whole(Blob),
    Spilled(KeepError, Spill),
    Failed(FetchError),
}

impl std::convert::From<FetchError> for End {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

impl Spill {
    /// Nothing was written.
    pub(super) fn nothing(size: Option<u64>) -> Self {
        let hasher = <sha2::Sha256 as sha2::Digest>::new();
        Self { reader: None, written: 0, released: 0, size, hasher, etag: None }
    }
}

fn total(batch: &[Bytes]) -> u64 {
    batch.iter().map(|part| part.len() as u64).sum()
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
    }
}
