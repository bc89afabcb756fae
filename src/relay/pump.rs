//! One client's body: the next bytes of its range, from wherever they are, at its pace.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::buffers::Lane;
use super::direct::Direct;
use super::resources::Resources;
use super::served::Content;
use super::source::Source;
use super::stage::{Flight, Stage};
use super::tally::Outcome;
use super::target::Target;
use super::{FetchError, RelayError};
use crate::blob::{Blob, Map, Reader};
use crate::requester::Requester;

/// Where the bytes come from; it changes while they flow.
pub(super) enum ByteSource {
    Kept(Blob),
    Flight(Flight),
    Direct(Box<Direct>),
}

/// A body.
pub(super) struct Pump {
    resources: Arc<Resources>,
    target: Target,
    origin: ByteSource,
    lane: Lane,
    /// The next byte to leave.
    at: u64,
    /// The byte behind the last one; past the file's end if its size is not known yet.
    end: u64,
    /// The file's size, if the client was told one.
    told: Option<u64>,
    source: Source,
    /// Bytes handed out.
    given: u64,
    outcome: Outcome,
    /// Whose body it is: what reads it knows no more of that.
    requester: Requester,
}

impl Pump {
    pub(super) fn new(
        resources: &Arc<Resources>,
        target: &Target,
        source: Source,
        origin: ByteSource,
        range: Range<u64>,
        told: Option<u64>,
    ) -> Self {
        Self {
            resources: Arc::clone(resources),
            target: target.clone(),
            origin,
            lane: resources.buffers.lane(),
            at: range.start,
            end: range.end,
            told,
            source,
            given: 0,
            outcome: Outcome::Left,
            requester: Requester::current(),
        }
    }

    /// Waits for the first bytes; then the size, if it is known by now, and the whole body.
    pub(super) async fn prime(mut self) -> Result<(Option<u64>, Content), RelayError> {
        let first = self.next().await?;
        let size = match &self.origin {
            ByteSource::Kept(blob) => Some(blob.size()),
            ByteSource::Flight(_) => self.told,
            ByteSource::Direct(direct) => direct.size(),
        };
        let Some(first) = first else { return Ok((size, Content::pumped(stream::empty()))) };
        let rest = stream::try_unfold(self, |mut pump| async move {
            match pump.next().await {
                Ok(next) => Ok(next.map(|bytes| (bytes, pump))),
                Err(error) => {
                    // The server drops what it has not written when a body fails, the head included. It writes when a body
                    // has nothing to give.
                    tokio::task::yield_now().await;
                    Err(error)
                }
            }
        });
        Ok((size, Content::pumped(stream::iter([Ok(first)]).chain(rest))))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RelayError> {
        let step = self.step().await;
        match &step {
            Ok(Some(bytes)) => {
                self.at += bytes.len() as u64;
                self.given += bytes.len() as u64;
                // Nobody asks for more once the announced length is there.
                if self.at >= self.end {
                    self.outcome = Outcome::Complete;
                }
            }
            Ok(None) => self.outcome = Outcome::Complete,
            Err(_) => self.outcome = Outcome::Failed,
        }
        step
    }

    /// The next bytes: never empty ones.
    async fn step(&mut self) -> Result<Option<Bytes>, RelayError> {
        loop {
            // An empty file is not over before it was checked either.
            if self.at >= self.end && self.given > 0 {
                return Ok(None);
            }
            match &mut self.origin {
                ByteSource::Kept(blob) => {
                    self.end = self.end.min(blob.size());
                    if self.at >= self.end {
                        return Ok(None);
                    }
                    return match blob {
                        Blob::Hot(hot) => Ok(Some(slice(hot.bytes(), self.at, self.end)?)),
                        Blob::Mapped(map) => {
                            let end = self.end.min(self.at + self.resources.settings.window);
                            mapped(map, self.at..end).await.map(Some)
                        }
                        Blob::File(reader, _) => read(&self.lane, reader, self.at, self.end).await.map(Some),
                    };
                }
                ByteSource::Flight(flight) => match flight.reach(self.at).await {
                    Stage::Flowing { reader, released, size: _ } => {
                        return read(&self.lane, &reader, self.at, self.end.min(released)).await.map(Some);
                    }
                    Stage::Whole(blob) => {
                        if let Some(stated) = self.told.filter(|&told| told != blob.size()) {
                            return Err(FetchError::Size { stated, sent: blob.size() }.into());
                        }
                        self.origin = ByteSource::Kept(blob);
                    }
                    Stage::Spilled(spill) => {
                        if let (Some(reader), true) = (&spill.reader, self.at < spill.released) {
                            let end = self.end.min(spill.released);
                            return read(&self.lane, reader, self.at, end).await.map(Some);
                        }
                        self.source = Source::Relayed;
                        let held = match &spill.reader {
                            Some(reader) => held(reader, spill.released, spill.written).await?,
                            None => Bytes::new(),
                        };
                        let direct = Direct::open(&self.resources, &self.target, &spill, held);
                        let direct = self.requester.run(direct).await?;
                        self.origin = ByteSource::Direct(Box::new(direct));
                    }
                    Stage::Failed(error) => return Err(error.into()),
                    Stage::Asking | Stage::Awaiting(_) => return Err(FetchError::Lost.into()),
                },
                ByteSource::Direct(direct) => {
                    let Some((start, bytes)) = direct.next().await? else { return Ok(None) };
                    let end = start + bytes.len() as u64;
                    if end > self.at && self.end > start {
                        let (from, to) = (self.at.max(start) - start, end.min(self.end) - start);
                        return Ok(Some(slice(&bytes, from, to)?));
                    }
                }
            }
        }
    }
}

/// A range of a mapped file, once it is in memory.
async fn mapped(map: &Map, range: Range<u64>) -> Result<Bytes, RelayError> {
    match map.ready(range.clone())? {
        Some(bytes) => Ok(bytes),
        None => Ok(map.load(range).await?),
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

impl Drop for Pump {
    fn drop(&mut self) {
        self.resources.counters.count(self.source, self.outcome, self.given);
    }
}
