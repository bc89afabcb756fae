//! Files that come from elsewhere than an upstream, put into a store that no relay has open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::OpenError;
use super::layout::Layout;
use super::usage::{Mark, Usage};
use crate::model::Sha256;

/// A store that takes files. Nobody else uses it meanwhile.
#[derive(Debug)]
pub struct Intake {
    layout: Layout,
    /// Held until this is dropped.
    _lock: File,
}

/// A file on its way in. Dropped without [`Incoming::keep`], nothing of it is left.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    temporary: PathBuf,
    place: PathBuf,
    sha256: Sha256,
    kept: bool,
}

impl Intake {
    /// Takes the store in `folder`, which is made if it is missing. Fails if a relay has it open. Blocking.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let (layout, lock) = Layout::open(folder)?;
        let cause = || OpenError::Folder {
            folder: folder.to_owned(),
            cause: io::ErrorKind::ReadOnlyFilesystem.into(),
        };
        Ok(Self { layout, _lock: lock.ok_or_else(cause)? })
    }

    /// Begins a file with that digest; `None` if it is kept already with that size.
    pub fn begin(&self, sha256: Sha256, size: u64) -> io::Result<Option<Incoming>> {
        let place = self.layout.entry(sha256);
        if fs::symlink_metadata(&place).is_ok_and(|facts| facts.is_file() && facts.len() == size) {
            return Ok(None);
        }
        let temporary = self.layout.temporary().join(sha256.to_string());
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        Ok(Some(Incoming { file, temporary, place, sha256, kept: false }))
    }
}

impl Incoming {
    /// Where its bytes go.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Keeps it: its bytes are all there, and have its digest. `used`: when it was used last. It is on the disk when this returns.
    pub fn keep(mut self, used: SystemTime) -> io::Result<()> {
        // With its mark: its bytes were hashed just now.
        self.file.set_modified(Usage::new(used).written(Mark::of(self.sha256)))?;
        self.file.sync_all()?;
        let shard = self.place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(shard)?;
        fs::rename(&self.temporary, &self.place)?;
        self.kept = true;
        File::open(shard)?.sync_all()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            // The store removes what is left there when it is opened next.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
