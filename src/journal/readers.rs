//! A few threads that only read. In WAL mode they never wait for the writer, nor it for them.
//!
//! Threads of their own, and the last one idle is the first one asked: an answer of many rows is read on where it was,
//! with that thread's page cache and heap. Those of the runtime were another one for each piece when the machine was
//! busy, and sixty heaps took 300 MB.
//!
//! What has to wait waits in a queue, not for a permit: one that is granted to a future that nobody polls just then, as
//! those of a multicall behind the answer that is leaving, is held for ever.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::JournalError;
use super::health::Health;
use super::schema::SCHEMA;

/// The threads that read: started when first needed, up to a number.
pub(super) struct Readers {
    path: PathBuf,
    most: usize,
    health: Health,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    started: usize,
    idle: Vec<Reader>,
    waiting: VecDeque<Job>,
}

/// A thread with a connection of its own; it ends when this is gone.
struct Reader {
    jobs: Sender<Order>,
    thread: JoinHandle<()>,
}

/// A job for an idle thread, which gets itself with it, to give back.
struct Order {
    job: Job,
    reader: Reader,
    readers: Arc<Readers>,
}

/// Gets the connection, or why there is none, and leaves what tells the caller.
type Job = Box<dyn FnOnce(rusqlite::Result<&Connection>) -> Tell + Send>;
type Tell = Box<dyn FnOnce() + Send>;

impl Readers {
    pub(super) fn new(path: PathBuf, connections: usize, health: Health) -> Self {
        Self { path, most: connections.max(1), health, state: Mutex::default() }
    }

    /// Runs `work` on a thread that may block. It should be short: a long read keeps the write-ahead log from
    /// being reset, so answers of many rows are read in pieces.
    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let (path, health) = (self.path.clone(), self.health.clone());
        let job = move |connection: rusqlite::Result<&Connection>| -> Tell {
            // Who asked may have left while it waited.
            if answer.is_closed() {
                return Box::new(|| ());
            }
            let read = connection.and_then(work).map_err(|error| JournalError::sqlite(&path, error));
            let read = read.inspect_err(|error| health.failed(error));
            // Or meanwhile.
            Box::new(move || drop(answer.send(read)))
        };
        self.order(Box::new(job))?;
        // Without an answer `work` has panicked, or all is closed.
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// Lets no new reading begin, and waits until the idle connections are closed.
    pub(super) async fn close(&self) {
        let idle = {
            let mut state = self.lock();
            state.closed = true;
            state.waiting.clear();
            std::mem::take(&mut state.idle)
        };
        let closed = spawn_blocking(move || {
            for Reader { jobs, thread } in idle {
                drop(jobs);
                // Its jobs' panics are caught.
                let _ = thread.join();
            }
        });
        // Fails only while the runtime ends, and all threads with it.
        let _ = closed.await;
    }

    /// To the thread that was idle last, a new one, or the queue.
    fn order(self: &Arc<Self>, job: Job) -> Result<(), JournalError> {
        let reader = {
            let mut state = self.lock();
            if state.closed {
                return Err(JournalError::Closed);
            }
            match state.idle.pop() {
                Some(reader) => reader,
                None if state.started < self.most => {
                    let reader = start().map_err(JournalError::system)?;
                    state.started += 1;
                    reader
                }
                None => {
                    state.waiting.push_back(job);
                    return Ok(());
                }
            }
        };
        let jobs = reader.jobs.clone();
        jobs.send(Order { job, reader, readers: Arc::clone(self) }).map_err(|_| JournalError::Closed)
    }

    /// The next job that waits; or else the reader is idle, or not needed any more.
    fn next(&self, reader: Reader) -> Option<(Job, Reader)> {
        let mut state = self.lock();
        if let Some(job) = state.waiting.pop_front() {
            return Some((job, reader));
        }
        if !state.closed {
            state.idle.push(reader);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start() -> std::io::Result<Reader> {
    let (jobs, orders) = channel();
    let thread = Builder::new().name("journal-reader".to_owned()).spawn(move || run(&orders))?;
    Ok(Reader { jobs, thread })
}

fn run(orders: &Receiver<Order>) {
    let mut connection = None;
    while let Ok(Order { job, reader, readers }) = orders.recv() {
        let mut turn = Some((job, reader));
        while let Some((job, reader)) = turn {
            let opened = match &connection {
                Some(connection) => Ok(connection),
                None => SCHEMA
                    .connect(&readers.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
                    .map(|opened| &*connection.insert(opened)),
            };
            let told = catch_unwind(AssertUnwindSafe(|| job(opened)));
            if told.is_err() {
                // It may be in the midst of something.
                connection = None;
            }
            // Before the answer, which may be followed by the next question at once.
            turn = readers.next(reader);
            if let Ok(tell) = told {
                tell();
            }
        }
    }
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
        (folder, Arc::new(Readers::new(path, connections, Health::default())))
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
        while readers.lock().started < 2 {
            tokio::task::yield_now().await;
        }
        let mut third = Box::pin(readers.read(|_| Ok(())));
        let early = tokio::time::timeout(Duration::from_millis(20), &mut third).await;
        assert!(early.is_err() && readers.lock().idle.is_empty());
        spawn_blocking(move || release.wait()).await.unwrap();
        for read in stuck {
            read.await.unwrap().unwrap();
        }
        third.await.unwrap();
        assert_eq!(readers.lock().idle.len(), 2);
    }

    #[tokio::test]
    async fn a_reading_that_nobody_polls_stands_in_nobodys_way() {
        let (_folder, readers) = readers(1);
        let (release, held) = channel::<()>();
        let mut busy = Box::pin(readers.read(move |_| Ok(held.recv().is_err())));
        let mut unpolled = Box::pin(readers.read(|_| Ok(())));
        assert!(
            futures_util::poll!(&mut busy).is_pending() && futures_util::poll!(&mut unpolled).is_pending()
        );
        drop(release);
        assert!(busy.await.unwrap());
        let next = tokio::time::timeout(Duration::from_secs(10), readers.read(|_| Ok(())));
        next.await.unwrap().unwrap();
        unpolled.await.unwrap();
    }

    #[tokio::test]
    async fn a_reading_that_panics_takes_no_thread_with_it() {
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
        assert!(readers.lock().idle.is_empty());
        assert!(matches!(readers.read(|_| Ok(())).await, Err(JournalError::Closed)));
        // Who was reading ends in peace, and is not kept.
        drop(release);
        late.await.unwrap().unwrap();
        assert!(readers.lock().idle.is_empty());
    }
}
