//! Which SHA-256 a file has that the index states by another digest: known once it was fetched.

use std::collections::HashMap;

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

    /// The MD5s that are remembered, by the files' SHA-256: at most 100,000, some 30 ms.
    pub async fn known_md5s(&self) -> Result<HashMap<Sha256, Digest>, JournalError> {
        self.read(|connection| {
            let sql = "SELECT digest, sha256 FROM contents WHERE digest >= 'md5:' AND digest < 'md5;'";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            let mut found = HashMap::new();
            while let Some(row) = rows.next()? {
                // Each was written as one.
                let md5 = row
                    .get_ref(0)?
                    .as_str()?
                    .split_once(':')
                    .and_then(|(name, digits)| Digest::parse(name, digits));
                found
                    .extend(md5.map(|md5| Ok::<_, rusqlite::Error>((Sha256(row.get(1)?), md5))).transpose()?);
            }
            Ok(found)
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
