//! The paths, the lock, the leftovers.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::super::OpenError;
use crate::folder_lock;
use crate::model::Sha256;

/// Folders that entries are spread over: one a value of the digest's first byte. At 100,000 entries each
/// has about 400, which is listed within a millisecond.
pub(super) const SHARDS: usize = 256;

/// Where things are.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The paths below a folder, whatever is there.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the folders, takes the lock and removes leftovers. No lock if the folder is read-only.
    pub(super) fn open(root: &Path) -> Result<(Self, Option<File>), OpenError> {
        let failed = |cause| OpenError::Folder { folder: root.to_owned(), cause };
        let layout = Self::at(root);
        let lock = match layout.prepare() {
            Ok(file) => file,
            Err(cause) if is_read_only(&cause) => {
                warn!(folder = %root.display(), %cause, "the folder is read-only: nothing new is kept");
                return Ok((layout, None));
            }
            Err(cause) => return Err(failed(cause)),
        };
        match folder_lock::take(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(root.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // Only under the lock: they would be another process's running writes otherwise.
        let removed = layout.remove_leftovers().map_err(failed)?;
        if removed > 0 {
            info!(removed, "removed files whose fetch did not end");
        }
        Ok((layout, Some(lock)))
    }

    fn prepare(&self) -> io::Result<File> {
        fs::create_dir_all(self.temporary())?;
        fs::create_dir_all(self.entries())?;
        File::options().create(true).write(true).truncate(false).open(self.root.join("lock"))
    }

    fn remove_leftovers(&self) -> io::Result<usize> {
        let mut removed = 0;
        for leftover in fs::read_dir(self.temporary())? {
            let leftover = leftover?;
            // A folder is somebody else's: we make none here.
            if !leftover.file_type()?.is_dir() {
                fs::remove_file(leftover.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(super) fn entries(&self) -> PathBuf {
        self.root.join("sha256")
    }

    pub(super) fn shard(&self, shard: usize) -> PathBuf {
        self.entries().join(format!("{shard:02x}"))
    }

    pub(super) fn entry(&self, sha256: Sha256) -> PathBuf {
        self.shard(shard_of(sha256)).join(sha256.to_string())
    }

    /// The entries of one shard: digest, size, time of last use as the file system has it. What is no
    /// entry (somebody's own file) is passed over.
    pub(super) fn list(&self, shard: usize) -> io::Result<Vec<Found>> {
        let listing = match fs::read_dir(self.shard(shard)) {
            Ok(listing) => listing,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(cause),
        };
        let mut found = Vec::new();
        for item in listing {
            let item = item?;
            let Some(sha256) = item.file_name().to_str().and_then(|name| name.parse::<Sha256>().ok()) else {
                continue;
            };
            // Not the facts of what a link leads to.
            let facts = match item.metadata() {
                Ok(facts) => facts,
                // Evicted since it was listed.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(cause),
            };
            if !facts.is_file() {
                continue;
            }
            found.push(Found { sha256, size: facts.len(), used: facts.modified()? });
        }
        Ok(found)
    }
}

/// An entry as a listing shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) used: std::time::SystemTime,
}

pub(super) fn shard_of(sha256: Sha256) -> usize {
    usize::from(sha256.0[0])
}

fn is_read_only(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
