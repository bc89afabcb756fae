//! Which serials are known to be complete: disjoint ranges `(after, upto]`, merged as they grow together.

use rusqlite::{Connection, OptionalExtension as _, params};

/// Notes that every event with a serial in `(after, upto]` is kept. Must share the events' transaction.
pub(super) fn insert(connection: &Connection, after: i64, upto: i64) -> rusqlite::Result<()> {
    if upto <= after {
        return Ok(());
    }
    // Ranges that overlap this one or touch it: `(a, b]` and `(b, c]` leave no serial between them.
    let sql = "SELECT min(after), max(upto) FROM coverage WHERE after <= ?2 AND upto >= ?1";
    let (least, most): (Option<i64>, Option<i64>) =
        connection.prepare_cached(sql)?.query_row([after, upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "DELETE FROM coverage WHERE after <= ?2 AND upto >= ?1";
    connection.prepare_cached(sql)?.execute([after, upto])?;
    let after = least.map_or(after, |least| least.min(after));
    let upto = most.map_or(upto, |most| most.max(upto));
    let sql = "INSERT INTO coverage VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![after, upto]).map(|_| ())
}

/// Up to where everything after `serial` is known without a gap; `None` if not even the next serial is.
pub(super) fn known_upto(connection: &Connection, serial: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT upto FROM coverage WHERE after <= ?1 ORDER BY after DESC LIMIT 1";
    let upto = connection.prepare_cached(sql)?.query_row([serial], |row| row.get::<_, i64>(0)).optional()?;
    Ok(upto.filter(|&upto| upto > serial))
}

/// All ranges `(after, upto]`, the highest first.
pub(super) fn from_the_top(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare_cached("SELECT after, upto FROM coverage ORDER BY after DESC")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        connection
    }

    fn ranges(connection: &Connection) -> Vec<(i64, i64)> {
        let mut statement = connection.prepare("SELECT after, upto FROM coverage ORDER BY after").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let table = table();
        for (after, upto) in [(10, 20), (30, 40), (20, 30), (50, 50)] {
            insert(&table, after, upto).unwrap();
        }
        assert_eq!(ranges(&table), [(10, 40)]);
        assert_eq!(known_upto(&table, 10).unwrap(), Some(40));
        assert_eq!((known_upto(&table, 9).unwrap(), known_upto(&table, 40).unwrap()), (None, None));
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_set_of_serials(inserts in prop::collection::vec((0..60i64, -2..20i64), 0..30)) {
            let table = table();
            let mut naive = BTreeSet::new();
            for (after, length) in inserts {
                insert(&table, after, after + length).unwrap();
                naive.extend(after + 1..=after + length);
            }
            let found = ranges(&table);
            let serials: BTreeSet<i64> = found.iter().flat_map(|&(after, upto)| after + 1..=upto).collect();
            prop_assert_eq!(&serials, &naive);
            prop_assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].0), "touching: {:?}", found);
            for serial in -1..90 {
                let upto = (serial + 1..99).take_while(|next| naive.contains(next)).last();
                prop_assert_eq!(known_upto(&table, serial).unwrap(), upto);
            }
        }
    }
}
