//! The journal as its users hold it: opened once, cloned freely.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::committed::{Committed, Held};
use super::health::Health;
use super::interned::EventTexts;
use super::known::Known;
use super::pace::Pace;
use super::readers::Readers;
use super::schema::SCHEMA;
use super::search::HeldNames;
use super::silent::Silence;
use super::want::Wants;
use super::writer::Writer;
use super::{
    Identity, JournalError, JournalSettings, Polls, bundle, facts, known_since, position, private, upstream,
};
use crate::model::{Clock, Serial};
use crate::sqlite_file;

/// The journal of one data folder.
///
/// One thread writes, a few others read, and none of it runs on the reactor. After the last clone is
/// dropped the writer ends by itself; [`Journal::close`] waits for that.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

struct Inner {
    settings: JournalSettings,
    writer: Writer,
    readers: Arc<Readers>,
    held: Held,
    wants: Arc<Wants>,
    polls: Polls,
    identity: Identity,
    health: Health,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if missing. Fails if another process has it open, if a newer
    /// cheesewire wrote it, if it belongs to another upstream than the settings', or if the file is damaged; nothing is
    /// ever deleted.
    pub async fn open(folder: &Path, settings: JournalSettings) -> Result<Self, JournalError> {
        let folder = folder.to_owned();
        let opened = spawn_blocking(move || Inner::open(&folder, settings)).await;
        let inner = Arc::new(opened.map_err(|_| JournalError::Closed)??);
        Ok(Self { inner })
    }

    /// Whether there is a journal in `folder`, sound or not.
    pub fn is_in(folder: &Path) -> bool {
        Self::database(folder).exists()
    }

    /// Ends the writer after all that waits for it, and lets the folder go. What is asked afterwards fails with
    /// [`JournalError::Closed`].
    pub async fn close(&self) {
        // Readers first: the last connection that closes moves the log into the database.
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Where the database of a folder is.
    pub(super) fn database(folder: &Path) -> PathBuf {
        folder.join(private::DATABASE)
    }

    /// The clock of all that is kept here: who works on the journal takes the time from it.
    pub fn clock(&self) -> &Clock {
        &self.inner.settings.clock
    }

    pub(super) fn settings(&self) -> &JournalSettings {
        &self.inner.settings
    }

    pub(super) async fn read<T, W>(&self, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |_| ()).await
    }

    /// As [`Journal::write`], with what to do once it is committed, whether or not the caller still waits.
    pub(super) async fn write_then<T, W, A>(&self, work: W, after: A) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        self.inner.writer.write(work, after).await
    }

    /// As [`Journal::write`]; what of that is in memory too is brought up to date before anybody hears that it is committed.
    pub(super) async fn commit<T, W>(&self, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<(T, Committed)> + Send + 'static,
    {
        let held = self.inner.held.clone();
        let (done, _) = self.write_then(work, move |(_, committed)| held.heed(committed)).await?;
        Ok(done)
    }

    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.inner.held.known)
    }

    pub(super) fn known_ref(&self) -> &Known {
        &self.inner.held.known
    }

    /// This journal's own number: the same after a restart, another one in a new folder.
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    pub(super) fn shared_health(&self) -> &Health {
        &self.inner.health
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    /// Counts changes of tombstones.
    pub(super) fn removals(&self) -> Arc<watch::Sender<u64>> {
        Arc::clone(&self.inner.held.removals)
    }

    /// Tells of large slices that are to be looked through.
    pub(super) fn releases_due(&self) -> &watch::Sender<()> {
        &self.inner.held.releases_due
    }

    pub(super) fn silence(&self) -> &Arc<Silence> {
        &self.inner.held.silence
    }

    /// The names, for search.
    pub(super) fn names(&self) -> &Arc<HeldNames> {
        &self.inner.held.names
    }

    pub(super) fn event_texts(&self) -> &Arc<EventTexts> {
        &self.inner.held.texts
    }

    /// What the one who follows upstream and those who ask by time tell each other.
    pub fn polls(&self) -> &Polls {
        &self.inner.polls
    }

    pub(super) fn wants(&self) -> &Arc<Wants> {
        &self.inner.wants
    }
}

impl Inner {
    fn open(folder: &Path, settings: JournalSettings) -> Result<Self, JournalError> {
        private::folder(folder).map_err(|error| JournalError::folder(folder, error))?;
        let lock = private::lock(folder)?;
        if private::is_unfinished(folder) {
            return Err(JournalError::Unfinished { path: folder.to_owned() });
        }
        let path = Journal::database(folder);
        sqlite_file::make(&path).map_err(|error| JournalError::folder(&path, error))?;
        let connection = SCHEMA.open(&path).map_err(|defect| JournalError::sqlite(&path, defect))?;
        if let Some(identity) = &settings.upstream {
            upstream::claim(&connection, folder, identity)?;
        }
        let wrong = |error| JournalError::sqlite(&path, error);
        if settings.upstream.is_some() {
            bundle::leave(&connection).map_err(wrong)?;
        }
        let position = position::get(&connection).map_err(wrong)?;
        let heard = facts::get(&connection, facts::HEARD_SERIAL).map_err(wrong)?.map(Serial);
        let pace = Pace::get(&connection).map_err(wrong)?;
        let silence = Arc::new(Silence::of(&connection).map_err(wrong)?);
        let as_of = facts::get(&connection, facts::AS_OF).map_err(wrong)?;
        let known = Known::new(position, heard, pace, as_of);
        // The process before may have died before it was noted.
        if let Some(at) = position {
            known_since::note(&connection, settings.clock.unix_millis(), at.ours.0).map_err(wrong)?;
        }
        let identity = Identity::of(&connection).map_err(wrong)?;
        let health = Health::default();
        let readers = Arc::new(Readers::new(path.clone(), settings.readers, health.clone()));
        let writer = Writer::start(connection, lock, path, settings.queue, health.clone())?;
        let held = Held {
            known: Arc::new(known),
            names: Arc::default(),
            silence,
            texts: Arc::new(EventTexts::new(settings.names_bytes)),
            removals: Arc::default(),
            releases_due: watch::Sender::new(()),
        };
        let (wants, polls) = (Arc::default(), Polls::new());
        Ok(Self { settings, writer, readers, held, wants, polls, identity, health })
    }
}
