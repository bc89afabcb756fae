//! The lock on a folder that one process at a time may have.

use std::fs::{File, TryLockError};
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
