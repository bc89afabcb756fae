//! Digests whose kept bytes have to go: a queue on disk, so that a crash between an event and its consequence
//! loses nothing, and that another process may add to.

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::{Journal, JournalError};
use crate::model::Sha256;

/// Kept bytes that have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingDelete {
    /// Their digest, as they are kept.
    pub sha256: Sha256,
    /// They are not what they should be: they are to be fetched again.
    pub repair: bool,
}

impl Journal {
    /// At most `most` of the queue, in the order of digests, those after `after`.
    pub async fn pending_deletes(
        &self,
        after: Option<Sha256>,
        most: usize,
    ) -> Result<Vec<PendingDelete>, JournalError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let after = after.map_or_else(Vec::new, |sha256| sha256.0.to_vec());
            let sql = "SELECT sha256, repair FROM doomed WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(PendingDelete { sha256: Sha256(row.get(0)?), repair: row.get(1)? })
            };
            statement.query_map(params![after, most], row)?.collect()
        })
        .await
    }

    /// Adds to the queue.
    pub async fn queue_deletes(&self, list: Vec<PendingDelete>) -> Result<(), JournalError> {
        let removals = self.removals();
        self.write_then(
            move |connection| list.iter().try_for_each(|one| insert(connection, one.sha256.0, one.repair)),
            move |()| removals.send_modify(|version| *version += 1),
        )
        .await
    }

    /// They are gone.
    pub async fn discarded(&self, gone: Vec<Sha256>) -> Result<(), JournalError> {
        self.write(move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM doomed WHERE sha256 = ?1")?;
            gone.iter().try_for_each(|sha256| delete.execute([sha256.0]).map(|_| ()))
        })
        .await
    }

    /// Changes whenever tombstones do: whoever has looked for one has to look again, and there may be bytes that
    /// have to go.
    pub fn watch_removals(&self) -> watch::Receiver<u64> {
        self.removals().subscribe()
    }
}

pub(super) fn insert(connection: &Connection, sha256: [u8; 32], repair: bool) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO doomed VALUES (?1, ?2) ON CONFLICT DO UPDATE SET repair = max(repair, excluded.repair)";
    connection.prepare_cached(sql)?.execute(params![sha256, repair]).map(|_| ())
}
