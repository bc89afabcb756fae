//! A hand on a journal that a relay may have open: it reads, and adds to the queue of what has to go. The relay
//! does the rest; nothing that it holds in memory becomes wrong by that.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::pace::{LastNamed, Pace};
use super::schema::SCHEMA;
use super::{
    Journal, JournalError, JournalSettings, KnownFile, PendingDelete, known_file, pending_delete, upstream,
};
use crate::model::{Sha256, UpstreamIdentity};

/// A journal, without its lock. Every call blocks.
pub struct UnlockedJournal {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl UnlockedJournal {
    /// Opens the journal in `folder` if there is one. Fails if it belongs to another upstream than `identity`, if that is given.
    pub fn open(folder: &Path, identity: Option<&UpstreamIdentity>) -> Result<Option<Self>, JournalError> {
        let path = Journal::database(folder);
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |error| JournalError::sqlite(&path, error);
        let connection = SCHEMA.connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(wrong)?;
        let version = SCHEMA.check(&connection).map_err(|defect| JournalError::sqlite(&path, defect))?;
        if let Some(identity) = identity {
            upstream::check(&connection, version, folder, identity)?;
        }
        Ok(Some(Self { connection, path }))
    }

    /// Gives every file that kept documents name and that has a digest to `each`.
    pub fn files(&self, mut each: impl FnMut(KnownFile)) -> Result<(), JournalError> {
        self.told(|connection| known_file::each_with_sha256(connection, None, &mut each))
    }

    /// The last serial that upstream named; `None` if it was never heard. A running relay writes it down once a minute.
    pub fn last_named(&self, settings: &JournalSettings) -> Result<Option<LastNamed>, JournalError> {
        Ok(self.told(Pace::get)?.map(|pace| pace.named(settings)))
    }

    /// Adds to what has to go. Fails if a relay of an older make has never been followed by one of this.
    pub fn queue_deletes(&mut self, list: &[PendingDelete]) -> Result<(), JournalError> {
        let wrong = |error| JournalError::sqlite(&self.path, error);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(wrong)?;
        for one in list {
            pending_delete::insert(&transaction, one.sha256.0, one.repair).map_err(wrong)?;
        }
        transaction.commit().map_err(wrong)
    }

    /// How many of these still have to go.
    pub fn left(&self, list: &[Sha256]) -> Result<usize, JournalError> {
        self.told(|connection| {
            let mut there = connection.prepare_cached("SELECT 1 FROM doomed WHERE sha256 = ?1")?;
            let mut left = 0;
            for sha256 in list {
                left += usize::from(there.exists([sha256.0])?);
            }
            Ok(left)
        })
    }

    pub(super) fn wrong(&self, defect: impl Into<crate::sqlite_file::Defect>) -> JournalError {
        JournalError::sqlite(&self.path, defect)
    }

    fn told<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        work(&self.connection).map_err(|error| JournalError::sqlite(&self.path, error))
    }
}
