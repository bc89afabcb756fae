//! An index whose serials say nothing (see `follow::derive`): that it is so, and what no serial tells.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::Connection;

use super::facts;

/// Shared by the journal's clones.
#[derive(Default)]
pub(super) struct Silence {
    pub(super) serials_say_nothing: AtomicBool,
    /// Changes of the project table that no serial tells.
    pub(super) version: AtomicI64,
    pub(super) untold: AtomicBool,
}

impl Silence {
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let silent = facts::get(connection, facts::SERIALS_SAY_NOTHING)?.is_some_and(|silent| silent != 0);
        let version = facts::get(connection, facts::PROJECTS_VERSION)?.unwrap_or(0);
        Ok(Self {
            serials_say_nothing: AtomicBool::new(silent),
            version: AtomicI64::new(version),
            untold: AtomicBool::new(false),
        })
    }

    /// The commit that [`changed`] was part of is done.
    pub(super) fn set_version(&self, version: i64) {
        self.version.fetch_max(version, Ordering::Relaxed);
    }
}

/// The project table changes without a serial that tells it. Tells its version then.
pub(super) fn changed(connection: &Connection) -> rusqlite::Result<i64> {
    let version = facts::get(connection, facts::PROJECTS_VERSION)?.unwrap_or(0) + 1;
    facts::set(connection, facts::PROJECTS_VERSION, version).map(|()| version)
}
