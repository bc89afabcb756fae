//! Room by eviction: the least worth keeping of a sample, in small steps.
//!
//! Worth is recency, frequency and size in one number; see [`super::usage`]. A sample instead of an ordered list of
//! all entries: nothing to load at the start, no memory an entry. With a few hundred candidates the least of a
//! sample are among the least of all; a cache with fewer entries than that is always seen whole, and then the
//! order is exact.

use std::fs;
use std::io;
use std::path::Path;

use metrics::counter;
use tracing::debug;

use super::super::KeepError;
use super::Disk;
use super::layout::{Found, SHARDS, shard_of};
use super::room;
use crate::metric;
use crate::model::Sha256;

/// Candidates looked at in a step.
const SAMPLE: usize = 256;
/// The share of a sample that one step may evict: one in this many.
const SHARE: usize = 16;

impl Disk {
    /// Evicts until `bytes` more fit, and reserves them; blocking. An error, with nothing evicted in vain,
    /// if they cannot.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), KeepError> {
        // Right after a start: what an earlier process kept has its place in the bound.
        self.count_rest();
        loop {
            // Held for one step only: whoever needs little does not wait for one who needs much.
            let mut next = self.room.evicting();
            if self.fits(bytes)? {
                self.room.reserve(bytes);
                return Ok(());
            }
            if !self.can_fit(bytes)? || self.evict_step(&mut next, bytes)? == 0 {
                return Err(KeepError::NoRoom);
            }
        }
    }

    /// Bytes in arrival count for the bound. For the floor they count once written, so several large files
    /// at once may dip below it until the next look.
    fn fits(&self, needed: u64) -> io::Result<bool> {
        let held = self.room.kept() + self.room.reserved();
        Ok(held.saturating_add(needed) <= self.room.max_bytes && self.above_floor(needed, 0)?)
    }

    /// Whether they would fit with every entry gone.
    fn can_fit(&self, needed: u64) -> io::Result<bool> {
        let bounded = self.room.reserved().saturating_add(needed) <= self.room.max_bytes;
        Ok(bounded && self.above_floor(needed, self.room.kept())?)
    }

    fn above_floor(&self, needed: u64, evictable: u64) -> io::Result<bool> {
        let free = room::free(self.layout.root())?;
        Ok(free.saturating_add(evictable) >= self.room.free_floor.saturating_add(needed))
    }

    /// One step: the least of a sample, as many as needed but at most a share of it. Returns how
    /// many went.
    fn evict_step(&self, next: &mut usize, needed: u64) -> io::Result<usize> {
        let mut sample = self.sample(next)?;
        // Once for each: another's use meanwhile must not change the order under the sort.
        let half_life = self.recency.half_life();
        let worth = |found: Found| (self.recency.worth(&found, half_life), found);
        let mut sample: Vec<(f64, Found)> = sample.drain(..).map(worth).collect();
        sample.sort_by(|a, b| a.0.total_cmp(&b.0));
        let most = (sample.len() / SHARE).max(1);
        let mut evicted = 0;
        for (_, found) in sample.into_iter().take(most) {
            if self.discard(found.sha256)? {
                debug!(sha256 = %found.sha256, bytes = found.size, "evicted");
                counter!(metric::CACHE_EVICTIONS_TOTAL).increment(1);
                evicted += 1;
            }
            if self.fits(needed)? {
                break;
            }
        }
        Ok(evicted)
    }

    fn sample(&self, next: &mut usize) -> io::Result<Vec<Found>> {
        let mut sample = Vec::new();
        for _ in 0..SHARDS {
            sample.extend(self.layout.list(*next)?);
            *next = (*next + 1) % SHARDS;
            if sample.len() >= SAMPLE {
                break;
            }
        }
        Ok(sample)
    }

    /// Takes an entry out; `false` if it was not there. Readers that have it open go on.
    pub(in super::super) fn discard(&self, sha256: Sha256) -> io::Result<bool> {
        let path = self.layout.entry(sha256);
        let counted = self.room.hold(shard_of(sha256));
        match remove(&path) {
            Ok(counts) => {
                if let Some(size) = counts {
                    self.room.subtract(*counted, size);
                }
                self.recency.forget(sha256);
                Ok(true)
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause),
        }
    }
}

/// Removes what stands at an entry's path, a link and an empty folder too; the bytes that the account has for it, if it has it.
fn remove(path: &Path) -> io::Result<Option<u64>> {
    let facts = fs::symlink_metadata(path)?;
    if !facts.is_dir() {
        return fs::remove_file(path).map(|()| facts.is_file().then_some(facts.len()));
    }
    let full = |cause| {
        let reason = format!("{} is a folder where a file belongs, move it away: {cause}", path.display());
        io::Error::other(reason)
    };
    fs::remove_dir(path).map_err(full).map(|()| None)
}
