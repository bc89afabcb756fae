//! Positioned reads of one file by any number of readers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds the threads that read at once.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(super) fn new(readers: usize) -> Self {
        Self(Arc::new(Semaphore::new(readers)))
    }

    /// The right to one blocking read.
    pub(super) async fn enter(&self) -> io::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)
    }
}

/// An open file. Clones share the descriptor; each read has its own position.
#[derive(Debug, Clone)]
pub struct Reader {
    file: Arc<File>,
    gate: Gate,
}

impl Reader {
    pub(super) fn new(file: impl Into<Arc<File>>, gate: &Gate) -> Self {
        Self { file: file.into(), gate: gate.clone() }
    }

    /// Fills the buffer from `offset` on. An error if the file ends before it is full. The buffer is the caller's: memory that
    /// each of the reading threads allocates and others free stays with the threads, 7 GB of it with a thousand readers.
    pub async fn read_at(&self, offset: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        let permit = self.gate.enter().await?;
        let file = Arc::clone(&self.file);
        let read = move || file.read_exact_at(&mut buffer, offset).map(|()| buffer);
        let done = tokio::task::spawn_blocking(read).await;
        drop(permit);
        done?
    }
}
