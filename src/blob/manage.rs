//! What is done to entries from outside their use.

use std::io;
use std::sync::Arc;

use super::{Fullness, Key, Store};
use crate::model::Sha256;

impl Store {
    /// Whether an entry is kept, by its name and length alone.
    pub async fn has(&self, key: &Key) -> bool {
        let (disk, wanted) = (Arc::clone(&self.disk), *key);
        let found = tokio::task::spawn_blocking(move || disk.has(&wanted)).await;
        found.unwrap_or(false)
    }

    /// The same of several: which of them are kept.
    pub async fn which_are_kept(&self, keys: Vec<Key>) -> Vec<bool> {
        let (disk, wanted) = (Arc::clone(&self.disk), keys.len());
        let found = tokio::task::spawn_blocking(move || keys.iter().map(|key| disk.has(key)).collect()).await;
        found.unwrap_or_else(|_| vec![false; wanted])
    }

    /// How much is kept, and how much may be.
    pub fn fullness(&self) -> Fullness {
        self.disk.fullness()
    }

    /// Takes an entry out of memory and off the disk; tells whether it was on the disk. Readers that have it
    /// open go on to its end.
    pub async fn discard(&self, sha256: Sha256) -> io::Result<bool> {
        if self.disk.read_only() {
            self.cool(sha256);
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let disk = Arc::clone(&self.disk);
        let discarded = tokio::task::spawn_blocking(move || disk.discard(sha256)).await;
        // After the file: who reads it into memory meanwhile is undone too.
        self.cool(sha256);
        discarded.map_err(io::Error::other)?
    }
}
