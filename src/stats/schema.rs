//! The tables, and how an older file becomes a current one.

use crate::sqlite_file::Schema;

/// Connections have 4 MiB of page cache each, and sort on the disk past it.
pub(super) const SCHEMA: Schema = Schema {
    // "chst".
    application: 0x6368_7374,
    migrations: &[include_str!("schema/1.sql")],
    pragmas: "PRAGMA cache_size = -4096; PRAGMA temp_store = FILE;",
};
