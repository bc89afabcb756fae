//! One fetch of one file: a task of its own, which no client's leaving stops, unless it was the last one of a
//! large file that has hardly begun.
//!
//! Bytes go to a temporary file; the stage tells followers how far they may read. The last bytes are not
//! released before size and digest are right (promise 2), then they are at once: keeping comes after.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use tracing::{debug, warn};

use super::delivery::Delivery;
use super::flights::Takeoff;
use super::stage::{Spill, Stage, released};
use super::target::Target;
use super::transfer::{From, Transfer};
use super::{FetchError, RelaySettings};
use crate::blob::{Blob, KeepError, Key, Writer};

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
            Err(End::GivenUp) => {
                counter!("cheesewire_files_given_up_total").increment(1);
                debug!(path = %self.target.path, "everybody left early: the fetch is given up");
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
            if self.may_be_given_up(writer.written(), leg.size) && self.takeoff.given_up() {
                return Err(End::GivenUp);
            }
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

    /// It is large and not far. Of a file whose size nobody states, the rest counts as large.
    fn may_be_given_up(&self, arrived: u64, size: Option<u64>) -> bool {
        let RelaySettings { finish_below, finish_percent, .. } = self.delivery.settings;
        match size {
            Some(size) => size >= finish_below && arrived < size / 100 * finish_percent.min(100),
            None => arrived >= finish_below,
        }
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
    GivenUp,
    Failed(FetchError),
}

impl std::convert::From<FetchError> for End {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

fn total(batch: &[Bytes]) -> u64 {
    batch.iter().map(|part| part.len() as u64).sum()
}
