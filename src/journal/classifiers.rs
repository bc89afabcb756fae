//! The classifiers of kept documents, for an index that has no list of them.

use std::collections::BTreeSet;
use std::io;

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
    let size = u64::try_from(row.get::<_, i64>(0)?).map_err(io::Error::other);
    let packed = row.get_ref(1)?.as_blob()?;
    let body = match size.and_then(|size| compress::unpack(packed, size)) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(document, %error, "a kept document is damaged; its classifiers are not told");
            return Ok(());
        }
    };
    let Ok(document) = serde_json::from_slice::<Document>(&body) else { return Ok(()) };
    let is_one = |text: &String| text.contains(" :: ") && !text.contains(char::is_control);
    found.extend(document.info.classifiers.unwrap_or_default().into_iter().filter(is_one));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::schema::SCHEMA;
    use crate::logged::Logged;

    #[test]
    fn a_damaged_document_is_logged_and_those_of_the_others_are_told() {
        let log = Logged::here();
        let folder = tempfile::tempdir().unwrap();
        let connection = SCHEMA.open(&folder.path().join("journal.sqlite3")).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let body = |line: &str| format!("{{\"info\": {{\"classifiers\": [\"{line}\", \"none\"]}}}}");
        let (one, two) = (body("A :: B"), body("C :: D"));
        let size = |text: &str| i64::try_from(text.len()).unwrap();
        let rows = [(1, -1, ""), (2, size(&one), &*one), (3, size(&two) + 1, &*two)];
        for (document, size, body) in rows {
            let packed = compress::pack(body.as_bytes()).unwrap();
            let sql = "INSERT INTO bodies (document, size, body) VALUES (?1, ?2, ?3)";
            connection.execute(sql, (document, size, packed)).unwrap();
        }
        let mut found = BTreeSet::new();
        for document in 1..=4 {
            add(&connection, document, &mut found).unwrap();
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["A :: B"]);
        let text = log.text();
        assert_eq!(text.matches("damaged").count(), 2, "{text}");
    }
}
