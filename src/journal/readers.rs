//! A few connections that only read. In WAL mode they never wait for the writer, nor it for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{JournalError, schema};

/// The read connections: opened when first needed, as many as there are slots.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    slots: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, connections: usize) -> Self {
        let slots = Arc::new(Semaphore::new(connections.max(1)));
        Self { path, idle: Mutex::new(Vec::new()), slots }
    }

    /// Runs `work` on a thread that may block. It should be short: a long read keeps the write-ahead log from
    /// being reset, so answers of many rows are read in pieces.
    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let readers = Arc::clone(self);
        let read = move || {
            let _slot = slot;
            let wrong = |error| JournalError::sqlite(&readers.path, error);
            let connection = readers.take().map_err(wrong)?;
            let answer = work(&connection).map_err(wrong);
            readers.lock().push(connection);
            answer
        };
        // A join error is a panic in `work`, or a runtime that shuts down.
        spawn_blocking(read).await.map_err(|_| JournalError::Closed)?
    }

    /// Lets no new reader in and closes the idle connections.
    pub(super) fn close(&self) {
        self.slots.close();
        self.lock().clear();
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.lock().pop();
        idle.map_or_else(|| open(&self.path), Ok)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A panic between push and pop cannot leave a half-pushed connection behind.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    schema::tune(&connection)?;
    Ok(connection)
}
