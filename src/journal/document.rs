//! Upstream's documents as they came: project pages and JSON, with what revalidating them needs.

use std::collections::HashSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::task::spawn_blocking;

use super::file_list::{self, FileList};
use super::key::{DocumentKey, PAGE};
use super::known_file;
use super::named_file::NamedFiles;
use super::{Journal, JournalError, compress, evict, pending_delete, tombstone};
use crate::metric;
use crate::model::{ProjectName, Serial, Sha256};

/// A document and upstream's last word on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// The bytes that upstream sent, without content coding.
    pub body: Bytes,
    /// Upstream's `Content-Type`.
    pub content_type: String,
    /// The validator to ask with.
    pub etag: Option<String>,
    /// `X-PyPI-Last-Serial`, or what the document itself says.
    pub last_serial: Option<Serial>,
    /// Where it came from after redirects: relative links are relative to this.
    pub url: String,
    /// Unix seconds of upstream's last answer about it, also of a 304.
    pub checked: i64,
}

impl Journal {
    /// The kept document, if there is one. One that is damaged is as good as none: it will be fetched anew.
    pub async fn document(&self, key: &DocumentKey) -> Result<Option<KeptDocument>, JournalError> {
        let key = key.columns();
        self.read(move |connection| load(connection, &key)).await
    }

    /// Keeps a document with the files that it names, in place of the one before and of its files. A path that
    /// several documents name belongs to the page, else to the last one kept. Past the bound on documents the least recently
    /// checked ones go, and with them their files; never the one that came.
    pub async fn keep_document(
        &self,
        key: &DocumentKey,
        document: &KeptDocument,
        files: impl NamedFiles,
    ) -> Result<(), JournalError> {
        let (key, document) = (key.columns(), document.clone());
        let limit = i64::try_from(self.settings().documents_bytes).unwrap_or(i64::MAX);
        let (body, now) = (document.body.clone(), self.clock().unix());
        // Packing a page of megabytes takes tens of milliseconds: neither the reactor nor the writer waits for it.
        let pack = move || Ok((compress::pack(&body)?, FileList::of(&files)));
        let packed = spawn_blocking(pack).await.map_err(|_| JournalError::Closed)?;
        let (packed, files) = packed.map_err(JournalError::system)?;
        let (evicted, kept) = self
            .write(move |connection| {
                let id = store(connection, &key, &document, &packed, &files)?;
                evict::oldest(connection, &evict::DOCUMENTS, id, limit, now)
            })
            .await?;
        metrics::counter!(metric::JOURNAL_EVICTED_DOCUMENTS_TOTAL).increment(evicted);
        // Bytes stay below 2⁵³, where a double still counts by one.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(metric::JOURNAL_DOCUMENTS_BYTES).set(kept as f64);
        Ok(())
    }

    /// Notes that upstream has confirmed the document (a 304). Nothing happens if it is not kept.
    pub async fn touch_document(&self, key: &DocumentKey, checked: i64) -> Result<(), JournalError> {
        let (project, kind, version) = key.columns();
        self.write(move |connection| {
            let sql = "UPDATE documents SET checked = ?4 WHERE project = ?1 AND kind = ?2 AND version = ?3";
            connection.prepare_cached(sql)?.execute(params![project, kind, version, checked]).map(|_| ())
        })
        .await
    }

    /// Forgets one document and the files that it named: upstream says 404 or 410.
    pub async fn forget_document(&self, key: &DocumentKey) -> Result<(), JournalError> {
        let key = key.columns();
        self.write(move |connection| delete(connection, &key)).await
    }

    /// Forgets all documents of a project and the files that they named. The project's row in the list of
    /// projects follows the changelog alone: a page can be missing for a moment.
    pub async fn drop_project(&self, project: &ProjectName) -> Result<(), JournalError> {
        let project = project.clone();
        self.write(move |connection| {
            let sql = "DELETE FROM documents WHERE project = ?1";
            connection.prepare_cached(sql)?.execute([project.as_str()]).map(|_| ())
        })
        .await
    }
}

type Columns = (String, i64, String);

fn load(connection: &Connection, key: &Columns) -> rusqlite::Result<Option<KeptDocument>> {
    let sql = "SELECT content_type, etag, last_serial, url, checked, size, body FROM documents \
               JOIN bodies ON bodies.document = documents.id \
               WHERE project = ?1 AND kind = ?2 AND version = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![key.0, key.1, key.2], |row| {
        let size = row.get::<_, i64>(5)?;
        let body = u64::try_from(size).map_err(std::io::Error::other);
        let packed = row.get_ref(6)?.as_blob()?;
        let body = match body.and_then(|size| compress::unpack(packed, size)) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::error!(project = key.0, %error, "a kept document is damaged and not used");
                return Ok(None);
            }
        };
        Ok(Some(KeptDocument {
            body,
            content_type: row.get(0)?,
            etag: row.get(1)?,
            last_serial: row.get::<_, Option<i64>>(2)?.map(Serial),
            url: row.get(3)?,
            checked: row.get(4)?,
        }))
    });
    Ok(found.optional()?.flatten())
}

/// The document's id. What has not changed since it was kept last is not written again.
fn store(
    connection: &Connection,
    key: &Columns,
    document: &KeptDocument,
    packed: &[u8],
    files: &FileList,
) -> rusqlite::Result<i64> {
    let weight = packed.len() + files.weight();
    let serial = document.last_serial.map(|serial| serial.0);
    let sql = "INSERT INTO documents (project, kind, version, content_type, etag, last_serial, url, checked, bytes) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (project, kind, version) DO UPDATE SET \
               content_type = excluded.content_type, etag = excluded.etag, last_serial = excluded.last_serial, \
               url = excluded.url, checked = excluded.checked, bytes = excluded.bytes RETURNING id";
    let columns = params![
        key.0,
        key.1,
        key.2,
        document.content_type,
        document.etag,
        serial,
        document.url,
        document.checked,
        bound(weight)
    ];
    let id = connection.prepare_cached(sql)?.query_row(columns, |row| row.get(0))?;
    let sql = "INSERT INTO bodies (document, size, body) VALUES (?1, ?2, ?3) ON CONFLICT (document) DO UPDATE SET \
               size = excluded.size, body = excluded.body WHERE body <> excluded.body OR size <> excluded.size";
    connection.prepare_cached(sql)?.execute(params![id, bound(document.body.len()), packed])?;
    let before = match key.1 {
        PAGE if !known_file::is_kept(connection, id, files)? => digests(connection, id)?,
        _ => Vec::new(),
    };
    known_file::replace(connection, id, files)?;
    doom_unnamed(connection, id, before)?;
    tombstone::clear_named(connection, id, &key.0, serial)?;
    Ok(id)
}

/// What the page has for a path no more, or with another digest: its kept bytes go. Unless the path is another document's by
/// now. `before`: what its [`digests`] were.
fn doom_unnamed(connection: &Connection, document: i64, before: Vec<(i64, Sha256)>) -> rusqlite::Result<()> {
    if before.is_empty() {
        return Ok(());
    }
    let named: HashSet<Sha256> =
        digests(connection, document)?.into_iter().map(|(_, sha256)| sha256).collect();
    let mut others = connection.prepare_cached("SELECT 1 FROM paths WHERE key = ?1 AND document <> ?2")?;
    for (key, sha256) in before.into_iter().filter(|(_, sha256)| !named.contains(sha256)) {
        if !others.exists([key, document])? {
            pending_delete::insert(connection, sha256.0, false)?;
        }
    }
    Ok(())
}

fn delete(connection: &Connection, key: &Columns) -> rusqlite::Result<()> {
    let sql = "DELETE FROM documents WHERE project = ?1 AND kind = ?2 AND version = ?3";
    connection.prepare_cached(sql)?.execute(params![key.0, key.1, key.2]).map(|_| ())
}

/// The digests of the files that a document names, each with the key of its path.
fn digests(connection: &Connection, document: i64) -> rusqlite::Result<Vec<(i64, Sha256)>> {
    let mut digests = Vec::new();
    known_file::each(connection, document, |file| {
        digests.extend(file.sha256.map(|sha256| (file_list::key(file.path), sha256)));
    })?;
    Ok(digests)
}

/// Lengths in memory fit SQLite's integers.
fn bound(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
