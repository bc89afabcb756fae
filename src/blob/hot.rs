//! Small files in memory.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;

use super::Store;
use crate::model::Sha256;

/// One use by a grip in so many is told to the cache that decides what stays in memory. It counts a few of them only, and
/// telling it takes longer than the rest.
const TOLD: u32 = 16;

/// A small file in memory. Clones are one file.
#[derive(Debug, Clone)]
pub struct Hot(Arc<File>);

#[derive(Debug)]
struct File {
    bytes: Bytes,
    came: Option<SystemTime>,
    /// It had to go: who holds it yet gives it out no more.
    gone: AtomicBool,
}

/// A way back to a small file that was found in memory, without looking it up. It holds nothing: once memory has let
/// the file go, it leads nowhere.
#[derive(Debug)]
pub struct Grip {
    file: Weak<File>,
    sha256: Sha256,
    uses: AtomicU32,
}

impl Hot {
    pub(super) fn new(bytes: Bytes, came: Option<SystemTime>) -> Self {
        Self(Arc::new(File { bytes, came, gone: AtomicBool::new(false) }))
    }

    /// All of it.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// When its fetch began, if the file system keeps that.
    pub(super) fn came(&self) -> Option<SystemTime> {
        self.0.came
    }

    /// No grip leads to it any more.
    pub(super) fn let_go(&self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

impl Store {
    /// A grip on an entry that is in memory just now.
    pub fn grip(&self, sha256: Sha256) -> Option<Grip> {
        let hot = self.hot_of(&sha256)?;
        Some(Grip { file: Arc::downgrade(&hot.0), sha256, uses: AtomicU32::new(0) })
    }

    /// The entry that the grip is on, if it is in memory still. It counts as a use of all of it, `now`.
    pub fn gripped(&self, grip: &Grip, now: SystemTime) -> Option<Hot> {
        let file = grip.file.upgrade().filter(|file| !file.gone.load(Ordering::Acquire))?;
        if grip.uses.fetch_add(1, Ordering::Relaxed).is_multiple_of(TOLD) {
            self.hot.get(&grip.sha256)?;
        }
        self.disk.touch(grip.sha256, 1.0, now);
        Some(Hot(file))
    }
}
