//! One file on its way in: temporary, hashed as it grows, renamed only when it is right.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;

use super::super::{KeepError, Key};
use super::layout::shard_of;
use super::{Disk, Reader};
use crate::model::{Algorithm, Digest, FileHasher, Sha256};

/// A file that grows. Dropped without [`Writer::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<Disk>,
    file: Arc<File>,
    path: TempPath,
    hasher: FileHasher,
    written: u64,
    reservation: Reservation,
}

/// A write that failed: what is there stays readable, and whoever goes on has the digest so far.
#[derive(Debug)]
pub struct Spilled {
    /// The file up to `written`.
    pub reader: Reader,
    /// Bytes that are there.
    pub written: u64,
    /// Over exactly these bytes.
    pub hasher: FileHasher,
    /// Why no more are kept.
    pub cause: KeepError,
}

impl Writer {
    pub(in super::super) async fn begin(disk: Arc<Disk>, size: Option<u64>) -> Result<Self, KeepError> {
        joined(tokio::task::spawn_blocking(move || Self::open(disk, size)).await)
    }

    fn open(disk: Arc<Disk>, size: Option<u64>) -> Result<Self, KeepError> {
        if disk.read_only() {
            return Err(KeepError::ReadOnly);
        }
        let mut reservation = Reservation { disk: Arc::clone(&disk), bytes: 0 };
        reservation.grow(size.unwrap_or(0))?;
        let (file, path) = tempfile::NamedTempFile::new_in(disk.layout.temporary())?.into_parts();
        Ok(Self { disk, file: Arc::new(file), path, hasher: FileHasher::default(), written: 0, reservation })
    }

    /// Reads what is written, also after the writer is gone.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.file), &self.disk.gate)
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Has [`Self::digest`] made by that algorithm too. Before anything is written.
    #[must_use]
    pub fn decided_by(mut self, algorithm: Algorithm) -> Self {
        self.hasher = FileHasher::new(algorithm);
        self
    }

    /// The SHA-256 of what is written: what it will be kept under.
    pub fn sha256(&self) -> Sha256 {
        self.hasher.sha256()
    }

    /// The digest of what is written that decides: SHA-256, unless [`Self::decided_by`] named another.
    pub fn digest(&self) -> Digest {
        self.hasher.digest()
    }

    /// Hashes and writes the batch in one go on a blocking thread.
    pub async fn append(mut self, batch: Vec<Bytes>) -> Result<Self, Box<Spilled>> {
        let before = (self.reader(), self.written, self.hasher.clone());
        let write = move || {
            let grown = self.written + batch.iter().map(|part| part.len() as u64).sum::<u64>();
            self.reservation.grow(grown)?;
            for part in &batch {
                self.file.write_all_at(part, self.written)?;
                self.hasher.update(part);
                self.written += part.len() as u64;
            }
            Ok(self)
        };
        let (reader, written, hasher) = before;
        joined(tokio::task::spawn_blocking(write).await)
            .map_err(|cause| Box::new(Spilled { reader, written, hasher, cause }))
    }

    /// Keeps the file under its key: fsync, rename, fsync of the folder. The caller has compared digest
    /// and size.
    pub async fn finish(self, key: &Key) -> Result<(), KeepError> {
        let sha256 = key.sha256;
        joined(tokio::task::spawn_blocking(move || self.persist(sha256)).await)
    }

    fn persist(self, sha256: Sha256) -> Result<(), KeepError> {
        // Its first use; it also marks the time as ours.
        self.file.set_modified(self.disk.recency.fresh(sha256))?;
        self.file.sync_all()?;
        let shard = shard_of(sha256);
        let folder = self.disk.layout.shard(shard);
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            sync_folder(&self.disk.layout.entries())?;
        }
        let target = self.disk.layout.entry(sha256);
        let counted = self.disk.room.hold(shard);
        let replaced = fs::symlink_metadata(&target).ok().filter(fs::Metadata::is_file);
        self.path.persist(&target).map_err(|refused| refused.error)?;
        if let Some(replaced) = replaced {
            self.disk.room.subtract(*counted, replaced.len());
        }
        self.disk.room.add(*counted, 1, self.written);
        self.disk.recency.arrived(self.written);
        drop(counted);
        drop(self.reservation);
        Ok(sync_folder(&folder)?)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Bytes of the bound that a writer has for itself.
#[derive(Debug)]
struct Reservation {
    disk: Arc<Disk>,
    bytes: u64,
}

impl Reservation {
    /// Reserves up to `total` bytes, evicting if necessary.
    fn grow(&mut self, total: u64) -> Result<(), KeepError> {
        let more = total.saturating_sub(self.bytes);
        if more > 0 {
            self.disk.reserve(more)?;
            self.bytes += more;
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.disk.room.release(self.bytes);
    }
}

/// A blocking task's result; one that panicked or was cut off by the end of the runtime is a disk error.
fn joined<T>(done: Result<Result<T, KeepError>, tokio::task::JoinError>) -> Result<T, KeepError> {
    done.unwrap_or_else(|lost| Err(KeepError::Disk(io::Error::other(lost))))
}
