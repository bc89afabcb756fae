//! One client's body: the next bytes of its range, from wherever they are, at its pace.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use metrics::counter;

use super::buffers::Lane;
use super::delivery::Delivery;
use super::direct::Direct;
use super::flight::{Flight, Stage};
use super::served::{Content, Source};
use super::target::Target;
use super::{FetchError, RelayError};
use crate::blob::{Blob, Reader};

/// Where the bytes come from; it changes while they flow.
pub(super) enum Origin {
    Kept(Blob),
    Flight(Flight),
    Direct(Box<Direct>),
}

/// A body.
pub(super) struct Pump {
    delivery: Arc<Delivery>,
    target: Target,
    origin: Origin,
    lane: Lane,
    /// The next byte to leave.
    at: u64,
    /// The byte behind the last one; past the file's end if its size is not known yet.
    end: u64,
    tally: Tally,
}

impl Pump {
    pub(super) fn new(
        delivery: &Arc<Delivery>,
        target: &Target,
        source: Source,
        origin: Origin,
        range: Range<u64>,
    ) -> Self {
        Self {
            delivery: Arc::clone(delivery),
            target: target.clone(),
            origin,
            lane: delivery.buffers.lane(),
            at: range.start,
            end: range.end,
            tally: Tally { source, bytes: 0, outcome: "left" },
        }
    }

    /// Waits for the first bytes; then the size, if it is known by now, and the whole body.
    pub(super) async fn prime(mut self) -> Result<(Option<u64>, Content), RelayError> {
        let first = self.next().await?;
        let size = match &self.origin {
            Origin::Kept(blob) => Some(blob.size()),
            Origin::Flight(_) => self.target.size,
            Origin::Direct(direct) => direct.size(),
        };
        let Some(first) = first else { return Ok((size, Content(stream::empty().boxed()))) };
        let rest = stream::try_unfold(self, |mut pump| async move {
            Ok::<_, RelayError>(pump.next().await?.map(|bytes| (bytes, pump)))
        });
        Ok((size, Content(stream::once(async { Ok(first) }).chain(rest).boxed())))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RelayError> {
        let step = self.step().await;
        match &step {
            Ok(Some(bytes)) => {
                self.at += bytes.len() as u64;
                self.tally.bytes += bytes.len() as u64;
                // Nobody asks for more once the announced length is there.
                if self.at >= self.end {
                    self.tally.outcome = "complete";
                }
            }
            Ok(None) => self.tally.outcome = "complete",
            Err(_) => self.tally.outcome = "failed",
        }
        step
    }

    /// The next bytes: never empty ones.
    async fn step(&mut self) -> Result<Option<Bytes>, RelayError> {
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            match &mut self.origin {
                Origin::Kept(blob) => {
                    self.end = self.end.min(blob.size());
                    if self.at >= self.end {
                        return Ok(None);
                    }
                    return match blob {
                        Blob::Hot(bytes) => Ok(Some(slice(bytes, self.at, self.end)?)),
                        Blob::File(reader, _) => read(&self.lane, reader, self.at, self.end).await.map(Some),
                    };
                }
                Origin::Flight(flight) => match flight.reach(self.at).await {
                    Stage::Flowing { reader, released, size: _ } => {
                        return read(&self.lane, &reader, self.at, self.end.min(released)).await.map(Some);
                    }
                    Stage::Whole(blob) => self.origin = Origin::Kept(blob),
                    Stage::Spilled(spill) => {
                        if let (Some(reader), true) = (&spill.reader, self.at < spill.released) {
                            let end = self.end.min(spill.released);
                            return read(&self.lane, reader, self.at, end).await.map(Some);
                        }
                        self.tally.source = Source::Relayed;
                        let held = match &spill.reader {
                            Some(reader) => held(reader, spill.released, spill.written).await?,
                            None => Bytes::new(),
                        };
                        let direct = Direct::open(&self.delivery, &self.target, &spill, held).await?;
                        self.origin = Origin::Direct(Box::new(direct));
                    }
                    Stage::Failed(error) => return Err(error.into()),
                    Stage::Asking => return Err(FetchError::Lost.into()),
                },
                Origin::Direct(direct) => {
                    let Some((start, bytes)) = direct.next().await? else { return Ok(None) };
                    let end = start + bytes.len() as u64;
                    if end > self.at {
                        let (from, to) = (self.at.max(start) - start, end.min(self.end) - start);
                        return Ok(Some(slice(&bytes, from, to)?));
                    }
                }
            }
        }
    }
}

/// One buffer of `at..end`, or less.
async fn read(lane: &Lane, reader: &Reader, at: u64, end: u64) -> Result<Bytes, RelayError> {
    let turn = lane.turn().await.map_err(std::io::Error::other)?;
    let size = usize::try_from(end - at).map_or(turn.size, |left| left.min(turn.size));
    Ok(turn.lend(reader.read_at(at, vec![0; size]).await?))
}

/// The bytes of a spilled flight that had not been released; at most the holdback.
async fn held(reader: &Reader, released: u64, written: u64) -> Result<Bytes, RelayError> {
    let size = usize::try_from(written - released).map_err(std::io::Error::other)?;
    Ok(reader.read_at(released, vec![0; size]).await?.into())
}

fn slice(bytes: &Bytes, from: u64, to: u64) -> Result<Bytes, RelayError> {
    let index = |at| usize::try_from(at).map_err(std::io::Error::other);
    Ok(bytes.slice(index(from)?..index(to)?))
}

/// Counts one body when it is over.
struct Tally {
    source: Source,
    bytes: u64,
    outcome: &'static str,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let source = self.source.word();
        counter!("cheesewire_files_total", "source" => source, "outcome" => self.outcome).increment(1);
        counter!("cheesewire_file_bytes_total", "source" => source).increment(self.bytes);
    }
}
