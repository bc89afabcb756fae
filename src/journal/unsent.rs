//! What became of files that others were asked to bring (docs/push.md): deleted, or asked for in vain. Rows of the table of
//! tombstones, which an event that adds such a file takes away.

use std::time::Duration;

use rusqlite::params;

use super::{Journal, JournalError, tombstone};
use crate::model::{FilePath, ProjectName};

impl Journal {
    /// Remembers that a file was deleted, until one of its name is added again.
    pub async fn note_deleted(
        &self,
        path: &FilePath,
        project: &ProjectName,
        reason: String,
    ) -> Result<(), JournalError> {
        self.note(path, project, 2, reason, None).await
    }

    /// Remembers for so long that a file was asked for in vain, or until one of its name is added again. It is no tombstone:
    /// upstream may have it.
    pub async fn note_unsent(
        &self,
        path: &FilePath,
        project: &ProjectName,
        lifetime: Duration,
    ) -> Result<(), JournalError> {
        self.note(path, project, 3, "it was asked for, and nothing came".to_owned(), Some(lifetime)).await
    }

    /// Whether a file was asked for in vain, and is not to be asked for again.
    pub async fn is_unsent(&self, path: &FilePath) -> Result<bool, JournalError> {
        let (path, now) = (path.clone(), self.clock().unix());
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM tombstones WHERE path = ?1 AND kind = 3 AND noted <= ?2 AND until > ?2)";
            connection.prepare_cached(sql)?.query_row(params![path.as_str(), now], |row| row.get(0))
        })
        .await
    }

    async fn note(
        &self,
        path: &FilePath,
        project: &ProjectName,
        kind: i64,
        reason: String,
        lifetime: Option<Duration>,
    ) -> Result<(), JournalError> {
        let (path, project, now) = (path.clone(), project.clone(), self.clock().unix());
        let until = lifetime.map(|lifetime| now.saturating_add_unsigned(lifetime.as_secs()));
        let (most, changed) = (self.settings().tombstones, self.removals());
        self.write_then(
            move |connection| {
                // What was removed or is quarantined stays so, and what is deleted was not asked for in vain.
                let sql = "INSERT INTO tombstones (path, project, filename, kind, reason, noted, until) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, \
                           reason = excluded.reason, noted = excluded.noted, until = excluded.until \
                           WHERE kind IN (2, 3) AND until IS NOT NULL";
                let row = params![path.as_str(), project.as_str(), path.filename(), kind, reason, now, until];
                connection.prepare_cached(sql)?.execute(row)?;
                tombstone::bound(connection, most)
            },
            move |()| changed.send_modify(|version| *version += 1),
        )
        .await
    }
}
