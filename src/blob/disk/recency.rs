//! Which entries were used lately: remembered here, written to the files' times in batches.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tracing::debug;

use super::layout::Layout;
use crate::model::Sha256;

/// The most entries remembered between two batches, about 1 MB. More distinct files in one interval lose
/// recency, nothing else.
const REMEMBERED: usize = 16_384;

/// Uses not yet written back.
#[derive(Debug, Default)]
pub(super) struct Recency(Mutex<HashMap<Sha256, SystemTime>>);

impl Recency {
    /// Notes a use. No system call: reads are the hot path.
    pub(super) fn touch(&self, sha256: Sha256) {
        let now = SystemTime::now();
        let mut noted = self.lock();
        if noted.len() < REMEMBERED || noted.contains_key(&sha256) {
            noted.insert(sha256, now);
        }
    }

    /// The last use: the one noted here, else the one the file system has.
    pub(super) fn last(&self, sha256: Sha256, stored: SystemTime) -> SystemTime {
        self.lock().get(&sha256).copied().map_or(stored, |noted| noted.max(stored))
    }

    pub(super) fn forget(&self, sha256: Sha256) {
        self.lock().remove(&sha256);
    }

    /// Writes the batch to the entries' modification times, which survive a restart and `noatime`.
    pub(super) fn write_back(&self, layout: &Layout) {
        let batch = std::mem::take(&mut *self.lock());
        for (sha256, used) in batch {
            // An entry that was evicted meanwhile is no loss; a disk that refuses loses recency only.
            let written = File::open(layout.entry(sha256)).and_then(|file| file.set_modified(used));
            if let Err(cause) = written {
                debug!(%sha256, %cause, "recency not written");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, SystemTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
