//! Small files in memory.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;

use crate::model::Sha256;

/// One use by such a way back in so many is told to the cache that decides what stays in memory. It counts a few of them only, and
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
pub struct HotRef {
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

    /// No way back leads to it any more.
    pub(super) fn let_go(&self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

impl HotRef {
    pub(super) fn on(hot: &Hot, sha256: Sha256) -> Self {
        Self { file: Arc::downgrade(&hot.0), sha256, uses: AtomicU32::new(0) }
    }

    /// Whose file it is.
    pub(super) fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The file, if memory has it still.
    pub(super) fn hot(&self) -> Option<Hot> {
        self.file.upgrade().filter(|file| !file.gone.load(Ordering::Acquire)).map(Hot)
    }

    /// Counts a use; whether it is one to be told.
    pub(super) fn is_told(&self) -> bool {
        self.uses.fetch_add(1, Ordering::Relaxed).is_multiple_of(TOLD)
    }
}
