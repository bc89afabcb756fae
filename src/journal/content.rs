//! Which SHA-256 a file has that the index states by another digest: known once it was fetched.

use rusqlite::{OptionalExtension as _, params};

use super::{Journal, JournalError};
use crate::model::{Digest, Sha256};

/// The most that are remembered, each with some 250 bytes on disk. A file whose row is gone is fetched again.
const MOST: i64 = 100_000;

impl Journal {
    /// The SHA-256 of the file with this digest, if it was fetched once.
    pub async fn content_of(&self, digest: &Digest) -> Result<Option<Sha256>, JournalError> {
        let digest = digest.to_string();
        self.read(move |connection| {
            let sql = "SELECT sha256 FROM contents WHERE digest = ?1";
            let found = connection.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()?;
            Ok(found.map(Sha256))
        })
        .await
    }

    /// Remembers it, also in the rows of the files that have that digest.
    pub async fn note_content(&self, digest: &Digest, sha256: Sha256) -> Result<(), JournalError> {
        let digest = digest.to_string();
        self.write(move |connection| {
            let sql = "INSERT INTO contents (digest, sha256) VALUES (?1, ?2) \
                       ON CONFLICT (digest) DO UPDATE SET sha256 = excluded.sha256";
            connection.prepare_cached(sql)?.execute(params![digest, sha256.0])?;
            let sql = "DELETE FROM contents WHERE id <= (SELECT max(id) FROM contents) - ?1";
            connection.prepare_cached(sql)?.execute([MOST])?;
            let sql = "UPDATE files SET sha256 = ?2 WHERE digest = ?1";
            connection.prepare_cached(sql)?.execute(params![digest, sha256.0]).map(|_| ())
        })
        .await
    }
}
