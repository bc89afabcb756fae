//! Interned texts in memory: of a page of the changelog each row would else cost a look into a table of 30 MB.
//!
//! Ids are given in order, and neither changed nor used again, so what was read stays true. Texts are read ahead in
//! the order of their ids, in proportion to the rows that were asked for, so that small questions pay little; and beside
//! all questions after a start. A short text stands in the place that its id leads to: one look into memory that nobody
//! has looked at for long takes as long as all else that is done for a row's name. All 886 thousand names take some 24 MB.
//!
//! Whoever keeps a slice needs the ids of its names, and of a large slice nearly each row has another name: they are found
//! by the same texts, with some 10 MB more, which are taken when the first slice is kept.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{DefaultHashBuilder, HashTable};
use rusqlite::Connection;

/// Texts that are read ahead for each row that was asked for. A text costs about 0.3 µs in its turn, and some 2 µs alone.
const AHEAD: usize = 8;
/// Texts that become findable in one go: less than a millisecond, in which readers wait.
const FINDABLE_AT_ONCE: usize = 4096;

/// The most bytes of verbs in memory: a thousand times what upstream has of them.
const VERBS_BYTES: usize = 1 << 20;

/// What events say by number.
pub(super) struct EventTexts {
    pub(super) names: Interned,
    pub(super) verbs: Interned,
}

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
    /// A slot for each, in blocks: none is ever moved, and none has room for more than it holds.
    blocks: Vec<Vec<Slot>>,
    count: usize,
    /// What has no room in its slot.
    long: String,
    /// The places of the texts that can be found, by their hashes.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// Slots of a block.
const BLOCK: usize = 4096;

/// A text, or where it is.
#[derive(Clone, Copy)]
struct Slot {
    /// Bytes of the text, or [`LONG`].
    length: u8,
    /// The text; or where it starts and ends among the long ones, four bytes each.
    text: [u8; SHORT],
}

/// The longest text in a slot: nine in ten of PyPI's names.
const SHORT: usize = 23;
const LONG: u8 = u8::MAX;

impl EventTexts {
    /// `names`: the bytes that names may take in memory.
    pub(super) fn new(names: usize) -> Self {
        Self { names: Interned::names(names), verbs: Interned::verbs(VERBS_BYTES) }
    }
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
            (texts.count, texts.bytes())
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
            let in_turn = usize::try_from(id).is_ok_and(|id| id == last + read.count + 1);
            // Past a gap, or past what may be held, the table answers.
            if !in_turn || bytes + read.bytes() + room(text) > self.most || !read.push(text) {
                break;
            }
        }
        let mut texts = self.write();
        // Unless somebody else has read the same meanwhile.
        if texts.count == last {
            read.all().all(|text| texts.push(text));
        }
        Ok(texts.count > last)
    }

    /// The ids of texts, in their order; `None` of one that is not held, or cannot be found yet.
    pub(super) fn ids<'a>(&self, wanted: impl Iterator<Item = &'a str>) -> Vec<Option<i64>> {
        let mut texts = self.texts();
        if texts.places.len() < texts.count {
            drop(texts);
            self.write().make_findable(FINDABLE_AT_ONCE);
            texts = self.texts();
        }
        wanted.map(|text| texts.id(text)).collect()
    }

    /// Holds texts that were committed to the table, each with its id, in their order.
    pub(super) fn hold(&self, added: &[(i64, String)]) {
        if added.is_empty() {
            return;
        }
        let mut texts = self.write();
        for (id, text) in added {
            let in_turn = usize::try_from(*id).is_ok_and(|id| id == texts.count + 1);
            // Past a gap, or past what may be held, the table answers.
            if !in_turn || texts.bytes() + room(text) > self.most || !texts.push(text) {
                break;
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Texts> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Texts {
    fn id(&self, text: &str) -> Option<i64> {
        let same = |&place: &u32| self.at(place as usize) == Some(text);
        let place = self.places.find(self.hasher.hash_one(text), same)?;
        Some(i64::from(*place) + 1)
    }

    /// Makes the next texts findable.
    fn make_findable(&mut self, most: usize) {
        let (from, hasher) = (self.places.len(), self.hasher.clone());
        let mut places = std::mem::take(&mut self.places);
        // A place without a text is found by no text.
        let hash = |place: usize| self.at(place).map_or(0, |text| hasher.hash_one(text));
        for place in from..self.count.min(from + most) {
            // More texts than that have no room in what an end can say.
            let Ok(known) = u32::try_from(place) else { break };
            places.insert_unique(hash(place), known, |&place| hash(place as usize));
        }
        self.places = places;
    }

    fn get(&self, id: i64) -> Option<&str> {
        self.at(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    fn at(&self, place: usize) -> Option<&str> {
        let slot = self.blocks.get(place / BLOCK)?.get(place % BLOCK)?;
        match slot.text.get(..usize::from(slot.length)) {
            Some(text) => std::str::from_utf8(text).ok(),
            None => self.long.get(slot.place()?),
        }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        (0..self.count).map_while(|place| self.at(place))
    }

    fn bytes(&self) -> usize {
        self.count * size_of::<Slot>() + self.long.len() + self.places.allocation_size()
    }

    /// Whether there was room in what a slot can say.
    fn push(&mut self, text: &str) -> bool {
        let Some(slot) = Slot::of(text, self.long.len()) else { return false };
        if slot.length == LONG {
            self.long.push_str(text);
        }
        if self.count.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(slot);
            self.count += 1;
        }
        true
    }
}

impl Slot {
    /// `long`: the bytes of the long texts before.
    fn of(text: &str, long: usize) -> Option<Self> {
        let mut slot = Self { length: LONG, text: [0; SHORT] };
        if let Some(place) = slot.text.get_mut(..text.len()) {
            place.copy_from_slice(text.as_bytes());
            // No longer than a slot.
            slot.length = u8::try_from(text.len()).ok()?;
        } else {
            slot.text[..4].copy_from_slice(&u32::try_from(long).ok()?.to_ne_bytes());
            slot.text[4..8].copy_from_slice(&u32::try_from(long + text.len()).ok()?.to_ne_bytes());
        }
        Some(slot)
    }

    /// Where a long text is.
    fn place(&self) -> Option<Range<usize>> {
        let number = |at: usize| Some(u32::from_ne_bytes(*self.text[at..].first_chunk()?) as usize);
        Some(number(0)?..number(4)?)
    }
}

/// Bytes that a text takes.
fn room(text: &str) -> usize {
    size_of::<Slot>() + if text.len() > SHORT { text.len() } else { 0 }
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
    fn ids_are_found_of_texts_that_are_held_and_of_no_others() {
        let texts: Vec<(i64, String)> = (1..=10_000).map(|id| (id, format!("é{id}"))).collect();
        let (connection, verbs) = (table(&[]), Interned::verbs(1 << 20));
        let found = |text: &str| verbs.ids([text].into_iter())[0];
        assert_eq!(found("é1"), None);
        // Not in their turn: another has the id before.
        verbs.hold(&texts[1..]);
        assert_eq!(held(&verbs).len(), 0);
        verbs.hold(&texts);
        // As many as become findable at a time.
        assert_eq!([found("é1"), found("é4096"), found("é4097")], [Some(1), Some(4096), Some(4097)]);
        assert_eq!(found("é10000"), Some(10_000));
        for (id, text) in &texts {
            assert_eq!(found(text), Some(*id));
        }
        assert_eq!([found("é"), found("é10001"), found("")], [None; 3]);
        // What was read is found as well as what was given.
        add(&connection, &[(10_001, "read")]);
        verbs.read_ahead(&connection, 1).unwrap();
        assert_eq!(found("read"), Some(10_001));
    }

    #[test]
    fn no_more_is_held_than_may_be() {
        let verbs = Interned::verbs(2 * size_of::<Slot>());
        verbs.hold(&[(1, "one".to_owned()), (2, "two".to_owned()), (3, "three".to_owned())]);
        assert_eq!(held(&verbs), ["one", "two"]);
    }

    #[test]
    fn past_a_gap_and_past_the_bound_the_table_answers() {
        let (connection, verbs) = (table(&[(1, "one"), (3, "three")]), Interned::verbs(1 << 20));
        verbs.read_ahead(&connection, 9).unwrap();
        assert_eq!(held(&verbs), ["one"]);
        assert_eq!(verbs.text(&verbs.texts(), &connection, 3).unwrap(), "three");

        let (connection, verbs) =
            (table(&[(1, "one"), (2, "two"), (3, "three")]), Interned::verbs(2 * size_of::<Slot>()));
        verbs.read_ahead(&connection, 9).unwrap();
        verbs.read_ahead(&connection, 9).unwrap();
        assert_eq!(held(&verbs), ["one", "two"]);
        assert_eq!(verbs.text(&verbs.texts(), &connection, 3).unwrap(), "three");
    }

    /// Long ones beside short ones, of one byte and of more to a letter, on both sides of the longest that is short.
    #[test]
    fn texts_of_any_length_are_held_as_they_are() {
        let both = (0..3 * SHORT).flat_map(|length| ["x".repeat(length), "é".repeat(length)]);
        let texts: Vec<(i64, String)> = (1..).zip(both).collect();
        let verbs = Interned::verbs(1 << 20);
        verbs.hold(&texts);
        assert_eq!(held(&verbs), texts.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>());
    }

    /// A slot's bytes and those of a long text count.
    #[test]
    fn long_texts_count_with_all_their_bytes() {
        let long = "x".repeat(100);
        let two = 2 * (size_of::<Slot>() + 100);
        for (most, count) in [(two, 2), (two - 1, 1)] {
            let verbs = Interned::verbs(most);
            verbs.hold(&[(1, long.clone()), (2, long.clone()), (3, String::new())]);
            assert_eq!(held(&verbs).len(), count);
        }
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
        // Who keeps them has them, and a relay after it has to read them.
        assert_eq!(names(&journal), 20_000);
        journal.close().await;
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        assert_eq!(names(&journal), 0);
        journal.warm().await.unwrap();
        assert_eq!(names(&journal), 20_000);
    }
}
