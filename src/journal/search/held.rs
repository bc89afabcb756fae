//! The names in memory: read when first asked for, so that a start loads nothing; then carried on by commits.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::{Connection, OptionalExtension as _};

use super::names::{Change, Names, UNTOLD};

/// The names of one journal, held or not.
#[derive(Default)]
pub(in crate::journal) struct HeldNames {
    state: RwLock<State>,
    /// Held by who reads the table, so that it is read once.
    reading: Mutex<()>,
}

#[derive(Default)]
enum State {
    /// Nobody has searched yet, or the table was filled anew.
    #[default]
    Unread,
    /// The table is being read; what was committed meanwhile.
    Reading(Vec<Change>),
    Held(Names),
}

impl HeldNames {
    /// Works with the names; reads them first if nobody has.
    pub(super) fn with<T>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&Names) -> T,
    ) -> rusqlite::Result<T> {
        loop {
            if let State::Held(names) = &*self.look() {
                return Ok(work(names));
            }
            let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::Held(names) = &*self.look() {
                return Ok(work(names));
            }
            // First this, then the reading: a commit is in what is read, or in the list, or in both, and a list that is
            // carried out in its order comes to the same.
            *self.change() = State::Reading(Vec::new());
            let read = Names::read(connection);
            let mut state = self.change();
            match (std::mem::take(&mut *state), read?) {
                (State::Reading(changes), mut names) => {
                    for change in changes {
                        names.apply(change);
                    }
                    *state = State::Held(names);
                }
                // Filled anew meanwhile.
                (State::Unread | State::Held(_), _) => {}
            }
        }
    }

    /// These rows have changed.
    pub(in crate::journal) fn apply(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        match &mut *self.change() {
            State::Unread => {}
            State::Reading(list) => list.extend_from_slice(changes),
            State::Held(names) => changes.iter().for_each(|change| names.apply(change.clone())),
        }
    }

    /// The table was filled anew.
    pub(in crate::journal) fn drop_all(&self) {
        *self.change() = State::Unread;
    }

    fn look(&self) -> RwLockReadGuard<'_, State> {
        // A pass that panics changes nothing, and a change that does is read anew after a restart.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the rows of these projects (normalised names) stand now.
pub(in crate::journal) fn changes(
    connection: &Connection,
    projects: BTreeSet<String>,
) -> rusqlite::Result<Vec<Change>> {
    let sql = "SELECT serial FROM projects WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let change = |name: String| {
        let row = statement.query_row([&name], |row| row.get::<_, Option<i64>>(0)).optional()?;
        Ok(Change { name, serial: row.map(|serial| serial.unwrap_or(UNTOLD)) })
    };
    projects.into_iter().map(change).collect()
}
