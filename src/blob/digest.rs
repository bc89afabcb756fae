//! Another digest of a kept file than the one that it is kept under.

use std::io;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{Blob, Key, Store};
use crate::model::{Algorithm, Digest, FileHasher, Sha256};

/// Bytes that are read and hashed at a time.
const PIECE: usize = 1 << 20;

impl Store {
    /// The digest of a kept file by another algorithm; `None` if it is not here, cannot be read, or is not what it is kept
    /// under. It counts as no use of the file.
    pub async fn digest(&self, sha256: Sha256, algorithm: Algorithm) -> Option<Digest> {
        let blob = self.get(&Key { sha256, size: None }).await?;
        match hashed(&blob, FileHasher::new(algorithm)).await {
            Ok(hasher) if hasher.sha256() == sha256 => Some(hasher.digest()),
            Ok(_) => {
                tracing::warn!(%sha256, "a kept file is not what it is kept under; `cheesewire cache verify` repairs");
                None
            }
            Err(error) => {
                tracing::warn!(%sha256, %error, "a kept file cannot be read");
                None
            }
        }
    }
}

async fn hashed(blob: &Blob, mut hasher: FileHasher) -> io::Result<FileHasher> {
    let mut at = 0;
    while at < blob.size() {
        let end = blob.size().min(at + PIECE as u64);
        let piece = match blob {
            Blob::Hot(hot) => {
                let whole = hot.bytes();
                // A hot file fits into memory.
                let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
                whole.slice(index(at)..index(end))
            }
            Blob::Mapped(map) => map.load(at..end).await?,
            Blob::File(reader, _) => {
                let room = vec![0; usize::try_from(end - at).map_err(io::Error::other)?];
                Bytes::from(reader.read_at(at, room).await?)
            }
        };
        let update = move || {
            hasher.update(&piece);
            hasher
        };
        hasher = spawn_blocking(update).await?;
        at = end;
    }
    Ok(hasher)
}
