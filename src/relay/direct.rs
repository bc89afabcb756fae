//! Bytes straight through, for one client: a file that nobody states a digest for, or that cannot be kept.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tracing::debug;

use super::FetchError;
use super::resources::Resources;
use super::stage::{Spill, released};
use super::target::Target;
use super::transfer::{From, Transfer};
use crate::model::FileHasher;
use crate::requester::Requesters;
use crate::upstream::{Turn, UpstreamError};

/// One transfer and what of it is held back.
pub(super) struct Direct {
    resources: Arc<Resources>,
    target: Target,
    transfer: Transfer,
    hasher: FileHasher,
    /// Bytes that came from upstream, and of a spilled flight before.
    arrived: u64,
    /// Bytes that have left, counted from the start of the file.
    left: u64,
    held: VecDeque<Bytes>,
    ended: bool,
    turn: Turn,
}

impl Direct {
    /// From the first byte on.
    pub(super) async fn start(resources: &Arc<Resources>, target: &Target) -> Result<Self, FetchError> {
        Self::open(resources, target, &Spill::nothing(target), Bytes::new()).await
    }

    /// From where a flight stopped; `held` are its bytes between those released and the last written.
    pub(super) async fn open(
        resources: &Arc<Resources>,
        target: &Target,
        spill: &Spill,
        held: Bytes,
    ) -> Result<Self, FetchError> {
        let turn = resources.directs.take(&target.url(&resources.upstream)?, &Requesters::current()).await;
        let turn = turn.inspect_err(|error| debug!(path = %target.path, %error, "no turn for a file"))?;
        let (size, validator) = (spill.size, spill.validator.as_deref());
        let opened = Transfer::open(resources, target, From { byte: spill.written, size, validator }).await;
        let transfer = opened.inspect_err(|error| target.report(error))?;
        Ok(Self {
            resources: Arc::clone(resources),
            target: target.clone(),
            transfer,
            hasher: spill.hasher.clone(),
            arrived: spill.written,
            left: spill.written - held.len() as u64,
            held: VecDeque::from([held]),
            ended: false,
            turn,
        })
    }

    /// The whole size, if anybody states it.
    pub(super) fn size(&self) -> Option<u64> {
        self.transfer.size
    }

    /// The next bytes that may leave, with their place in the file; `None` at the end of a right file.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, FetchError> {
        let stepped = self.step().await;
        stepped.inspect_err(|error| self.target.report(error))
    }

    async fn step(&mut self) -> Result<Option<(u64, Bytes)>, FetchError> {
        loop {
            if let Some(bytes) = self.release() {
                let at = self.left;
                self.left += bytes.len() as u64;
                return Ok(Some((at, bytes)));
            }
            if self.ended {
                return Ok(None);
            }
            let batch = tokio::select! {
                biased;
                () = self.turn.withdrawn() => return Err(FetchError::Slow),
                batch = self.transfer.batch(0) => batch?,
            };
            if let Some(batch) = batch {
                for chunk in batch {
                    self.turn.brought(chunk.len() as u64);
                    self.arrived += chunk.len() as u64;
                    self.hasher.update(&chunk);
                    self.held.push_back(chunk);
                }
                self.check_length()?;
            } else {
                self.check()?;
                self.ended = true;
            }
        }
    }

    fn release(&mut self) -> Option<Bytes> {
        let limit = if self.ended {
            self.arrived
        } else {
            let holdback = if self.target.digest.is_some() { self.resources.settings.holdback } else { 0 };
            released(self.arrived, self.size(), holdback)
        };
        while let Some(first) = self.held.front_mut() {
            if first.is_empty() {
                self.held.pop_front();
                continue;
            }
            let may = limit.saturating_sub(self.left);
            let may = usize::try_from(may).map_or(first.len(), |may| may.min(first.len()));
            return (may > 0).then(|| first.split_to(may));
        }
        None
    }

    fn check_length(&self) -> Result<(), FetchError> {
        let max = self.resources.settings.max_file;
        if self.size().is_none() && self.arrived > max { Err(FetchError::TooLarge(max)) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), FetchError> {
        let actual = self.hasher.digest();
        match self.target.digest {
            Some(expected) if expected != actual => {
                Err(self.transfer.oddity.clone().unwrap_or(FetchError::wrong(expected, actual)))
            }
            // What nobody states anything of may be anything, but for nothing at all.
            None if self.arrived == 0 && self.target.size != Some(0) => {
                Err(UpstreamError::Unexpected("an empty body".to_owned()).into())
            }
            Some(_) | None => Ok(()),
        }
    }
}
