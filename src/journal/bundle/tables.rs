//! Which tables and numbers a bundle carries.

use rusqlite::Connection;

use crate::journal::facts;

/// Tables that are carried whole, and their columns, in an order in which rows find what they refer to.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("projects", "name, spelling, serial"),
    ("quarantined", "project, spelling, serial, looked"),
    ("removals", "project, serial"),
    ("leads", "project, stated, told"),
    ("tombstones", "id, path, project, filename, version, kind, reason, serial, until, noted"),
    ("contents", "id, digest, sha256"),
    ("documents", "id, kind, project, version, content_type, etag, last_serial, url, checked, bytes"),
    ("bodies", "document, size, body"),
    ("files", "path, document, filename, url, sha256, size, digest"),
    ("file_lists", "document, list"),
    ("paths", "key, document"),
    ("earlier_paths", "document"),
    ("answers", "id, method, argument, checked, size, bytes, body"),
    ("learned", "id, project, told, version, summary, versions"),
    // Where FTS5 keeps the table `texts`, which has no rows that could be read: https://sqlite.org/fts5.html section 9.
    ("texts_data", "id, block"),
    ("texts_idx", "segid, term, pgno"),
    ("texts_docsize", "id, sz, origin"),
    ("texts_config", "k, v"),
];

/// Tables of who follows upstream, which an importer does not.
pub(super) const FOLLOWERS: &[&str] = &["sightings", "absences", "lost", "prefetch"];

/// Facts that each journal has of its own: what tells it from others, what triggers keep right, when it was written to, and since
/// when serials are known to it.
pub(super) const OWN_FACTS: &[&str] = &[
    "identity_high",
    "identity_low",
    facts::DOCUMENTS_BYTES,
    facts::ANSWERS_BYTES,
    facts::WRITTEN,
    facts::PREFETCHED_SERIAL,
    facts::PREFETCH_DAY,
    facts::PREFETCH_BYTES,
    facts::KNOWN_FROM,
    facts::FIRST_LISTED_AT,
    facts::KNOWN_BY_MINUTES,
    facts::KNOWN_BY_DAYS,
    facts::PROJECTS_VERSION,
    facts::BUNDLE_TAKEN,
];

/// Puts the rows of all tables of the database `from` in place of those of `to`, both attached to the connection; and the facts
/// that are no journal's own.
pub(super) fn replace(connection: &Connection, from: &str, to: &str) -> rusqlite::Result<()> {
    // It would take words out of the index of search, whose tables are replaced as they are.
    let trigger = format!("SELECT sql FROM {to}.sqlite_schema WHERE name = 'learned_out'");
    let trigger: String = connection.query_row(&trigger, [], |row| row.get(0))?;
    connection.execute_batch(&format!("DROP TRIGGER {to}.learned_out"))?;
    for (table, _) in TABLES.iter().rev() {
        connection.execute(&format!("DELETE FROM {to}.{table}"), [])?;
    }
    for (table, columns) in TABLES {
        let sql = format!("INSERT INTO {to}.{table} ({columns}) SELECT {columns} FROM {from}.{table}");
        connection.execute(&sql, [])?;
    }
    let trigger = trigger.replacen("TRIGGER learned_out", &format!("TRIGGER {to}.learned_out"), 1);
    connection.execute_batch(&trigger)?;
    let own = OWN_FACTS.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    connection.execute(&format!("DELETE FROM {to}.facts WHERE name NOT IN ({own})"), [])?;
    let sql =
        format!("INSERT INTO {to}.facts SELECT name, value FROM {from}.facts WHERE name NOT IN ({own})");
    connection.execute(&sql, []).map(|_| ())
}
