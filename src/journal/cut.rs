//! Where an answer by time may end.
//!
//! A client of `changelog(since)` goes on from the last time that it got, and asks for times *after* it. So an answer
//! has a second whole or not at all: half of one is lost for ever (docs/wire.md section 6, slices).

use rusqlite::{Connection, OptionalExtension as _};

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// There are no events.
    Empty,
    /// After this second.
    After(i64),
    /// The first second alone has more events than may go out at once.
    TooFull,
}

/// Cuts the events with times in `(after, upto]` to `limit`, at a change of the second. If the first second alone has
/// more than that, it goes out whole, up to `most`.
pub(super) fn cut(
    connection: &Connection,
    after: i64,
    upto: i64,
    limit: usize,
    most: usize,
) -> rusqlite::Result<Cut> {
    let Some(first) = nth(connection, after, upto, 0)? else { return Ok(Cut::Empty) };
    let Some(over) = nth(connection, after, upto, limit.max(1))? else {
        // The last second itself, not the bound: later ones are not part of this answer.
        let sql = "SELECT max(time) FROM events WHERE time > ?1 AND time <= ?2";
        return Ok(Cut::After(connection.prepare_cached(sql)?.query_row([after, upto], |row| row.get(0))?));
    };
    if over > first {
        return Ok(Cut::After(over - 1));
    }
    let more = nth(connection, first - 1, first, most.max(limit))?.is_some();
    Ok(if more { Cut::TooFull } else { Cut::After(first) })
}

/// The time of the row after `skipped` others, read in the index alone: 50,000 take about a millisecond.
fn nth(connection: &Connection, after: i64, upto: i64, skipped: usize) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT time FROM events WHERE time > ?1 AND time <= ?2 ORDER BY time LIMIT 1 OFFSET ?3";
    let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.query_row([after, upto, skipped], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(times: &[i64]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        for time in times {
            connection.execute("INSERT INTO events (name, time, verb) VALUES (1, ?1, 1)", [time]).unwrap();
        }
        connection
    }

    #[test]
    fn one_second_goes_out_whole_until_it_is_too_full() {
        let table = table(&[5, 5, 5, 6]);
        assert_eq!(cut(&table, 4, 9, 1, 3).unwrap(), Cut::After(5));
        assert_eq!(cut(&table, 4, 9, 3, 3).unwrap(), Cut::After(5));
        assert_eq!(cut(&table, 4, 9, 1, 2).unwrap(), Cut::TooFull);
        assert_eq!(cut(&table, 4, 9, 4, 4).unwrap(), Cut::After(6));
        assert_eq!(cut(&table, 6, 9, 4, 4).unwrap(), Cut::Empty);
        assert_eq!(cut(&table, i64::MIN, i64::MAX, 1, 3).unwrap(), Cut::After(5));
    }

    proptest! {
        #[test]
        fn who_loops_on_the_last_time_gets_every_event_once(
            times in prop::collection::vec(0..25i64, 0..60),
            limit in 1..12usize,
            upto in 0..30i64,
        ) {
            let table = table(&times);
            let mut expected: Vec<i64> = times.into_iter().filter(|&time| time <= upto).collect();
            expected.sort_unstable();
            let (mut got, mut last) = (Vec::new(), -1);
            while let Cut::After(end) = cut(&table, last, upto, limit, 60).unwrap() {
                let answer: Vec<i64> = expected.iter().copied().filter(|&time| time > last && time <= end).collect();
                let seconds = answer.first() != answer.last();
                prop_assert!(!answer.is_empty(), "an empty answer before the end");
                prop_assert!(answer.len() <= limit || !seconds, "over the limit with more than one second");
                last = *answer.last().unwrap();
                got.extend(answer);
            }
            prop_assert_eq!(got, expected);
        }
    }
}
