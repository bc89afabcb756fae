//! The one thread that writes: jobs come over a bounded channel and those that wait together share a commit.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::JournalError;
use super::health::Health;
use crate::metric;

/// The most jobs that share a commit: past some dozens a commit's own cost is no longer seen, and the first of
/// them should not wait for many.
const BATCH: usize = 64;

/// The way to the writer thread. The thread ends when the last of these is gone, or at [`Writer::close`].
pub(super) struct Writer {
    jobs: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// A piece of work, and what is told to whom asked for it.
trait Job: Send {
    /// Does the work inside a transaction. A failure undoes this job alone, and is told by `finish` too.
    fn run(&mut self, connection: &Connection, path: &Path) -> Result<(), JournalError>;
    /// Tells the outcome, once the transaction is committed or known to be lost.
    fn finish(self: Box<Self>, committed: Result<(), JournalError>);
}

impl Writer {
    /// Starts the thread; it owns the connection, and `lock`, which it lets go after the connection.
    pub(super) fn start(
        connection: Connection,
        lock: File,
        path: PathBuf,
        queue: usize,
        health: Health,
    ) -> Result<Self, JournalError> {
        let (jobs, waiting) = mpsc::channel(queue.max(1));
        let body = move || {
            let closing = run(&connection, &path, waiting, &health);
            drop((connection, lock));
            if let Some(closed) = closing {
                // Who asked may have left.
                let _ = closed.send(());
            }
        };
        let thread = thread::Builder::new().name("journal-writer".to_owned()).spawn(body);
        thread.map_err(JournalError::system)?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction, then `after` (on the writer's thread, once it is committed). Both happen
    /// also if the caller leaves.
    pub(super) async fn write<T, W, A>(&self, work: W, after: A) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let task = Task { work: Some(work), worked: None, after, answer };
        self.jobs.send(Message::Job(Box::new(task))).await.map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// How many jobs wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Waits until the thread is gone.
    pub(super) async fn ended(&self) {
        self.jobs.closed().await;
    }

    /// Ends the thread after what waits in its queue.
    pub(super) async fn close(&self) {
        let (closed, done) = oneshot::channel();
        if self.jobs.send(Message::Close(closed)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = done.await;
        }
    }
}

struct Task<T, W, A> {
    work: Option<W>,
    worked: Option<Result<T, JournalError>>,
    after: A,
    answer: oneshot::Sender<Result<T, JournalError>>,
}

impl<T, W, A> Job for Task<T, W, A>
where
    T: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, connection: &Connection, path: &Path) -> Result<(), JournalError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        // A job that panics is undone as one that fails, and the thread lives on for the others.
        let worked = catch_unwind(AssertUnwindSafe(|| in_savepoint(connection, work)));
        let worked = worked
            .map_err(|_| undo(connection, path))
            .and_then(|worked| worked.map_err(|error| JournalError::sqlite(path, error)));
        let failed = worked.as_ref().err().cloned();
        self.worked = Some(worked);
        failed.map_or(Ok(()), Err)
    }

    fn finish(self: Box<Self>, committed: Result<(), JournalError>) {
        let outcome = match (self.worked, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(JournalError::Closed),
        };
        if let Ok(value) = &outcome {
            (self.after)(value);
        }
        // Who asked may have left.
        let _ = self.answer.send(outcome);
    }
}

fn run(
    connection: &Connection,
    path: &Path,
    mut jobs: mpsc::Receiver<Message>,
    health: &Health,
) -> Option<oneshot::Sender<()>> {
    while let Some(message) = jobs.blocking_recv() {
        let mut batch = Vec::new();
        let mut closing = None;
        let mut next = Some(message);
        while let Some(message) = next.take() {
            match message {
                Message::Job(job) => batch.push(job),
                Message::Close(closed) => closing = Some(closed),
            }
            if batch.len() < BATCH && closing.is_none() {
                next = jobs.try_recv().ok();
            }
        }
        let changes = connection.total_changes();
        let (committed, refused) = commit(connection, path, &mut batch);
        match (&committed, &refused) {
            (_, Some(error)) | (Err(error), None) => {
                health.failed(error);
                health.unwritten(error);
            }
            (Ok(()), None) if connection.total_changes() != changes => health.written(),
            (Ok(()), None) => {}
        }
        if let Err(error) = &committed {
            tracing::error!(%error, jobs = batch.len(), "a journal commit failed");
            metrics::counter!(metric::JOURNAL_FAILED_COMMITS_TOTAL).increment(1);
        }
        for job in batch {
            let committed = committed.clone();
            // What follows a commit is told to nobody twice; its panic is logged, and ends nothing else.
            let _ = catch_unwind(AssertUnwindSafe(|| job.finish(committed)));
        }
        if closing.is_some() {
            return closing;
        }
    }
    None
}

/// Runs the jobs in one transaction. Also tells the last failure of a job that the disk or the system is to blame for:
/// SQLite may have undone that job alone.
fn commit(
    connection: &Connection,
    path: &Path,
    batch: &mut [Box<dyn Job>],
) -> (Result<(), JournalError>, Option<JournalError>) {
    let mut refused = None;
    let committed = commit_all(connection, path, batch, &mut refused);
    (committed, refused)
}

fn commit_all(
    connection: &Connection,
    path: &Path,
    batch: &mut [Box<dyn Job>],
    refused: &mut Option<JournalError>,
) -> Result<(), JournalError> {
    let wrong = |error| JournalError::sqlite(path, error);
    if batch.is_empty() {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE").map_err(wrong)?;
    for job in batch {
        let worked = job.run(connection, path);
        if let Some(error) = worked.as_ref().err().filter(|error| error.is_of_the_disk()) {
            *refused = Some(error.clone());
        }
        // A full disk or a failed read makes SQLite roll the whole transaction back by itself: the jobs before
        // this one are lost too, and must hear it.
        if connection.is_autocommit() {
            return Err(worked.err().unwrap_or(JournalError::Closed));
        }
    }
    connection.execute_batch("COMMIT").map_err(|error| {
        // If this fails too there is no transaction left to roll back.
        let _ = connection.execute_batch("ROLLBACK");
        wrong(error)
    })
}

/// Undoes what a job did before its panic, whose own message is logged.
fn undo(connection: &Connection, path: &Path) -> JournalError {
    metrics::counter!(metric::JOURNAL_PANICS_TOTAL).increment(1);
    // As below.
    let _ = connection.execute_batch("ROLLBACK TO job; RELEASE job");
    JournalError::Panicked { path: path.to_owned() }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.execute_batch("SAVEPOINT job")?;
    match work(connection) {
        Ok(value) => connection.execute_batch("RELEASE job").map(|()| value),
        Err(error) => {
            // Fails only if SQLite has rolled back everything already, which `commit` sees.
            let _ = connection.execute_batch("ROLLBACK TO job; RELEASE job");
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn writer(pages: i64) -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        let writer = Writer::start(connection, lock, path, 16, Health::default()).unwrap();
        (folder, writer)
    }

    async fn insert(writer: &Writer, bytes: usize) -> Result<(), JournalError> {
        let sql = "INSERT INTO t VALUES (zeroblob(?1))";
        writer
            .write(move |connection| connection.execute(sql, [i64::try_from(bytes).unwrap()]), |_| ())
            .await?;
        Ok(())
    }

    async fn lengths(writer: &Writer) -> Vec<i64> {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare("SELECT length(x) FROM t ORDER BY 1")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        writer.write(read, |_| ()).await.unwrap()
    }

    #[tokio::test]
    async fn a_job_that_fails_undoes_itself_alone() {
        let (_folder, writer) = writer(1_000_000);
        let (release, held) = sync_channel(1);
        let first = writer.write(move |_| Ok(held.recv().is_ok()), |_| ());
        let half = writer.write(
            |connection| {
                connection.execute("INSERT INTO t VALUES (zeroblob(7))", [])?;
                connection.execute("INSERT INTO nothing VALUES (1)", [])
            },
            |_| panic!("not committed"),
        );
        let let_go = async { release.send(()).unwrap() };
        let (waited, one, half, two, ()) =
            tokio::join!(first, insert(&writer, 1), half, insert(&writer, 2), let_go);
        assert!(waited.unwrap() && one.is_ok() && two.is_ok());
        assert!(matches!(half, Err(JournalError::Sqlite { .. })));
        assert_eq!(lengths(&writer).await, [1, 2]);
    }

    #[tokio::test]
    async fn a_job_that_panics_undoes_itself_alone_and_the_writer_goes_on() {
        let (_folder, writer) = writer(1_000_000);
        let work = |connection: &Connection| -> rusqlite::Result<()> {
            connection.execute("INSERT INTO t VALUES (zeroblob(7))", [])?;
            panic!("on purpose")
        };
        let (one, dead, two) =
            tokio::join!(insert(&writer, 1), writer.write(work, |()| ()), insert(&writer, 2));
        assert!(one.is_ok() && two.is_ok() && matches!(dead, Err(JournalError::Panicked { .. })), "{dead:?}");
        let late = writer.write(|_| Ok(()), |()| panic!("on purpose")).await;
        assert!(late.is_err());
        assert_eq!(lengths(&writer).await, [1, 2]);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_to_whom_it_hit_and_the_writer_goes_on() {
        let (_folder, writer) = writer(20);
        let (small, large, last) =
            tokio::join!(insert(&writer, 10), insert(&writer, 1 << 20), insert(&writer, 20));
        assert!(matches!(large, Err(JournalError::Full { .. })), "{large:?}");
        let mut told: Vec<i64> = Vec::new();
        told.extend(small.is_ok().then_some(10));
        told.extend(last.is_ok().then_some(20));
        assert_eq!(lengths(&writer).await, told);
        insert(&writer, 30).await.unwrap();
        assert_eq!(lengths(&writer).await.last(), Some(&30));
    }
}
