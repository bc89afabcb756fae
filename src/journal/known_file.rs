//! Files that a kept document names. No other file is ever fetched (docs/wire.md section 7).

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{DocumentKey, Journal, JournalError};
use crate::model::{Digest, FilePath, ProjectName, Sha256};

/// What a row weighs besides its texts, roughly: two keys, a digest, record headers.
const ROW_BYTES: usize = 100;

/// A package file, or its `.metadata` sibling, as upstream's index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// Its path below `/packages/`.
    pub path: FilePath,
    /// Its absolute address upstream.
    pub url: Arc<str>,
    /// The digest that decides whether its bytes are right: the strongest that is stated.
    pub digest: Option<Digest>,
    /// Its SHA-256, which it is kept under: stated, or known since it was fetched.
    pub sha256: Option<Sha256>,
    /// Its length in bytes, if stated.
    pub size: Option<u64>,
    /// The project whose document names it.
    pub project: ProjectName,
}

impl KnownFile {
    /// What keeping it takes on disk, about.
    pub(super) fn weight(&self) -> usize {
        ROW_BYTES + 2 * self.path.filename().len() + self.path.as_str().len() + self.url.len()
    }
}

impl Journal {
    /// The file at a path, if a kept document names it.
    pub async fn file(&self, path: &FilePath) -> Result<Option<KnownFile>, JournalError> {
        let path = path.clone();
        self.read(move |connection| {
            let sql = "SELECT path, files.url, sha256, size, project, digest FROM files \
                       JOIN documents ON documents.id = files.document WHERE path = ?1";
            let found = connection.prepare_cached(sql)?.query_row([path.as_str()], known).optional()?;
            Ok(found.flatten())
        })
        .await
    }

    /// A file with this digest, if a kept document names one. Looks through all of them: for repairs.
    pub async fn file_with(&self, sha256: Sha256) -> Result<Option<KnownFile>, JournalError> {
        self.read(move |connection| {
            let sql = "SELECT path, files.url, sha256, size, project, digest FROM files \
                       JOIN documents ON documents.id = files.document WHERE sha256 = ?1 LIMIT 1";
            let found = connection.prepare_cached(sql)?.query_row([sha256.0], known).optional()?;
            Ok(found.flatten())
        })
        .await
    }
}

impl Journal {
    /// Whether a kept document's files have the paths that a version before gave them.
    pub async fn has_earlier_paths(&self, key: &DocumentKey) -> Result<bool, JournalError> {
        let (project, kind, version) = key.columns();
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM earlier_paths JOIN documents ON documents.id = document \
                       WHERE project = ?1 AND kind = ?2 AND version = ?3)";
            connection.prepare_cached(sql)?.query_row(params![project, kind, version], |row| row.get(0))
        })
        .await
    }

    /// Gives the files of such a document the paths of today. Nothing happens if it has them, or is not kept.
    pub async fn restate_paths(&self, key: &DocumentKey, files: Vec<KnownFile>) -> Result<(), JournalError> {
        let (project, kind, version) = key.columns();
        self.write(move |connection| {
            let sql = "DELETE FROM earlier_paths WHERE document = (SELECT id FROM documents WHERE project = ?1 \
                       AND kind = ?2 AND version = ?3) RETURNING document";
            let mut restated = connection.prepare_cached(sql)?;
            let document = restated.query_row(params![project, kind, version], |row| row.get(0)).optional()?;
            let Some(document) = document else { return Ok(()) };
            connection.prepare_cached("DELETE FROM files WHERE document = ?1")?.execute([document])?;
            insert(connection, document, &files)
        })
        .await
    }
}

/// Makes `files` the document's. A path that two documents name belongs to the project's page, which names it as
/// long as the file exists; between others to the newest.
pub(super) fn insert(connection: &Connection, document: i64, files: &[KnownFile]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO files (path, document, filename, url, sha256, size, digest) \
               VALUES (?1, ?2, ?3, ?4, coalesce(?5, (SELECT sha256 FROM contents WHERE digest = ?7)), ?6, ?7) \
               ON CONFLICT (path) DO UPDATE SET document = excluded.document, url = excluded.url, \
               sha256 = excluded.sha256, size = excluded.size, digest = excluded.digest \
               WHERE (SELECT kind FROM documents WHERE id = excluded.document) = 0 \
               OR (SELECT kind FROM documents WHERE id = files.document) <> 0";
    let mut statement = connection.prepare_cached(sql)?;
    // In the order of the table, so that neighbours are written together; of one path the last counts.
    let mut files: Vec<&KnownFile> = files.iter().collect();
    files.sort_by_key(|file| file.path.as_str());
    for file in files {
        let sha256 = file.sha256.map(|digest| digest.0);
        // No file has 2⁶³ bytes; a stated size that large is as good as none.
        let size = file.size.and_then(|size| i64::try_from(size).ok());
        let path = &file.path;
        let digest = file.digest.filter(|digest| digest.sha256().is_none()).map(|digest| digest.to_string());
        statement.execute(params![
            path.as_str(),
            document,
            path.filename(),
            file.url,
            sha256,
            size,
            digest
        ])?;
    }
    Ok(())
}

/// `None` for a row that is none of ours: damage, or a hand that edited the file.
pub(super) fn known(row: &Row<'_>) -> rusqlite::Result<Option<KnownFile>> {
    let path = FilePath::parse(row.get_ref(0)?.as_str()?);
    let project = ProjectName::parse(row.get_ref(4)?.as_str()?);
    let (Ok(path), Ok(project)) = (path, project) else { return Ok(None) };
    let size = row.get::<_, Option<i64>>(3)?.and_then(|size| u64::try_from(size).ok());
    let sha256 = row.get::<_, Option<[u8; 32]>>(2)?.map(Sha256);
    let digest = row.get_ref(5)?.as_str_or_null()?.and_then(|digest| digest.parse().ok());
    let digest = digest.or(sha256.map(Digest::from));
    Ok(Some(KnownFile { path, url: row.get(1)?, digest, sha256, size, project }))
}
