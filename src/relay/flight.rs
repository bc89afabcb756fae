//! One fetch of one file: a task of its own, which no client's leaving stops, unless it was the last one of a
//! large file that has hardly begun.
//!
//! Bytes go to a temporary file; the stage tells followers how far they may read. The last bytes are not
//! released before size and digest are right (promise 2), then they are at once: keeping comes after.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use tracing::{debug, warn};

use super::bring::Receipt;
use super::decode::decoded;
use super::flights::FetchStart;
use super::resources::Resources;
use super::stage::{Spill, Stage, released};
use super::target::Target;
use super::transfer::{From, Transfer};
use super::{FetchError, RelaySettings};
use crate::blob::{Blob, KeepError, Key, Writer};
use crate::metric;
use crate::model::Digest;
use crate::upstream::{Coding, Turn};

/// The task.
pub(super) struct Fetcher {
    pub(super) resources: Arc<Resources>,
    pub(super) target: Target,
    pub(super) digest: Digest,
    pub(super) start: FetchStart,
}

impl Fetcher {
    /// Flies to the end.
    pub(super) async fn fly(self) {
        match self.try_fly().await {
            Ok((writer, receipt)) => self.land(writer, receipt).await,
            Err(End::Whole(blob)) => self.start.end(Stage::Whole(blob)),
            Err(End::Spilled(cause, spill)) => {
                self.unkept(&cause);
                self.start.end(Stage::Spilled(Arc::new(spill)));
            }
            Err(End::GivenUp) => {
                counter!(metric::FILES_GIVEN_UP_TOTAL).increment(1);
                debug!(path = %self.target.path, "everybody left early: the fetch is given up");
            }
            Err(End::Failed(error) | End::NoTurn(error)) => {
                self.target.report(&error);
                self.start.end(Stage::Failed(error));
            }
        }
    }

    async fn try_fly(&self) -> Result<(Writer, Option<Receipt>), End> {
        // Between a follower's look into the store and its look into the table another flight may have
        // landed.
        if let Some(blob) = self.resources.kept(&self.target).await {
            return Err(End::Whole(blob));
        }
        let Some(bringer) = &self.resources.bringer else { return Ok((self.fetched().await?, None)) };
        if !bringer.brings_all() && !bringer.has_upload(&self.target.known()) {
            match self.fetched().await {
                // Of the end of the flight nothing is told yet.
                Err(End::Failed(cause)) if cause.may_be_brought() => self.target.report(&cause),
                fetched => return Ok((fetched?, None)),
            }
        }
        let (writer, receipt) = self.brought(bringer).await?;
        Ok((writer, Some(receipt)))
    }

    /// The file from upstream.
    async fn fetched(&self) -> Result<Writer, End> {
        let url = self.target.url(&self.resources.upstream)?;
        let turn = self.resources.transfers.take(&url, &self.start.requesters).await;
        let turn = turn.map_err(|error| End::NoTurn(error.into()))?;
        let size = self.target.size;
        let begun = self.resources.store.writer(size).await;
        let writer = begun.map_err(|cause| End::Spilled(cause, Spill::nothing(&self.target)))?;
        let mut left = false;
        let is_left = || {
            left = self.start.given_up();
            left
        };
        tokio::select! {
            biased;
            arrived = self.arrive(writer.decided_by(self.digest.algorithm()), &turn) => return arrived,
            () = turn.overdue(is_left) => {}
        }
        Err(if left { End::GivenUp } else { End::Failed(FetchError::Slow) })
    }

    /// Takes the bytes in until they are all there and right.
    async fn arrive(&self, mut writer: Writer, turn: &Turn) -> Result<Writer, End> {
        let mut transfer = Transfer::open(&self.resources, &self.target, From::default()).await?;
        loop {
            self.flowing(&writer, &transfer);
            let Some(batch) = transfer.batch(self.resources.settings.batch).await? else { break };
            turn.brought(total(&batch));
            self.check_length(&transfer, writer.written() + total(&batch))?;
            writer = match writer.append(batch).await {
                Ok(writer) => writer,
                Err(spilled) => {
                    let released = released(spilled.written, transfer.size, self.resources.settings.holdback);
                    let (reader, written) = (Some(spilled.reader), spilled.written);
                    let (size, hasher, validator) = (transfer.size, spilled.hasher, transfer.validator);
                    let spill = Spill { reader, written, released, size, hasher, validator };
                    return Err(End::Spilled(spilled.cause, spill));
                }
            };
            if self.may_be_given_up(writer.written(), transfer.size) && self.start.given_up() {
                return Err(End::GivenUp);
            }
        }
        Ok(self.checked(writer, transfer.coding, transfer.oddity).await?)
    }

    /// It is large and not far. Of a file whose size nobody states, the rest counts as large.
    fn may_be_given_up(&self, arrived: u64, size: Option<u64>) -> bool {
        let RelaySettings { finish_below, finish_percent, .. } = self.resources.settings;
        match size {
            Some(size) => size >= finish_below && arrived < size / 100 * finish_percent.min(100),
            None => arrived >= finish_below,
        }
    }

    /// Lets followers read. Of what may be another file they get nothing before its digest was compared.
    fn flowing(&self, writer: &Writer, transfer: &Transfer) {
        if transfer.oddity.is_some() {
            return;
        }
        let released = released(writer.written(), transfer.size, self.resources.settings.holdback);
        let stage = Stage::Flowing { reader: writer.reader(), size: transfer.size, released };
        self.start.stage.send_replace(stage);
    }

    /// More bytes than any file may have; that they are no more than announced the transfer sees to.
    fn check_length(&self, transfer: &Transfer, arrived: u64) -> Result<(), FetchError> {
        let max = self.resources.settings.max_file;
        if transfer.size.is_none() && arrived > max { Err(FetchError::TooLarge(max)) } else { Ok(()) }
    }

    /// The file, if its bytes as they came, or else without the coding that upstream gave them, have the digest.
    async fn checked(
        &self,
        writer: Writer,
        coding: Option<Coding>,
        oddity: Option<FetchError>,
    ) -> Result<Writer, FetchError> {
        let (expected, actual) = (self.digest, writer.digest());
        if expected == actual {
            return Ok(writer);
        }
        if let Some(coding) = coding
            && let Some(decoded) = decoded(&self.resources, &writer, coding, expected.algorithm()).await
            && decoded.digest() == expected
        {
            return Ok(decoded);
        }
        Err(oddity.unwrap_or(FetchError::wrong(expected, actual)))
    }

    /// Releases the last bytes, then keeps the file. The flight stays in the table until it is kept, so
    /// that nobody fetches it in between.
    async fn land(self, writer: Writer, receipt: Option<Receipt>) {
        let (size, sha256) = (writer.written(), writer.sha256());
        self.resources.contents.learn(&self.digest, sha256);
        self.start.stage.send_replace(Stage::Whole(Blob::File(writer.reader(), size)));
        let kept = writer.finish(&Key { sha256, size: None }).await;
        match &kept {
            Ok(()) => {
                debug!(path = %self.target.path, bytes = size, "fetched and kept");
                self.resources.contents.note(&self.digest, sha256).await;
                if let Some(bringer) = &self.resources.bringer {
                    bringer.arrived(&self.target.known());
                }
            }
            Err(cause) => self.unkept(cause),
        }
        if let Some(receipt) = receipt {
            receipt.give(kept.map_err(|cause| unkept(&cause)));
        }
    }

    fn unkept(&self, cause: &KeepError) {
        counter!(metric::FILES_UNKEPT_TOTAL).increment(1);
        warn!(path = %self.target.path, %cause, "a file is served but not kept");
    }
}

/// The ends of a flight that has nothing to land.
pub(super) enum End {
    Whole(Blob),
    Spilled(KeepError, Spill),
    GivenUp,
    Failed(FetchError),
    /// Upstream was not asked: too many others are.
    NoTurn(FetchError),
}

impl std::convert::From<FetchError> for End {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// There is no room for what was brought.
pub(super) fn unkept(cause: &KeepError) -> FetchError {
    FetchError::Unkept(cause.to_string().into())
}

pub(super) fn total(batch: &[Bytes]) -> u64 {
    batch.iter().map(|part| part.len() as u64).sum()
}
