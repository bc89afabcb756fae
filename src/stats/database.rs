//! The database of statistics: one connection writes, some read. All of it runs on threads that may block.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::StatsError;
use super::schema::SCHEMA;
use crate::sqlite_file;

/// The database's name in the data folder.
pub(super) const DATABASE: &str = "statistics.sqlite3";
/// Questions that are answered at once; each has a connection with 4 MiB of cache.
const READERS: usize = 4;

/// The way to the database. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// `None`: it is only read.
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

impl Database {
    /// Opens the database in a folder for writing, and makes it if it is missing. Blocking.
    pub(super) fn open(folder: &Path) -> Result<Self, StatsError> {
        let path = Self::path_in(folder);
        // For its owner alone: it tells what somebody works with.
        sqlite_file::make(&path).map_err(|error| StatsError::file(&path, error))?;
        let writer = SCHEMA.open(&path).map_err(|defect| StatsError::sqlite(&path, defect))?;
        Ok(Self::of(path, Some(writer)))
    }

    /// Opens the database in a folder for reading only. Blocking.
    pub(super) fn open_read_only(folder: &Path) -> Result<Self, StatsError> {
        let path = Self::path_in(folder);
        if !path.exists() {
            return Err(StatsError::None { folder: folder.to_owned() });
        }
        let database = Self::of(path, None);
        let version = SCHEMA.check(&database.take_reader()?);
        let version = version.map_err(|defect| StatsError::sqlite(&database.0.path, defect))?;
        // Somebody has just begun to make it.
        if version == 0 {
            return Err(StatsError::None { folder: folder.to_owned() });
        }
        Ok(database)
    }

    pub(super) fn path_in(folder: &Path) -> PathBuf {
        folder.join(DATABASE)
    }

    fn of(path: PathBuf, writer: Option<Connection>) -> Self {
        let (writer, readers) = (writer.map(Mutex::new), Mutex::default());
        Self(Arc::new(Inner { path, writer, readers, turns: Semaphore::new(READERS) }))
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.0.path.parent().unwrap_or(Path::new("."))
    }

    /// Does `work` in one transaction, on this thread.
    pub(super) fn write_here<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StatsError> {
        let wrong = |error| StatsError::sqlite(&self.0.path, error);
        let Some(writer) = &self.0.writer else { return Err(StatsError::Lost) };
        // A panic rolls the transaction back.
        let mut connection = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        let done = work(&transaction).map_err(wrong)?;
        transaction.commit().map_err(wrong)?;
        Ok(done)
    }

    /// Reads on this thread. What `work` fails with besides SQLite's errors is its own affair.
    pub(super) fn read_here<T, E: From<StatsError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<Result<T, E>, rusqlite::Error>,
    ) -> Result<T, E> {
        let connection = self.take_reader()?;
        let read = work(&connection).map_err(|error| StatsError::sqlite(&self.0.path, error));
        let mut idle = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(connection);
        }
        drop(idle);
        read?
    }

    /// Reads on a thread that may block, when it is its turn.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StatsError> {
        // It is never closed.
        let _turn = self.0.turns.acquire().await.map_err(|_| StatsError::Lost)?;
        let database = self.clone();
        let read = move || database.read_here(|connection| work(connection).map(Ok::<T, StatsError>));
        spawn_blocking(read).await.map_err(|_| StatsError::Lost)?
    }

    fn take_reader(&self) -> Result<Connection, StatsError> {
        if let Some(idle) = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        let connection = SCHEMA.connect(&self.0.path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        connection.map_err(|error| StatsError::sqlite(&self.0.path, error))
    }
}
