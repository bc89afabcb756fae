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
use super::{Journal, JournalError, UnlockedJournal, coverage, facts, private, restore, upstream};
use crate::model::{Serial, UpstreamIdentity};
use crate::sqlite_file::{self, Schema};

/// What the copy is called in the folder until it is whole and ready.
const UNREADY: &str = "journal.sqlite3.restored";
/// The copy and what SQLite may have put beside it.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// So much is added to what counts the changes of the project table that no serial tells: one counts each listing. The
/// milliseconds of now are added too, so that two restores of one backup go on from different ones.
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
        // The log alone may have events that are nowhere else.
        let is_taken = BESIDE.iter().any(|beside| in_place(folder, beside).symlink_metadata().is_ok());
        if is_taken && !private::is_unfinished(folder) {
            return Err(JournalError::Taken { path: folder.to_owned() });
        }
        let marker = folder.join(private::UNFINISHED);
        sqlite_file::make(&marker).and_then(|file| file.sync_all()).map_err(wrong)?;
        sync(folder).map_err(wrong)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Makes the folder's journal of the copy in `from`, brought to the newest schema. Up to `told` serials may have been told
    /// since the copy was taken; now it is `now`, in Unix milliseconds. Tells the last serial that the relay will name first.
    pub fn finish(self, from: &Path, told: Option<Serial>, now: i64) -> Result<Option<Serial>, JournalError> {
        let folder = &self.folder;
        let wrong = |error| JournalError::folder(folder, error);
        let unready = folder.join(UNREADY);
        for beside in BESIDE {
            // Of a restore that was killed.
            remove(&folder.join(format!("{UNREADY}{beside}"))).map_err(wrong)?;
            remove(&in_place(folder, beside)).map_err(wrong)?;
        }
        let refused = |error| JournalError::folder(&unready, error);
        let mut to = sqlite_file::make(&unready).map_err(refused)?;
        let database = Journal::database(from);
        let mut copy = File::open(&database).map_err(|error| JournalError::folder(&database, error))?;
        io::copy(&mut copy, &mut to).and_then(|_| to.sync_all()).map_err(refused)?;
        let mut connection =
            SCHEMA.open(&unready).map_err(|defect| JournalError::sqlite(&unready, defect))?;
        let failed = |error| JournalError::sqlite(&unready, error);
        let transaction = connection.transaction().map_err(failed)?;
        settle(&transaction, told, now).map_err(failed)?;
        let last = facts::get(&transaction, facts::PROJECTS_SERIAL).map_err(failed)?.map(Serial);
        transaction.commit().map_err(failed)?;
        // What its log has goes into the file, which is then all there is. Closing does that too, but does not tell if it fails.
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
fn settle(connection: &Connection, told: Option<Serial>, now: i64) -> rusqlite::Result<()> {
    // Upstream was heard since, and said more. Until it is asked, that is its last serial as far as anybody knows.
    facts::unset(connection, facts::AS_OF)?;
    let version = facts::get(connection, facts::PROJECTS_VERSION)?.unwrap_or(0);
    let beyond = version.saturating_add(UNTOLD_CHANGES).saturating_add(now.max(0));
    facts::set(connection, facts::PROJECTS_VERSION, beyond)?;
    let Some(told) = told else { return Ok(()) };
    let silent = facts::get(connection, facts::SERIALS_SAY_NOTHING)?.is_some_and(|silent| silent != 0);
    // Projects of which a restored upstream has lost events get rows of our own before a listing is compared.
    let unsettled = restore::is_unsettled(connection)?;
    if silent || unsettled || position::get(connection)?.is_some_and(Position::is_ahead) {
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

/// The journal's own place, or one beside it.
fn in_place(folder: &Path, beside: &str) -> PathBuf {
    folder.join(format!("{}{beside}", private::DATABASE))
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::JournalSettings;
    use super::*;

    /// Unix milliseconds of each restore.
    const NOW: i64 = 1_700_000_000_000;

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
        let last = Restoring::begin(&to).unwrap().finish(&from, Some(Serial(500)), NOW).unwrap();
        let journal = Journal::open(&to, JournalSettings::default()).await.unwrap();
        (place, last, journal)
    }

    /// Up to which serial nothing is missing from where the journal began.
    async fn complete_upto(journal: &Journal) -> Option<Serial> {
        journal.read(|connection| coverage::known_upto(connection, 90)).await.unwrap().map(Serial)
    }

    #[tokio::test]
    async fn upstreams_numbers_go_on_where_they_were_until_own_ones_are_needed() {
        let (place, last, journal) = put_back(|_| ()).await;
        let here = Position::same(Serial(100));
        assert_eq!((last, journal.position()), (Some(Serial(100)), Some(here)));
        assert_eq!(journal.as_of(), None, "nobody has asked upstream since");
        journal.number_above_told().await.unwrap();
        let above = Position { ours: Serial(500), theirs: Serial(100) };
        assert_eq!((journal.position(), journal.last_serial()), (Some(above), Some(Serial(500))));
        assert_eq!(complete_upto(&journal).await, Some(Serial(500)));
        let heard = journal.read(|connection| facts::get(connection, facts::HEARD_SERIAL)).await;
        assert_eq!(heard.unwrap(), Some(500));
        journal.close().await;
        let journal = Journal::open(&place.path().join("to"), JournalSettings::default()).await.unwrap();
        assert_eq!((journal.position(), journal.last_serial()), (Some(above), Some(Serial(500))));
        let owed = journal.read(|connection| facts::get(connection, facts::TOLD_BEFORE_RESTORE)).await;
        assert_eq!(owed.unwrap(), None, "once is enough");
    }

    #[tokio::test]
    async fn own_numbers_in_use_go_on_above_what_was_told_at_once() {
        let silent: fn(&Connection) = |journal| facts::set(journal, facts::SERIALS_SAY_NOTHING, 1).unwrap();
        let ahead: fn(&Connection) = |journal| {
            position::set(journal, Position { ours: Serial(100), theirs: Serial(95) }).unwrap();
        };
        // Rows of our own follow for what a restored upstream has lost, though its numbers are above ours again.
        let unsettled: fn(&Connection) =
            |journal| journal.execute_batch("INSERT INTO lost VALUES ('a', 'A')").unwrap();
        for (more, theirs) in [(silent, 100), (ahead, 95), (unsettled, 100)] {
            let (_place, last, journal) = put_back(more).await;
            let above = Position { ours: Serial(500), theirs: Serial(theirs) };
            assert_eq!((last, journal.position()), (Some(Serial(500)), Some(above)));
            assert_eq!(journal.last_serial(), Some(Serial(500)));
            assert_eq!(complete_upto(&journal).await, Some(Serial(500)));
        }
    }

    #[tokio::test]
    async fn a_restore_of_a_restore_goes_on_above_the_higher_of_what_was_told() {
        let (_place, _, journal) =
            put_back(|journal| facts::set(journal, facts::TOLD_BEFORE_RESTORE, 700).unwrap()).await;
        journal.number_above_told().await.unwrap();
        assert_eq!(journal.last_serial(), Some(Serial(700)));
    }

    #[tokio::test]
    async fn an_upstream_that_was_restored_too_is_numbered_above_what_was_told() {
        let (_place, _, journal) = put_back(|_| ()).await;
        let restored = journal.restore(Position::same(Serial(95)), false).await.unwrap();
        assert_eq!((restored.to, restored.head), (Serial(95), Serial(500)));
        assert_eq!(journal.position(), Some(Position { ours: Serial(500), theirs: Serial(95) }));
        let owed = journal.read(|connection| facts::get(connection, facts::TOLD_BEFORE_RESTORE)).await;
        assert_eq!(owed.unwrap(), None);
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
        let place = tempfile::tempdir().unwrap();
        let from = place.path().join("from");
        standing(&from, |journal| facts::set(journal, facts::PROJECTS_VERSION, 7).unwrap());
        let mut versions = Vec::new();
        // Of a clock that is wrong, and of two restores of one backup.
        for now in [-NOW, NOW, NOW + 1000] {
            let to = place.path().join(now.to_string());
            Restoring::begin(&to).unwrap().finish(&from, None, now).unwrap();
            let journal = Journal::open(&to, JournalSettings::default()).await.unwrap();
            versions.push(journal.projects_version());
        }
        assert!(versions[0] > 1_000_000_000_000 && versions.is_sorted_by(|one, next| *next - *one >= 1000));
    }

    #[tokio::test]
    async fn an_older_journal_is_copied_as_it_is_and_put_back_as_a_newer_one() {
        let place = tempfile::tempdir().unwrap();
        let (old, to, data) = (place.path().join("old"), place.path().join("to"), place.path().join("data"));
        for folder in [&old, &to] {
            std::fs::create_dir(folder).unwrap();
        }
        let first = Schema { migrations: &SCHEMA.migrations[..1], ..SCHEMA };
        let connection = first.open(&Journal::database(&old)).unwrap();
        position::set(&connection, Position::same(Serial(100))).unwrap();
        let copied = UnlockedJournal::open(&old, None).unwrap().unwrap().copy_to(&to).unwrap();
        assert_eq!(copied, Copied { last_serial: Some(Serial(100)), upstream: None });
        assert_eq!(first.check(&Connection::open(Journal::database(&to)).unwrap()).unwrap(), 1);
        let last = Restoring::begin(&data).unwrap().finish(&to, Some(Serial(500)), NOW).unwrap();
        assert_eq!(last, Some(Serial(100)));
        let journal = Journal::open(&data, JournalSettings::default()).await.unwrap();
        assert_eq!(journal.last_serial(), Some(Serial(100)));
    }

    #[test]
    fn a_folder_is_not_whole_as_long_as_its_journal_cannot_be_opened() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::write(Journal::database(&from), "no journal").unwrap();
        let ended = Restoring::begin(&to).unwrap().finish(&from, None, NOW);
        assert!(matches!(ended, Err(JournalError::Broken { .. })));
        assert!(Journal::is_unfinished(&to) && !Journal::is_in(&to));
    }

    #[test]
    fn a_log_without_its_journal_is_not_thrown_away() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("journal.sqlite3-wal");
        std::fs::write(&log, "the last events").unwrap();
        assert!(matches!(Restoring::begin(place.path()), Err(JournalError::Taken { .. })));
        assert_eq!(std::fs::read(&log).unwrap(), b"the last events");
        assert!(!Journal::is_unfinished(place.path()));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_whole_is_opened_by_nobody() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        standing(&from, |_| ());
        std::fs::create_dir(&to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
        let restoring = Restoring::begin(&to).unwrap();
        assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Restoring::begin(&to), Err(JournalError::InUse { .. })));
        drop(restoring);
        let opened = Journal::open(&to, JournalSettings::default()).await;
        assert!(matches!(opened, Err(JournalError::Unfinished { .. })));
        // What a killed one has left is no part of the next one, be it as sound as the log of another journal.
        let other = place.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let connection = SCHEMA.open(&Journal::database(&other)).unwrap();
        position::set(&connection, Position::same(Serial(77))).unwrap();
        for rest in ["journal.sqlite3.restored", "journal.sqlite3"] {
            for beside in ["", "-wal"] {
                let from = other.join(format!("journal.sqlite3{beside}"));
                std::fs::copy(from, to.join(format!("{rest}{beside}"))).unwrap();
            }
        }
        drop(connection);
        Restoring::begin(&to).unwrap().finish(&from, None, NOW).unwrap();
        // All of it is in one file, which is there before the mark goes.
        assert!(
            !to.join("journal.sqlite3-wal").exists() && !to.join("journal.sqlite3.restored-wal").exists()
        );
        let journal = Journal::open(&to, JournalSettings::default()).await.unwrap();
        assert_eq!(journal.position(), Some(Position::same(Serial(100))));
        journal.close().await;
        assert!(matches!(Restoring::begin(&to), Err(JournalError::Taken { .. })));
    }
}
