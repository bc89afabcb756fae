//! The classifiers of kept documents, for an index that has no list of them.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde::Deserialize;

use super::key::JSON;
use super::{Journal, JournalError, compress};

/// The documents that are looked through, those that upstream was asked about last: some seconds.
const MOST: usize = 10_000;
/// Of these so many at once: some 50 ms.
const STEP: usize = 100;
/// The most that are told. PyPI has some 900.
const CLASSIFIERS: usize = 10_000;

#[derive(Deserialize)]
struct Document {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    classifiers: Option<Vec<String>>,
}

impl Journal {
    /// What the last 10,000 documents of the JSON API state, sorted.
    pub async fn classifiers(&self) -> Result<BTreeSet<String>, JournalError> {
        let documents = self.read(newest).await?;
        let mut found = BTreeSet::new();
        for step in documents.chunks(STEP) {
            let step = step.to_vec();
            found = self
                .read(move |connection| {
                    for document in step {
                        add(connection, document, &mut found)?;
                    }
                    Ok(found)
                })
                .await?;
            if found.len() >= CLASSIFIERS {
                break;
            }
        }
        Ok(found)
    }
}

fn newest(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT id FROM documents WHERE kind = ?1 ORDER BY checked DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    statement.query_map([JSON, most], |row| row.get(0))?.collect()
}

fn add(connection: &Connection, document: i64, found: &mut BTreeSet<String>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT size, body FROM bodies WHERE document = ?1")?;
    let mut rows = statement.query([document])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let size = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
    // A damaged one is told of where it is used.
    let Ok(body) = compress::unpack(row.get_ref(1)?.as_blob()?, size) else { return Ok(()) };
    let Ok(document) = serde_json::from_slice::<Document>(&body) else { return Ok(()) };
    let is_one = |text: &String| text.contains(" :: ") && !text.contains(char::is_control);
    found.extend(document.info.classifiers.unwrap_or_default().into_iter().filter(is_one));
    Ok(())
}
