//! Which entries were used lately: remembered here, written to the files' times in batches.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::layout::{Found, Layout};
use super::turnover::Turnover;
use super::usage::{Mark, Usage};
use crate::model::{Clock, Sha256};

/// The most entries remembered between two batches, about 1 MB. At half of it a batch is written early; more
/// distinct files within the time that takes lose recency, nothing else.
const REMEMBERED: usize = 16_384;

/// Uses not yet written back.
#[derive(Debug)]
pub(super) struct Recency {
    clock: Clock,
    longest: Duration,
    /// The file system keeps them.
    marks: bool,
    turnover: Turnover,
    noted: Mutex<HashMap<Sha256, Noted>>,
    /// Told when a batch is due before its time.
    pub(super) due: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    uses: f64,
    last: SystemTime,
}

impl Recency {
    pub(super) fn new(half_life: Duration, max_bytes: u64, clock: Clock, marks: bool) -> Self {
        Self {
            clock,
            longest: half_life,
            marks,
            turnover: Turnover::new(max_bytes),
            noted: Mutex::default(),
            due: Notify::new(),
        }
    }

    /// An entry has come.
    pub(super) fn arrived(&self, bytes: u64) {
        self.turnover.add(bytes, Instant::now());
    }

    /// After so long a use counts half.
    pub(super) fn half_life(&self) -> Duration {
        self.turnover.half_life(self.longest, Instant::now())
    }

    /// Notes a use, of all or of a share. No system call: reads are the hot path.
    pub(super) fn touch(&self, sha256: Sha256, share: f64, last: SystemTime) {
        let mut noted = self.lock();
        let known = noted.len();
        if let Some(entry) = noted.get_mut(&sha256) {
            *entry = Noted { uses: entry.uses + share, last };
        } else if known < REMEMBERED {
            noted.insert(sha256, Noted { uses: share, last });
            if known + 1 == REMEMBERED / 2 {
                self.due.notify_one();
            }
        }
    }

    /// The time to write to an entry that has just come, or whose bytes were just found right.
    pub(super) fn fresh(&self, sha256: Sha256) -> SystemTime {
        Usage::new(self.clock.system_time()).written(self.mark(sha256))
    }

    /// The mark of an entry that is as we left it.
    pub(super) fn mark(&self, sha256: Sha256) -> Mark {
        if self.marks { Mark::of(sha256) } else { Mark::NONE }
    }

    /// What an entry is worth, with the uses noted here; the least goes first. `found` has what the file system has.
    pub(super) fn worth(&self, found: &Found, half_life: Duration) -> f64 {
        let noted = self.lock().get(&found.sha256).copied();
        let usage = with(Usage::read(found.used, found.sha256), noted, half_life);
        // Read after the entry's time: a use meanwhile is not in the future.
        usage.worth(found.size, self.clock.system_time(), half_life)
    }

    pub(super) fn forget(&self, sha256: Sha256) {
        self.lock().remove(&sha256);
    }

    /// Writes the batch to the entries' modification times, which survive a restart and `noatime`.
    pub(super) fn write_back(&self, layout: &Layout) {
        let (batch, half_life) = (std::mem::take(&mut *self.lock()), self.half_life());
        for (sha256, noted) in batch {
            // An entry that was evicted meanwhile is no loss; a disk that refuses loses recency only.
            let written = File::open(layout.entry(sha256)).and_then(|file| {
                let modified = file.metadata()?.modified()?;
                // If somebody edited it since, its time goes on saying so until the bytes are checked.
                let mark = Mark::read(modified);
                let usage = Usage::read(modified, sha256);
                file.set_modified(with(usage, Some(noted), half_life).written(mark))
            });
            if let Err(cause) = written {
                debug!(%sha256, %cause, "recency not written");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with(usage: Usage, noted: Option<Noted>, half_life: Duration) -> Usage {
    noted.map_or(usage, |noted| usage.again(noted.uses, noted.last, half_life))
}
