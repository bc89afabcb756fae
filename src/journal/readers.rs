//! A few threads that only read. In WAL mode they never wait for the writer, nor it for them.
//!
//! Threads of their own, and the last one idle is the first one asked: an answer of many rows is read on where it was,
//! with that thread's page cache and heap. Those of the runtime were another one for each piece when the machine was
//! busy, and sixty heaps took 300 MB.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::{JournalError, schema};

/// The threads that read: started when first needed, as many as there are slots.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    slots: Arc<Semaphore>,
}

/// A thread with a connection of its own; it ends when this is gone.
struct Reader {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// Gets the connection, or why there is none.
type Job = Box<dyn FnOnce(rusqlite::Result<&Connection>) + Send>;

impl Readers {
    pub(super) fn new(path: PathBuf, connections: usize) -> Self {
        let slots = Arc::new(Semaphore::new(connections.max(1)));
        Self { path, idle: Mutex::new(Vec::new()), slots }
    }

    /// Runs `work` on a thread that may block. It should be short: a long read keeps the write-ahead log from
    /// being reset, so answers of many rows are read in pieces.
    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let reader = self.take()?;
        let (answer, answered) = oneshot::channel();
        let (jobs, readers) = (reader.jobs.clone(), Arc::clone(self));
        let job = move |connection: rusqlite::Result<&Connection>| {
            let read = connection.and_then(work).map_err(|error| JournalError::sqlite(&readers.path, error));
            // Before the answer, which may be followed by the next question at once.
            readers.give_back(reader);
            drop((slot, readers));
            // Who asked may have left.
            let _ = answer.send(read);
        };
        jobs.send(Box::new(job)).map_err(|_| JournalError::Closed)?;
        // Without an answer `work` has panicked, and the thread is gone.
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// Lets no new reading begin, and waits until the idle connections are closed.
    pub(super) async fn close(&self) {
        self.slots.close();
        let idle = std::mem::take(&mut *self.lock());
        let closed = spawn_blocking(move || {
            for Reader { jobs, thread } in idle {
                drop(jobs);
                // A reader that panicked is not idle.
                let _ = thread.join();
            }
        });
        // Fails only while the runtime ends, and all threads with it.
        let _ = closed.await;
    }

    fn take(&self) -> Result<Reader, JournalError> {
        if let Some(reader) = self.lock().pop() {
            return Ok(reader);
        }
        let (jobs, waiting) = channel();
        let path = self.path.clone();
        let thread = Builder::new().name("journal-reader".to_owned()).spawn(move || run(&path, &waiting));
        let thread = thread.map_err(|error| JournalError::folder(&self.path, error))?;
        Ok(Reader { jobs, thread })
    }

    fn give_back(&self, reader: Reader) {
        let mut idle = self.lock();
        if !self.slots.is_closed() {
            idle.push(reader);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        // A panic between push and pop cannot leave a half-pushed reader behind.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(path: &Path, jobs: &Receiver<Job>) {
    let mut connection = None;
    while let Ok(job) = jobs.recv() {
        job(match &connection {
            Some(connection) => Ok(connection),
            None => open(path).map(|opened| &*connection.insert(opened)),
        });
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    schema::tune(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn readers(connections: usize) -> (tempfile::TempDir, Arc<Readers>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        (folder, Arc::new(Readers::new(path, connections)))
    }

    async fn thread_of(readers: &Arc<Readers>) -> thread::ThreadId {
        readers.read(|_| Ok(thread::current().id())).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_reads_on_has_the_same_thread() {
        let (_folder, readers) = readers(4);
        let mut threads = HashSet::new();
        for _ in 0..100 {
            threads.insert(thread_of(&readers).await);
        }
        assert_eq!(threads.len(), 1);
    }

    #[tokio::test]
    async fn as_many_read_at_once_as_there_are_slots() {
        let (_folder, readers) = readers(2);
        let release = Arc::new(std::sync::Barrier::new(3));
        let stuck = (0..2).map(|_| {
            let (readers, release) = (readers.clone(), release.clone());
            tokio::spawn(async move { readers.read(move |_| Ok(release.wait().is_leader())).await })
        });
        let stuck: Vec<_> = stuck.collect();
        while readers.slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut third = Box::pin(readers.read(|_| Ok(())));
        let early = tokio::time::timeout(Duration::from_millis(20), &mut third).await;
        assert!(early.is_err() && readers.lock().is_empty());
        spawn_blocking(move || release.wait()).await.unwrap();
        for read in stuck {
            read.await.unwrap().unwrap();
        }
        third.await.unwrap();
        assert_eq!(readers.lock().len(), 2);
    }

    #[tokio::test]
    async fn a_reading_that_panics_takes_its_thread_and_no_slot() {
        let (_folder, readers) = readers(1);
        for _ in 0..3 {
            let lost = readers.read(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
            assert!(matches!(lost, Err(JournalError::Closed)));
            thread_of(&readers).await;
        }
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_opened_is_told_and_tried_again() {
        let (folder, readers) = readers(1);
        let (path, aside) = (folder.path().join("db"), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let lost = readers.read(|_| Ok(())).await;
        assert!(matches!(lost, Err(JournalError::Folder { .. })), "{lost:?}");
        std::fs::rename(&aside, &path).unwrap();
        readers
            .read(|connection| connection.query_row("SELECT count(*) FROM t", [], |_| Ok(())))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn closing_ends_the_threads_and_refuses_who_comes_later() {
        let (_folder, readers) = readers(2);
        let thread = Arc::new(());
        let (release, held) = channel::<()>();
        let (started, begun) = oneshot::channel();
        let late = {
            let (readers, mark) = (readers.clone(), thread.clone());
            let work = move |_: &Connection| {
                let _ = (started.send(()), held.recv(), mark);
                Ok(())
            };
            tokio::spawn(async move { readers.read(work).await })
        };
        begun.await.unwrap();
        thread_of(&readers).await;
        readers.close().await;
        assert!(readers.lock().is_empty());
        assert!(matches!(readers.read(|_| Ok(())).await, Err(JournalError::Closed)));
        // Who was reading ends in peace, and is not kept.
        drop(release);
        late.await.unwrap().unwrap();
        assert!(readers.lock().is_empty());
    }
}
