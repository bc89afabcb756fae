//! Files that a kept document names. No other file is ever fetched (docs/wire.md section 7).

use memchr::memmem;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::task::spawn_blocking;

use super::file_list::{self, Entry, FileList};
use super::key::DocumentKey;
use super::named_file::{KnownFile, NamedFiles};
use super::{Journal, JournalError};
use crate::model::{FilePath, ProjectName, Sha256};

impl Journal {
    /// The project of the file at a path, if a kept document names it; of its metadata, that of the file.
    pub async fn project_at(&self, path: &FilePath) -> Result<Option<ProjectName>, JournalError> {
        let path = path.clone();
        let found = self.read(move |connection| owner(connection, path.as_str())).await?;
        Ok(found.and_then(|project| ProjectName::parse(&project).ok()))
    }

    /// A file with this digest, if a kept document names one. Looks through all of them: for repairs.
    pub async fn file_with(&self, sha256: Sha256) -> Result<Option<KnownFile>, JournalError> {
        self.read(move |connection| {
            let mut found = None;
            each_with_sha256(connection, Some(sha256), |file| {
                found.get_or_insert(file);
            })?;
            Ok(found)
        })
        .await
    }

    /// Whether a kept document's files are kept as a version before did, or have the paths that it gave them.
    pub async fn has_earlier_paths(&self, key: &DocumentKey) -> Result<bool, JournalError> {
        let (project, kind, version) = key.columns();
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM earlier_paths JOIN documents ON documents.id = document \
                       WHERE project = ?1 AND kind = ?2 AND version = ?3)";
            connection.prepare_cached(sql)?.query_row(params![project, kind, version], |row| row.get(0))
        })
        .await
    }

    /// Keeps the files of such a document as today, with the paths of today. Nothing happens if that is so already, or if it
    /// is not kept.
    pub async fn restate_paths(&self, key: &DocumentKey, files: impl NamedFiles) -> Result<(), JournalError> {
        let (project, kind, version) = key.columns();
        let list = spawn_blocking(move || FileList::of(&files)).await.map_err(|_| JournalError::Closed)?;
        self.write(move |connection| {
            let sql = "SELECT document FROM earlier_paths JOIN documents ON documents.id = document \
                       WHERE project = ?1 AND kind = ?2 AND version = ?3";
            let mut earlier = connection.prepare_cached(sql)?;
            let document = earlier.query_row(params![project, kind, version], |row| row.get(0)).optional()?;
            document.map_or(Ok(()), |document| replace(connection, document, &list))
        })
        .await
    }
}

/// The project whose document names the file at a path; of its metadata, that of the file. A path that two documents name belongs to the project's page, which
/// names it as long as the file exists; between others to the one that was kept last.
pub(super) fn owner(connection: &Connection, path: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT project FROM (SELECT document, 0 AS earlier FROM paths WHERE key = ?1 \
               UNION ALL SELECT document, 1 FROM files WHERE path = ?2) JOIN documents ON id = document \
               ORDER BY kind <> 0, earlier LIMIT 1";
    let path = params![file_list::key(path), path];
    connection.prepare_cached(sql)?.query_row(path, |row| row.get(0)).optional()
}

/// Gives every file that a document names to `each`; of a damaged list those before the damage.
pub(super) fn each(
    connection: &Connection,
    document: i64,
    mut each: impl FnMut(&Entry<'_>),
) -> rusqlite::Result<()> {
    let mut list = connection.prepare_cached("SELECT list FROM file_lists WHERE document = ?1")?;
    let mut rows = list.query([document])?;
    if let Some(row) = rows.next()?
        && !read(connection, row.get_ref(0)?.as_blob()?, &mut each)?
    {
        tracing::error!(document, "a kept list of files is damaged, and its rest not used");
    }
    let sql = "SELECT path, url, sha256, size, digest FROM files WHERE document = ?1";
    let mut earlier = connection.prepare_cached(sql)?;
    let mut rows = earlier.query([document])?;
    while let Some(row) = rows.next()? {
        each(&entry(row)?);
    }
    Ok(())
}

/// Gives every file that kept documents name and whose SHA-256 is known to `each`, or those with one of them. Fails on a damaged
/// list.
pub(super) fn each_with_sha256(
    connection: &Connection,
    sha256: Option<Sha256>,
    mut each: impl FnMut(KnownFile),
) -> rusqlite::Result<()> {
    let bytes = sha256.map(|sha256| sha256.0);
    let mut others = connection.prepare("SELECT digest FROM contents WHERE sha256 = ?1")?;
    let others: Vec<String> = others.query_map([bytes], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // Most lists do not have it: to read them takes longer than to look for it.
    let may_have = |list: &[u8], bytes: &[u8; 32]| {
        let mut digests = others.iter().map(String::as_bytes).chain([&bytes[..]]);
        digests.any(|digest| memmem::find(list, digest).is_some())
    };
    let mut give = |entry: &Entry<'_>, project: &str| {
        if entry.sha256.is_some() && (sha256.is_none() || entry.sha256 == sha256) {
            entry.file(project).map(&mut each);
        }
    };
    let sql = "SELECT list, project FROM file_lists JOIN documents ON documents.id = document";
    // A journal that no relay of this make has opened yet has none of them.
    let mut lists =
        connection.table_exists(None, "file_lists")?.then(|| connection.prepare(sql)).transpose()?;
    let mut rows = lists.as_mut().map(|lists| lists.query([])).transpose()?;
    while let Some(row) = rows.as_mut().map_or(Ok(None), rusqlite::Rows::next)? {
        let (list, project) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_str()?);
        let whole = bytes.is_some_and(|bytes| !may_have(list, &bytes))
            || read(connection, list, |entry| give(entry, project))?;
        if !whole {
            let error =
                std::io::Error::new(std::io::ErrorKind::InvalidData, "a kept list of files is damaged");
            return Err(rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, error.into()));
        }
    }
    let sql = "SELECT path, files.url, sha256, size, digest, project FROM documents \
               JOIN files ON files.document = documents.id WHERE sha256 IS NOT NULL AND (?1 IS NULL OR sha256 = ?1)";
    let mut earlier = connection.prepare(sql)?;
    let mut rows = earlier.query([bytes])?;
    while let Some(row) = rows.next()? {
        give(&entry(row)?, row.get_ref(5)?.as_str()?);
    }
    Ok(())
}

/// A row of the table that versions before had.
fn entry<'a>(row: &'a Row<'_>) -> rusqlite::Result<Entry<'a>> {
    let size = row.get::<_, Option<i64>>(3)?;
    Ok(Entry {
        path: row.get_ref(0)?.as_str()?,
        url: row.get_ref(1)?.as_str()?,
        sha256: row.get::<_, Option<[u8; 32]>>(2)?.map(Sha256),
        size: size.and_then(|size| u64::try_from(size).ok()),
        digest: row.get_ref(4)?.as_str_or_null()?,
    })
}

/// Reads a list, with what is known by now of files that the index states no SHA-256 of; false if it is damaged.
fn read(connection: &Connection, list: &[u8], mut each: impl FnMut(&Entry<'_>)) -> rusqlite::Result<bool> {
    let mut content = connection.prepare_cached("SELECT sha256 FROM contents WHERE digest = ?1")?;
    let mut failed = Ok(());
    let whole = file_list::read(list, |mut entry| {
        if let (None, Some(digest)) = (entry.sha256, entry.digest) {
            match content.query_row([digest], |row| row.get(0)).optional() {
                Ok(found) => entry.sha256 = found.map(Sha256),
                Err(error) => failed = Err(error),
            }
        }
        each(&entry);
    });
    failed.map(|()| whole.is_some())
}

/// Whether just these are the document's files.
pub(super) fn is_kept(connection: &Connection, document: i64, list: &FileList) -> rusqlite::Result<bool> {
    let mut kept = connection.prepare_cached("SELECT list FROM file_lists WHERE document = ?1")?;
    let same = kept.query_row([document], |row| Ok(row.get_ref(0)?.as_blob()? == list.bytes));
    Ok(same.optional()?.unwrap_or(false))
}

/// Makes these the document's files. What is so already is not written again.
pub(super) fn replace(connection: &Connection, document: i64, list: &FileList) -> rusqlite::Result<()> {
    for sql in ["DELETE FROM earlier_paths WHERE document = ?1", "DELETE FROM files WHERE document = ?1"] {
        connection.prepare_cached(sql)?.execute([document])?;
    }
    if !is_kept(connection, document, list)? {
        let sql = "INSERT INTO file_lists VALUES (?1, ?2) ON CONFLICT DO UPDATE SET list = excluded.list";
        connection.prepare_cached(sql)?.execute(params![document, list.bytes])?;
    }
    own(connection, document, &list.keys)
}

/// Makes the document the owner of these keys, which ascend, as far as [`owner`] says, and of no others.
fn own(connection: &Connection, document: i64, keys: &[i64]) -> rusqlite::Result<()> {
    let mut owned = connection.prepare_cached("SELECT key FROM paths WHERE document = ?1 ORDER BY key")?;
    let owned: Vec<i64> = owned.query_map([document], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM paths WHERE key = ?1")?;
    for key in owned.iter().filter(|key| keys.binary_search(key).is_err()) {
        delete.execute([key])?;
    }
    let sql = "INSERT INTO paths VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET document = excluded.document \
               WHERE (SELECT kind FROM documents WHERE id = excluded.document) = 0 \
               OR (SELECT kind FROM documents WHERE id = paths.document) <> 0";
    let mut insert = connection.prepare_cached(sql)?;
    for key in keys.iter().filter(|key| owned.binary_search(key).is_err()) {
        insert.execute([*key, document])?;
    }
    Ok(())
}
