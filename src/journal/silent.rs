//! An index whose serials say nothing (see `follow::derive`): that it is so, and what no serial tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::Connection;

use super::{Journal, JournalError, facts};

/// Shared by the journal's clones.
#[derive(Default)]
pub(super) struct Silence {
    serials_say_nothing: AtomicBool,
    /// Changes of the project table that no serial tells.
    version: AtomicI64,
    untold: AtomicBool,
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

impl Journal {
    /// Whether what the index states as serials says nothing, so that it is not used.
    pub fn serials_say_nothing(&self) -> bool {
        self.silence().serials_say_nothing.load(Ordering::Relaxed)
    }

    /// Notes whether it is so.
    pub async fn note_serials(&self, say_nothing: bool) -> Result<(), JournalError> {
        let silence = Arc::clone(self.silence());
        self.write_then(
            move |connection| facts::set(connection, facts::SERIALS_SAY_NOTHING, i64::from(say_nothing)),
            move |()| silence.serials_say_nothing.store(say_nothing, Ordering::Relaxed),
        )
        .await
    }

    /// Says whether what changes cannot be told for good: then no question about it has an answer at our head, and the last
    /// serial is none that anything could be compared with.
    pub fn set_untold(&self, untold: bool) {
        self.silence().untold.store(untold, Ordering::Relaxed);
    }

    /// Whether it is so.
    pub fn is_untold(&self) -> bool {
        self.silence().untold.load(Ordering::Relaxed)
    }

    /// Counts changes of the project table that no serial tells.
    pub fn projects_version(&self) -> i64 {
        self.silence().version.load(Ordering::Relaxed)
    }
}
