//! Serials that are not known to be complete.

use rusqlite::Connection;

use super::{Journal, JournalError};
use crate::model::Serial;

/// A range of serials without coverage, and how much is missing in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Everything up to here is known, or it is the beginning.
    pub after: Serial,
    /// From the next serial on everything is known again, as far as the question went.
    pub upto: Serial,
    /// Serials of this gap and of all after it.
    pub missing: i64,
}

impl Journal {
    /// The oldest gap in the serials up to `upto`; `None` if all of them are known.
    pub async fn oldest_gap(&self, upto: Serial) -> Result<Option<Gap>, JournalError> {
        self.read(move |connection| oldest(connection, upto.0)).await
    }
}

fn oldest(connection: &Connection, upto: i64) -> rusqlite::Result<Option<Gap>> {
    let mut statement =
        connection.prepare_cached("SELECT after, upto FROM coverage WHERE after < ?1 ORDER BY after")?;
    let mut ranges = statement.query([upto])?;
    let (mut known, mut found) = (0, None::<Gap>);
    let mut note = |known: i64, next: i64| {
        if known < next {
            let new = Gap { after: Serial(known), upto: Serial(next), missing: 0 };
            found.get_or_insert(new).missing += next - known;
        }
    };
    while let Some(range) = ranges.next()? {
        note(known, range.get(0)?);
        known = known.max(range.get(1)?);
    }
    note(known, upto);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::coverage;
    use super::*;

    #[test]
    fn the_oldest_gap_comes_first_and_all_are_counted() {
        let table = Connection::open_in_memory().unwrap();
        table.execute_batch(include_str!("schema/1.sql")).unwrap();
        let gap = |after, upto, missing| Some(Gap { after: Serial(after), upto: Serial(upto), missing });
        assert_eq!(oldest(&table, 100).unwrap(), gap(0, 100, 100));
        for (after, upto) in [(0, 10), (20, 30), (90, 200)] {
            coverage::insert(&table, after, upto).unwrap();
        }
        assert_eq!(oldest(&table, 100).unwrap(), gap(10, 20, 70));
        assert_eq!(oldest(&table, 25).unwrap(), gap(10, 20, 10));
        coverage::insert(&table, 10, 90).unwrap();
        assert_eq!(oldest(&table, 200).unwrap(), None);
    }
}
