//! How much is kept, and how much may be.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::layout::SHARDS;
use crate::metric;

/// The account of bytes. Entries of shards that are not counted yet are not in it; they are before room is given.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) max_bytes: u64,
    pub(super) free_floor: u64,
    kept: AtomicU64,
    files: AtomicU64,
    reserved: AtomicU64,
    /// Held while a shard's entries change or are counted; `true` once it is counted.
    counted: Vec<Mutex<bool>>,
    /// Every shard is.
    all_counted: AtomicBool,
    /// Held by whoever evicts, so that two do not make the same room.
    evicting: Mutex<usize>,
}

impl Room {
    pub(super) fn new(max_bytes: u64, free_floor: u64) -> Self {
        let counted = (0..SHARDS).map(|_| Mutex::new(false)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a gauge; 2^53 bytes are 9 PB")]
        metrics::gauge!(metric::CACHE_MAX_BYTES).set(max_bytes as f64);
        Self {
            max_bytes,
            free_floor,
            kept: AtomicU64::new(0),
            files: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            counted,
            all_counted: AtomicBool::new(false),
            evicting: Mutex::new(0),
        }
    }

    /// Nothing that is kept is missing in the account.
    pub(super) fn is_counted(&self) -> bool {
        self.all_counted.load(Relaxed)
    }

    pub(super) fn all_counted(&self) {
        self.all_counted.store(true, Relaxed);
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }

    pub(super) fn reserve(&self, bytes: u64) {
        self.reserved.fetch_add(bytes, Relaxed);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Relaxed);
    }

    /// Entries have come. The caller holds the shard.
    pub(super) fn add(&self, counted: bool, files: u64, bytes: u64) {
        if counted {
            self.files.fetch_add(files, Relaxed);
            self.kept.fetch_add(bytes, Relaxed);
            self.publish();
        }
    }

    /// An entry has gone. The caller holds the shard.
    pub(super) fn subtract(&self, counted: bool, bytes: u64) {
        if counted {
            // Somebody may have edited an entry since it was counted: never below nothing.
            for (account, gone) in [(&self.files, 1), (&self.kept, bytes)] {
                let mut before = account.load(Relaxed);
                while let Err(now) =
                    account.compare_exchange_weak(before, before.saturating_sub(gone), Relaxed, Relaxed)
                {
                    before = now;
                }
            }
            self.publish();
        }
    }

    /// Entries that are kept, as far as they are counted.
    pub(super) fn files(&self) -> u64 {
        self.files.load(Relaxed)
    }

    fn publish(&self) {
        #[expect(clippy::cast_precision_loss, reason = "gauges; 2^53 bytes are 9 PB")]
        let (bytes, files) = (self.kept() as f64, self.files() as f64);
        metrics::gauge!(metric::CACHE_BYTES).set(bytes);
        metrics::gauge!(metric::CACHE_FILES).set(files);
    }

    /// The shard, held; see [`Room::counted`].
    pub(super) fn hold(&self, shard: usize) -> MutexGuard<'_, bool> {
        self.counted[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to evict, with the shard to look at next.
    pub(super) fn evicting(&self) -> MutexGuard<'_, usize> {
        self.evicting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that the file system still has for us.
pub(super) fn free(folder: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
