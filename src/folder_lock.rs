//! The lock on a folder that one process at a time may have.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};

/// A lock may still be held for a moment by a process that ends, or by a child of ours between its fork and its exec.
const PAUSE: Duration = Duration::from_millis(50);
/// So often a lock is tried again before its holder is taken for another relay: half a second.
const TRIES: usize = 10;

/// Locks a folder by a file in it, for as long as that is open. Blocking: half a second while another process holds it.
pub(crate) fn take(file: &File) -> Result<(), TryLockError> {
    let patience = ConstantBuilder::default().with_delay(PAUSE).with_max_times(TRIES);
    let locked = (|| file.try_lock()).retry(patience);
    locked.when(|error| matches!(error, TryLockError::WouldBlock)).call()
}

/// Who has a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, or there is none.
    Nobody,
    /// This process.
    Process(i32),
    /// One that is not to be seen from here: another user's, or in another container.
    Hidden,
}

/// Who has the lock that is this file.
pub(crate) fn holder(path: &Path) -> io::Result<Holder> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(error),
    };
    // Whoever starts meanwhile tries again.
    match file.try_lock_shared() {
        Ok(()) => return Ok(Holder::Nobody),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let metadata = file.metadata()?;
    let wanted = (metadata.dev(), metadata.ino());
    for entry in fs::read_dir("/proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes end at any time, and others' descriptors cannot be listed.
        let Ok(open) = fs::read_dir(format!("/proc/{id}/fd")) else { continue };
        let is_it = |entry: io::Result<fs::DirEntry>| {
            entry.and_then(|entry| fs::metadata(entry.path())).is_ok_and(|at| (at.dev(), at.ino()) == wanted)
        };
        if u32::try_from(id) != Ok(std::process::id()) && open.into_iter().any(is_it) {
            return Ok(Holder::Process(id));
        }
    }
    Ok(Holder::Hidden)
}
