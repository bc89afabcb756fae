//! A copy of the journal for a backup, and a data folder that is made of one.
//!
//! The relay went on after the copy was taken, and told its clients numbers that the copy does not know. Those that
//! upstream gave it gives again. Numbers of our own would be given a second time, for other events, and a client that has
//! read up to one of them would miss what it means now. So they go on above all that may have been told: at once where ours
//! are in use, else when the first of them is needed ([`Journal::number_above_told`]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::committed::Committed;
use super::position::{self, Position};
use super::schema::SCHEMA;
use super::{Journal, JournalError, UnlockedJournal, coverage, facts, private, upstream};
use crate::model::{Serial, UpstreamIdentity};
use crate::sqlite_file::{self, Schema};

/// What the copy is called in the folder until it is whole and ready.
const UNREADY: &str = "journal.sqlite3.restored";
/// What SQLite may have put beside it.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// So much is added to what counts the changes of the project table that no serial tells. One counts each listing.
const UNTOLD_CHANGES: i64 = 1 << 40;

/// What a copy of a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The last serial that it knows of; `None` before the first listing.
    pub last_serial: Option<Serial>,
    /// Whose packages it tells of; `None` if it was never used with an upstream.
    pub upstream: Option<UpstreamIdentity>,
}

impl UnlockedJournal {
    /// Copies the journal, which a relay may be writing, into `folder` as it was after one commit. Blocks, for seconds if it is
    /// large; the relay goes on meanwhile.
    pub fn copy_to(&self, folder: &Path) -> Result<Copied, JournalError> {
        let to = Journal::database(folder);
        Schema::copy(&self.connection, &to).map_err(|defect| JournalError::sqlite(&to, defect))?;
        let copy = SCHEMA.connect(&to, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
        let wrong = |error| JournalError::sqlite(&to, error);
        let copy = copy.map_err(wrong)?;
        let version = SCHEMA.check(&copy).map_err(|defect| JournalError::sqlite(&to, defect))?;
        let last_serial = facts::get(&copy, facts::PROJECTS_SERIAL).map_err(wrong)?.map(Serial);
        Ok(Copied { last_serial, upstream: upstream::of(&copy, version).map_err(wrong)? })
    }
}

impl Journal {
    /// The name of the database in the data folder.
    pub const FILE: &str = private::DATABASE;

    /// Whether a backup was begun to be put into `folder`, and is not whole there.
    pub fn is_unfinished(folder: &Path) -> bool {
        private::is_unfinished(folder)
    }

    /// Numbers of our own are needed: if a backup was put back that did not know all that were told, they go on above those.
    pub async fn number_above_told(&self) -> Result<(), JournalError> {
        let owed = self.read(|connection| facts::get(connection, facts::TOLD_BEFORE_RESTORE)).await?;
        if owed.is_none() {
            return Ok(());
        }
        let work = |connection: &Connection| {
            let told = facts::get(connection, facts::TOLD_BEFORE_RESTORE)?;
            facts::unset(connection, facts::TOLD_BEFORE_RESTORE)?;
            let position = match told {
                Some(told) => go_above(connection, told)?,
                None => None,
            };
            let heard = position.map(|position| position.ours);
            Ok(((), Committed { heard, position, ..Committed::default() }))
        };
        self.commit(work).await
    }
}

/// A data folder that a backup is being put into. Nobody else uses it meanwhile; until [`Restoring::finish`] has ended well no
/// relay starts on it.
#[derive(Debug)]
pub struct Restoring {
    folder: PathBuf,
    /// Held until this is dropped.
    _lock: File,
}

impl Restoring {
    /// Makes the folder if it is missing, and takes it. Fails if there is a journal in it, unless that is of a restore that
    /// did not end.
    pub fn begin(folder: &Path) -> Result<Self, JournalError> {
        let wrong = |error| JournalError::folder(folder, error);
        private::folder(folder).map_err(wrong)?;
        let lock = private::lock(folder)?;
        if Journal::is_in(folder) && !private::is_unfinished(folder) {
            return Err(JournalError::Taken { path: folder.to_owned() });
        }
        let marker = folder.join(private::UNFINISHED);
        sqlite_file::make(&marker).and_then(|file| file.sync_all()).map_err(wrong)?;
        sync(folder).map_err(wrong)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Makes the folder's journal of the copy in `from`, brought to the newest schema. Up to `told` serials may have been told
    /// since the copy was taken. Tells the last serial that the relay will name first.
    pub fn finish(self, from: &Path, told: Option<Serial>) -> Result<Option<Serial>, JournalError> {
        let folder = &self.folder;
        let wrong = |error| JournalError::folder(folder, error);
        let unready = folder.join(UNREADY);
        for beside in BESIDE {
            // Of a restore that was killed.
            remove(&folder.join(format!("{UNREADY}{beside}"))).map_err(wrong)?;
            remove(&folder.join(format!("{}{beside}", private::DATABASE))).map_err(wrong)?;
        }
        let mut to = sqlite_file::make(&unready).map_err(wrong)?;
        let mut copy = File::open(Journal::database(from)).map_err(wrong)?;
        io::copy(&mut copy, &mut to).and_then(|_| to.sync_all()).map_err(wrong)?;
        let mut connection =
            SCHEMA.open(&unready).map_err(|defect| JournalError::sqlite(&unready, defect))?;
        let failed = |error| JournalError::sqlite(&unready, error);
        let transaction = connection.transaction().map_err(failed)?;
        settle(&transaction, told).map_err(failed)?;
        let last = facts::get(&transaction, facts::PROJECTS_SERIAL).map_err(failed)?.map(Serial);
        transaction.commit().map_err(failed)?;
        // What its log has goes into the file, which is then all there is.
        connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        std::fs::rename(&unready, Journal::database(folder)).map_err(wrong)?;
        sync(folder).map_err(wrong)?;
        remove(&folder.join(private::UNFINISHED)).map_err(wrong)?;
        sync(folder).map_err(wrong)?;
        Ok(last)
    }
}

/// What is known no longer, or has to go on where nobody was before.
fn settle(connection: &Connection, told: Option<Serial>) -> rusqlite::Result<()> {
    // Upstream was heard since, and said more. Until it is asked, that is its last serial as far as anybody knows.
    facts::unset(connection, facts::AS_OF)?;
    let version = facts::get(connection, facts::PROJECTS_VERSION)?.unwrap_or(0);
    facts::set(connection, facts::PROJECTS_VERSION, version.saturating_add(UNTOLD_CHANGES))?;
    let Some(told) = told else { return Ok(()) };
    let silent = facts::get(connection, facts::SERIALS_SAY_NOTHING)?.is_some_and(|silent| silent != 0);
    if silent || position::get(connection)?.is_some_and(Position::is_ahead) {
        go_above(connection, told.0).map(|_| ())
    } else {
        facts::raise(connection, facts::TOLD_BEFORE_RESTORE, told.0).map(|_| ())
    }
}

/// Our next number is above `told` from here on; where the project table stands then, if that moves.
fn go_above(connection: &Connection, told: i64) -> rusqlite::Result<Option<Position>> {
    let Some(at) = position::get(connection)?.filter(|at| at.ours.0 < told) else { return Ok(None) };
    coverage::insert(connection, at.ours.0, told)?;
    let position = Position { ours: Serial(told), theirs: at.theirs };
    position::set(connection, position)?;
    facts::raise(connection, facts::HEARD_SERIAL, told)?;
    Ok(Some(position))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::JournalSettings;
    use super::*;

    /// A folder whose journal stands at 100, with what `more` puts into it.
    fn standing(folder: &Path, more: impl FnOnce(&Connection)) {
        std::fs::create_dir_all(folder).unwrap();
        let connection = SCHEMA.open(&Journal::database(folder)).unwrap();
        position::set(&connection, Position::same(Serial(100))).unwrap();
        coverage::insert(&connection, 90, 100).unwrap();
        facts::set(&connection, facts::HEARD_SERIAL, 100).unwrap();
        facts::set(&connection, facts::AS_OF, 1_000).unwrap();
        more(&connection);
    }

    /// The same put back after serials up to 500 were told.
    async fn put_back(more: impl FnOnce(&Connection)) -> (tempfile::TempDir, Option<Serial>, Journal) {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        standing(&from, more);
        let last = Restoring::begin(&to).unwrap().finish(&from, Some(Serial(500))).unwrap();
        let journal = Journal::open(&to, JournalSettings::default()).await.unwrap();
        (place, last, journal)
    }

    #[tokio::test]
    async fn upstreams_numbers_go_on_where_they_were_until_own_ones_are_needed() {
        let (_place, last, journal) = put_back(|_| ()).await;
        let here = Position::same(Serial(100));
        assert_eq!((last, journal.position()), (Some(Serial(100)), Some(here)));
        assert_eq!(journal.as_of(), None, "nobody has asked upstream since");
        journal.number_above_told().await.unwrap();
        let above = Position { ours: Serial(500), theirs: Serial(100) };
        assert_eq!(journal.position(), Some(above));
        assert_eq!(journal.known_from().await.unwrap(), Some(Serial(90)), "there is no gap");
        // Once is enough.
        journal.number_above_told().await.unwrap();
        assert_eq!(journal.position(), Some(above));
    }

    #[tokio::test]
    async fn own_numbers_in_use_go_on_above_what_was_told_at_once() {
        let silent: fn(&Connection) = |journal| facts::set(journal, facts::SERIALS_SAY_NOTHING, 1).unwrap();
        let ahead: fn(&Connection) = |journal| {
            position::set(journal, Position { ours: Serial(100), theirs: Serial(95) }).unwrap();
        };
        for (more, theirs) in [(silent, 100), (ahead, 95)] {
            let (_place, last, journal) = put_back(more).await;
            let above = Position { ours: Serial(500), theirs: Serial(theirs) };
            assert_eq!((last, journal.position()), (Some(Serial(500)), Some(above)));
        }
    }

    #[tokio::test]
    async fn an_upstream_that_was_restored_too_is_numbered_above_what_was_told() {
        let (_place, _, journal) = put_back(|_| ()).await;
        let restored = journal.restore(Position::same(Serial(95)), false).await.unwrap();
        assert_eq!((restored.to, restored.head), (Serial(95), Serial(500)));
        assert_eq!(journal.position(), Some(Position { ours: Serial(500), theirs: Serial(95) }));
    }

    #[tokio::test]
    async fn what_upstream_passes_by_itself_needs_no_number_of_ours() {
        let (_place, _, journal) = put_back(|_| ()).await;
        let beyond = Position::same(Serial(600));
        journal
            .commit(move |connection| {
                position::set(connection, beyond)?;
                Ok((
                    (),
                    Committed { heard: Some(beyond.ours), position: Some(beyond), ..Committed::default() },
                ))
            })
            .await
            .unwrap();
        journal.number_above_told().await.unwrap();
        assert_eq!(journal.position(), Some(beyond));
    }

    #[tokio::test]
    async fn versions_of_lists_that_were_told_are_not_given_to_others() {
        let count = |journal: &Connection| facts::set(journal, facts::PROJECTS_VERSION, 7).unwrap();
        let (_place, _, journal) = put_back(count).await;
        assert!(journal.projects_version() > 1_000_000);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_whole_is_opened_by_nobody() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        standing(&from, |_| ());
        let restoring = Restoring::begin(&to).unwrap();
        assert!(matches!(Restoring::begin(&to), Err(JournalError::InUse { .. })));
        drop(restoring);
        let opened = Journal::open(&to, JournalSettings::default()).await;
        assert!(matches!(opened, Err(JournalError::Unfinished { .. })));
        // What a killed one has left is no part of the next one.
        for rest in ["journal.sqlite3.restored", "journal.sqlite3.restored-wal", "journal.sqlite3-wal"] {
            std::fs::write(to.join(rest), [0xff; 9000]).unwrap();
        }
        Restoring::begin(&to).unwrap().finish(&from, None).unwrap();
        let journal = Journal::open(&to, JournalSettings::default()).await.unwrap();
        assert_eq!(journal.position(), Some(Position::same(Serial(100))));
        journal.close().await;
        assert!(matches!(Restoring::begin(&to), Err(JournalError::Taken { .. })));
    }
}
