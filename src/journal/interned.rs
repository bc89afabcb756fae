//! Interned texts in memory: of a page of the changelog each row would else cost a look into a table of 30 MB.
//!
//! Ids are given in order, and neither changed nor used again, so what was read stays true. Texts are read ahead in
//! the order of their ids, in proportion to the rows that were asked for, so that small questions pay little; and beside
//! all questions after a start. All 886 thousand names take some 18 MB.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rusqlite::Connection;

/// Texts that are read ahead for each row that was asked for. A text costs about 0.3 µs in its turn, and some 2 µs alone.
const AHEAD: usize = 8;

/// A table of texts.
pub(super) struct Interned {
    /// The text of one id.
    one: &'static str,
    /// The ids after one, with their texts, in order.
    following: &'static str,
    most: usize,
    held: RwLock<Texts>,
}

/// The texts of the ids from 1 on, as far as they were read.
#[derive(Default)]
pub(super) struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Interned {
    /// Names as events spell them. `most`: the bytes that they may take in memory.
    pub(super) fn names(most: usize) -> Self {
        let following = "SELECT id, spelling FROM names WHERE id > ?1 ORDER BY id LIMIT ?2";
        Self::new("SELECT spelling FROM names WHERE id = ?1", following, most)
    }

    /// What actions say besides their objects. `most`: as for names.
    pub(super) fn verbs(most: usize) -> Self {
        let following = "SELECT id, text FROM verbs WHERE id > ?1 ORDER BY id LIMIT ?2";
        Self::new("SELECT text FROM verbs WHERE id = ?1", following, most)
    }

    fn new(one: &'static str, following: &'static str, most: usize) -> Self {
        Self { one, following, most, held: RwLock::default() }
    }

    /// What is held. Nobody should hold it for longer than a reading of some rows.
    pub(super) fn texts(&self) -> RwLockReadGuard<'_, Texts> {
        // Half an addition is a text without its end: as if it were not there.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of an id, from what is held or else from the table.
    pub(super) fn text<'a>(
        &self,
        texts: &'a Texts,
        connection: &Connection,
        id: i64,
    ) -> rusqlite::Result<Cow<'a, str>> {
        match texts.get(id) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => connection.prepare_cached(self.one)?.query_row([id], |row| row.get(0)).map(Cow::Owned),
        }
    }

    /// Reads on where the last reading ended, after `rows` rows of texts were wanted. Whether it found any to hold.
    pub(super) fn read_ahead(&self, connection: &Connection, rows: usize) -> rusqlite::Result<bool> {
        let (last, bytes) = {
            let texts = self.texts();
            (texts.ends.len(), texts.bytes())
        };
        if bytes >= self.most {
            return Ok(false);
        }
        let mut statement = connection.prepare_cached(self.following)?;
        let limit = i64::try_from(rows.saturating_mul(AHEAD)).unwrap_or(i64::MAX);
        let mut found = statement.query((i64::try_from(last).unwrap_or(i64::MAX), limit))?;
        let mut read = Texts::default();
        while let Some(row) = found.next()? {
            let (id, text) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_str()?);
            let in_turn = usize::try_from(id).is_ok_and(|id| id == last + read.ends.len() + 1);
            // Past a gap, or past what may be held, the table answers.
            if !in_turn || bytes + read.bytes() + text.len() >= self.most || !read.push(text) {
                break;
            }
        }
        let mut texts = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Unless somebody else has read the same meanwhile.
        if texts.ends.len() == last {
            read.all().all(|text| texts.push(text));
        }
        Ok(texts.ends.len() > last)
    }
}

impl Texts {
    fn get(&self, id: i64) -> Option<&str> {
        self.at(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    fn at(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..end as usize)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map_while(|place| self.at(place))
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }

    /// Whether there was room in what an end can say.
    fn push(&mut self, text: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + text.len()) else { return false };
        self.text.push_str(text);
        self.ends.push(end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, JournalSettings};
    use crate::model::{Event, Serial};

    fn table(texts: &[(i64, &str)]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE verbs (id INTEGER PRIMARY KEY, text TEXT NOT NULL)").unwrap();
        add(&connection, texts);
        connection
    }

    fn add(connection: &Connection, texts: &[(i64, &str)]) {
        for row in texts {
            connection.execute("INSERT INTO verbs VALUES (?1, ?2)", *row).unwrap();
        }
    }

    fn held(verbs: &Interned) -> Vec<String> {
        verbs.texts().all().map(str::to_owned).collect()
    }

    #[test]
    fn texts_are_read_ahead_in_proportion_and_those_not_read_are_asked_for() {
        let texts: Vec<(i64, String)> = (1..=20).map(|id| (id, format!("é{id}"))).collect();
        let texts: Vec<(i64, &str)> = texts.iter().map(|(id, text)| (*id, text.as_str())).collect();
        let (connection, verbs) = (table(&texts), Interned::verbs(1 << 20));
        for known in [0, 8, 16, 20, 20] {
            assert_eq!(held(&verbs).len(), known);
            for (id, text) in &texts {
                assert_eq!(verbs.text(&verbs.texts(), &connection, *id).unwrap(), *text);
            }
            assert_eq!(verbs.read_ahead(&connection, 1).unwrap(), known < 20);
        }
        add(&connection, &[(21, ""), (22, "last")]);
        verbs.read_ahead(&connection, 1).unwrap();
        assert_eq!(held(&verbs)[20..], ["", "last"]);
        assert!(verbs.text(&verbs.texts(), &connection, 23).is_err());
    }

    #[test]
    fn past_a_gap_and_past_the_bound_the_table_answers() {
        let (connection, verbs) = (table(&[(1, "one"), (3, "three")]), Interned::verbs(1 << 20));
        verbs.read_ahead(&connection, 9).unwrap();
        assert_eq!(held(&verbs), ["one"]);
        assert_eq!(verbs.text(&verbs.texts(), &connection, 3).unwrap(), "three");

        let (connection, verbs) = (table(&[(1, "one"), (2, "two"), (3, "three")]), Interned::verbs(16));
        verbs.read_ahead(&connection, 9).unwrap();
        verbs.read_ahead(&connection, 9).unwrap();
        assert_eq!(held(&verbs), ["one", "two"]);
        assert_eq!(verbs.text(&verbs.texts(), &connection, 3).unwrap(), "three");
    }

    #[tokio::test]
    async fn a_journal_has_all_names_in_memory_once_it_is_warm() {
        // More than one reading of them.
        const NAMES: i64 = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        let event = |serial: i64| Event {
            serial: Serial(serial),
            name: format!("name-{serial}"),
            version: None,
            time: serial,
            action: "create".to_owned(),
        };
        let events = (1..=NAMES).map(event).collect();
        journal.append(events, Serial(0), Serial(NAMES)).await.unwrap();
        let names = |journal: &Journal| held(&journal.event_texts().names).len();
        assert_eq!(names(&journal), 0);
        journal.warm().await.unwrap();
        assert_eq!(names(&journal), 20_000);
    }
}
