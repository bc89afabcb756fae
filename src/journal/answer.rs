//! Upstream's answers to calls that only upstream can answer: kept, so that a restart or an outage loses none.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Journal, JournalError, Packed, evict};
use crate::metric;

/// What a row weighs besides its texts and its body, roughly: two keys and a record header. It bounds their number.
const ROW_BYTES: usize = 200;

/// Which question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The method.
    pub method: &'static str,
    /// Its arguments, in a spelling that is the same for the same question.
    pub argument: String,
}

/// Upstream's last answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The answer in the spelling of who keeps it.
    pub body: Packed,
    /// Unix seconds of when upstream gave it.
    pub checked: i64,
}

impl Journal {
    /// The kept answer, if there is one. One that is damaged is as good as none: upstream is asked anew.
    pub async fn answer(&self, key: &AnswerKey) -> Result<Option<KeptAnswer>, JournalError> {
        let key = key.clone();
        self.read(move |connection| load(connection, &key)).await
    }

    /// Keeps an answer in place of the one before. Past the bound on answers the least recently checked go; never the
    /// one that came.
    pub async fn keep_answer(&self, key: &AnswerKey, answer: &KeptAnswer) -> Result<(), JournalError> {
        let (key, answer) = (key.clone(), answer.clone());
        let limit = i64::try_from(self.settings().answers_bytes).unwrap_or(i64::MAX);
        let now = self.clock().unix();
        let store = move |connection: &Connection| {
            let id = store(connection, &key, &answer)?;
            evict::oldest(connection, &evict::ANSWERS, id, limit, now)
        };
        let (evicted, _) = self.write(store).await?;
        metrics::counter!(metric::JOURNAL_EVICTED_ANSWERS_TOTAL).increment(evicted);
        Ok(())
    }
}

fn load(connection: &Connection, key: &AnswerKey) -> rusqlite::Result<Option<KeptAnswer>> {
    let sql = "SELECT checked, size, body FROM answers WHERE method = ?1 AND argument = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![key.method, key.argument], |row| {
        let body = Packed::read(row.get_ref(2)?.as_blob()?, row.get(1)?);
        let body = body.inspect_err(|error| {
            tracing::error!(method = key.method, %error, "a kept answer is damaged and not used");
        });
        Ok((row.get(0)?, body.ok()))
    });
    Ok(found.optional()?.and_then(|(checked, body)| Some(KeptAnswer { body: body?, checked })))
}

/// The new row's id.
fn store(connection: &Connection, key: &AnswerKey, answer: &KeptAnswer) -> rusqlite::Result<i64> {
    let sql = "DELETE FROM answers WHERE method = ?1 AND argument = ?2";
    connection.prepare_cached(sql)?.execute(params![key.method, key.argument])?;
    let packed = answer.body.packed();
    let weight = i64::try_from(ROW_BYTES + 2 * key.argument.len() + packed.len()).unwrap_or(i64::MAX);
    let sql =
        "INSERT INTO answers (method, argument, checked, size, bytes, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![key.method, key.argument, answer.checked, answer.body.size(), weight, packed];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(connection.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use super::super::JournalSettings;
    use super::*;

    fn key(n: i64) -> AnswerKey {
        AnswerKey { method: "browse", argument: n.to_string() }
    }

    fn answer(checked: i64, text: &str) -> KeptAnswer {
        KeptAnswer { body: Packed::pack(text.as_bytes()).unwrap(), checked }
    }

    #[tokio::test]
    async fn the_last_answer_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        for (checked, text) in [(1, "old"), (2, "new")] {
            journal.keep_answer(&key(1), &answer(checked, text)).await.unwrap();
        }
        journal.close().await;
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        assert_eq!(journal.answer(&key(1)).await.unwrap(), Some(answer(2, "new")));
        assert_eq!(journal.answer(&key(2)).await.unwrap(), None);
        let other = AnswerKey { method: "user_packages", ..key(1) };
        assert_eq!(journal.answer(&other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn past_the_bound_the_least_recently_checked_go() {
        let folder = tempfile::tempdir().unwrap();
        let settings = JournalSettings { answers_bytes: 1000, ..JournalSettings::default() };
        let journal = Journal::open(folder.path(), settings).await.unwrap();
        for n in 0..20 {
            journal.keep_answer(&key(n), &answer(100 - n, "x")).await.unwrap();
        }
        let mut kept = Vec::new();
        for n in 0..20 {
            if journal.answer(&key(n)).await.unwrap().is_some() {
                kept.push(n);
            }
        }
        // Later ones were checked earlier here: each but the newest goes when the next comes.
        assert_eq!(kept, [0, 1, 2, 19]);
    }
}
