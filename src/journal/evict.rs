//! Room for what comes: the least recently checked rows go. First those that claim to be checked in the future, by a
//! clock that was ahead: they would outlast all others until then.

use rusqlite::{Connection, params};

use super::facts;

/// The most rows that go when one comes: no step is long, and a bound that was lowered is still reached.
const AT_ONCE: u64 = 8;

/// A table of rows that are kept as long as there is room; it has the columns `id` and `checked`.
pub(super) struct Table {
    /// The fact that has the weight of all rows.
    bytes: &'static str,
    delete: [&'static str; 2],
}

/// Pages and JSON documents; their files go with them.
pub(super) const DOCUMENTS: Table = Table {
    bytes: facts::DOCUMENTS_BYTES,
    delete: [
        "DELETE FROM documents WHERE id = (SELECT id FROM documents WHERE id <> ?1 AND checked > ?2 LIMIT 1)",
        "DELETE FROM documents WHERE id = \
         (SELECT id FROM documents WHERE id <> ?1 AND checked <= ?2 ORDER BY checked LIMIT 1)",
    ],
};
/// Answers to calls.
pub(super) const ANSWERS: Table = Table {
    bytes: facts::ANSWERS_BYTES,
    delete: [
        "DELETE FROM answers WHERE id = (SELECT id FROM answers WHERE id <> ?1 AND checked > ?2 LIMIT 1)",
        "DELETE FROM answers WHERE id = \
         (SELECT id FROM answers WHERE id <> ?1 AND checked <= ?2 ORDER BY checked LIMIT 1)",
    ],
};

/// Lets rows go until the rest weighs at most `limit`; never the `newest`. Tells how many went, and what the rest
/// weighs. `now`: Unix seconds.
pub(super) fn oldest(
    connection: &Connection,
    table: &Table,
    newest: i64,
    limit: i64,
    now: i64,
) -> rusqlite::Result<(u64, i64)> {
    let mut evicted = 0;
    loop {
        let kept = facts::get(connection, table.bytes)?.unwrap_or(0);
        if kept <= limit || evicted >= AT_ONCE {
            return Ok((evicted, kept));
        }
        let mut gone = 0;
        for delete in table.delete {
            if gone == 0 {
                gone = connection.prepare_cached(delete)?.execute(params![newest, now])?;
            }
        }
        if gone == 0 {
            return Ok((evicted, kept));
        }
        evicted += 1;
    }
}
