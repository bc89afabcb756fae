//! The facade: memory for small hot files, the disk behind it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::disk::{Disk, Reader, Writer};
use super::{KeepError, Key, OpenError, StoreSettings};
use crate::model::Sha256;

/// The kept files. Clones are one store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) disk: Arc<Disk>,
    hot: Cache<Sha256, Bytes>,
    hot_file: u64,
}

/// A kept file, whole.
#[derive(Debug, Clone)]
pub enum Blob {
    /// In memory.
    Hot(Bytes),
    /// On disk; stays readable even if it is evicted meanwhile.
    File(Reader, u64),
}

impl Blob {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Hot(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }
}

impl Store {
    /// Opens the folder: takes its lock, removes leftovers of unfinished writes. Does not walk the
    /// entries, so it takes milliseconds whatever is kept. Blocking: for start-up.
    ///
    /// A folder that cannot be written is opened for reading only, with a warning.
    pub fn open(settings: &StoreSettings) -> Result<Self, OpenError> {
        let weight = |_: &Sha256, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let hot = Cache::builder().max_capacity(settings.hot_bytes).weigher(weight).build();
        Ok(Self { disk: Arc::new(Disk::open(settings)?), hot, hot_file: settings.hot_file })
    }

    /// The entry, if it is kept. An entry whose length contradicts the key is thrown away; a disk that
    /// fails to read is logged and counts as absent, because upstream still has the file.
    pub async fn get(&self, key: &Key) -> Option<Blob> {
        if let Some(bytes) = self.hot.get(&key.sha256)
            && key.size.is_none_or(|size| size == bytes.len() as u64)
        {
            self.disk.touch(key.sha256);
            return Some(Blob::Hot(bytes));
        }
        match self.read_disk(key).await {
            Ok(found) => found,
            Err(cause) => {
                warn!(sha256 = %key.sha256, %cause, "a kept file cannot be read");
                None
            }
        }
    }

    async fn read_disk(&self, key: &Key) -> io::Result<Option<Blob>> {
        let (disk, wanted) = (Arc::clone(&self.disk), *key);
        let found = tokio::task::spawn_blocking(move || disk.entry(&wanted)).await??;
        let Some((reader, size)) = found else { return Ok(None) };
        if size > self.hot_file {
            return Ok(Some(Blob::File(reader, size)));
        }
        let bytes = Bytes::from(reader.read_at(0, buffer(size)?).await?);
        self.hot.insert(key.sha256, bytes.clone());
        Ok(Some(Blob::Hot(bytes)))
    }

    /// Room for one file, made by evicting if necessary; `size` as far as it is known. Dropping the
    /// writer without [`Writer::finish`] removes what was written.
    pub async fn writer(&self, size: Option<u64>) -> Result<Writer, KeepError> {
        let disk = Arc::clone(&self.disk);
        joined(tokio::task::spawn_blocking(move || Writer::begin(&disk, size)).await)
    }

    /// Forgets the copy in memory.
    pub(super) fn cool(&self, sha256: Sha256) {
        self.hot.invalidate(&sha256);
    }

    /// Counts what is kept, then writes recency back in batches and holds the floor of free space, until
    /// cancelled. Until it has counted, what an earlier process kept does not weigh against the bound.
    pub async fn tend(&self, cancelled: CancellationToken) {
        Arc::clone(&self.disk).tend(cancelled).await;
    }
}

fn buffer(size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok(vec![0; size])
}

/// A blocking task's result; one that panicked or was cut off by the end of the runtime is a disk error.
pub(super) fn joined<T>(done: Result<Result<T, KeepError>, tokio::task::JoinError>) -> Result<T, KeepError> {
    done.unwrap_or_else(|lost| Err(KeepError::Disk(io::Error::other(lost))))
}
