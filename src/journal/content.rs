//! Which SHA-256 a file has that the index states by another digest: known once it was fetched.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Journal, JournalError};
use crate::model::{Digest, Sha256};

/// The most that are remembered, each with some 250 bytes on disk. A file whose row is gone is fetched again.
const MOST: i64 = 100_000;
const MD5: &str =
    "SELECT digest FROM contents WHERE sha256 = ?1 AND digest >= 'md5:' AND digest < 'md5;' LIMIT 1";

/// What is known of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Their SHA-256.
    pub sha256: Sha256,
    /// Their MD5, if it was computed here or the file was fetched by it.
    pub md5: Option<Digest>,
}

impl Journal {
    /// The SHA-256 of the file with this digest, if it was fetched once.
    pub async fn content_of(&self, digest: &Digest) -> Result<Option<Sha256>, JournalError> {
        let digest = digest.to_string();
        self.read(move |connection| sha256_of(connection, &digest)).await
    }

    /// The contents of files by the digests that the index states, in their order, `None` where it states none: one question
    /// for a page's files, some microseconds each.
    pub async fn contents_of(
        &self,
        digests: Vec<Option<Digest>>,
    ) -> Result<Vec<Option<Content>>, JournalError> {
        self.read(move |connection| digests.into_iter().map(|digest| content(connection, digest)).collect())
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

fn sha256_of(connection: &Connection, digest: &str) -> rusqlite::Result<Option<Sha256>> {
    let sql = "SELECT sha256 FROM contents WHERE digest = ?1";
    let found = connection.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()?;
    Ok(found.map(Sha256))
}

fn content(connection: &Connection, digest: Option<Digest>) -> rusqlite::Result<Option<Content>> {
    let Some(digest) = digest else { return Ok(None) };
    let sha256 = match digest.sha256() {
        Some(sha256) => Some(sha256),
        None => sha256_of(connection, &digest.to_string())?,
    };
    let Some(sha256) = sha256 else { return Ok(None) };
    let mut md5s = connection.prepare_cached(MD5)?;
    let md5: Option<String> = md5s.query_row([sha256.0], |row| row.get(0)).optional()?;
    // Each was written as one.
    let md5 = md5.as_deref().and_then(|md5| md5.split_once(':'));
    Ok(Some(Content { sha256, md5: md5.and_then(|(name, digits)| Digest::parse(name, digits)) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::schema::SCHEMA;

    #[test]
    fn md5s_of_a_pages_files_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = SCHEMA.open(&folder.path().join("journal.sqlite3")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {MD5}")).unwrap();
        let plan: Vec<String> =
            plan.query_map([[0_u8; 32]], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(plan[0].contains("USING INDEX contents_sha256"), "{plan:?}");
    }

    #[tokio::test]
    async fn a_pages_files_are_found_by_any_digest_and_those_of_others_are_not_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), crate::journal::JournalSettings::default()).await.unwrap();
        let md5 = |c: &str| Digest::parse("md5", &c.repeat(32)).unwrap();
        let sha512 = |c: &str| Digest::parse("sha512", &c.repeat(128)).unwrap();
        let (one, two, three) = (Sha256([1; 32]), Sha256([2; 32]), Sha256([3; 32]));
        for (digest, sha256) in [(sha512("a"), one), (md5("a"), one), (sha512("b"), two), (md5("c"), three)] {
            journal.note_content(&digest, sha256).await.unwrap();
        }
        let asked = [Some(sha512("a")), None, Some(two.into()), Some(sha512("c")), Some(one.into())];
        let found = journal.contents_of(asked.to_vec()).await.unwrap();
        let known = |sha256, md5| Some(Content { sha256, md5 });
        let with = known(one, Some(md5("a")));
        assert_eq!(found, [with, None, known(two, None), None, with]);
    }
}
