//! The tables, and how an older journal becomes a current one.

use crate::sqlite_file::Schema;

/// Connections have 4 MiB of page cache each, so that memory stays bounded by the readers' number. What the last commits
/// were, and a power cut took, is asked of upstream again: events and their coverage stay in agreement.
pub(super) const SCHEMA: Schema = Schema {
    // "chwr".
    application: 0x6368_7772,
    migrations: &[
        include_str!("schema/1.sql"),
        include_str!("schema/2.sql"),
        include_str!("schema/3.sql"),
        include_str!("schema/4.sql"),
        include_str!("schema/5.sql"),
        include_str!("schema/6.sql"),
        include_str!("schema/7.sql"),
        include_str!("schema/8.sql"),
        include_str!("schema/9.sql"),
        include_str!("schema/10.sql"),
        include_str!("schema/11.sql"),
        include_str!("schema/12.sql"),
        include_str!("schema/13.sql"),
        include_str!("schema/14.sql"),
        include_str!("schema/15.sql"),
        include_str!("schema/16.sql"),
        include_str!("schema/17.sql"),
    ],
    pragmas: "PRAGMA cache_size = -4096; PRAGMA foreign_keys = ON;",
};
