//! Whether the journal can be read and written, as its users' work shows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Journal, JournalError, facts};
use crate::metric;

/// How long a look at the journal may take: longer than any wait for its readers, and a disk that gives nothing by then
/// gives nothing.
const LOOK: Duration = Duration::from_secs(10);
/// From one attempt to write to the next, while the journal takes no writes.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How the journal is.
#[derive(Debug, Clone, Default)]
pub struct JournalHealth {
    /// SQLite found damage in it. It does not pass: somebody has to move the file away.
    pub damaged: bool,
    /// It takes no writes at the moment.
    pub unwritten: Option<Unwritten>,
}

/// Writes that fail because of the disk or the system, not because of what is written.
#[derive(Debug, Clone)]
pub struct Unwritten {
    /// When the first of them failed.
    pub since: Instant,
    /// Why the last one did, without paths.
    pub reason: String,
}

/// What the threads that read and write tell. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<watch::Sender<JournalHealth>>);

impl Health {
    /// A failure, of reading or of writing.
    pub(super) fn failed(&self, error: &JournalError) {
        if !matches!(error, JournalError::Broken { .. }) {
            return;
        }
        let news = self.0.send_if_modified(|health| !std::mem::replace(&mut health.damaged, true));
        if news {
            metrics::gauge!(metric::JOURNAL_DAMAGED).set(1.0);
            tracing::error!(
                %error,
                "the journal is damaged, and /readyz is 503 from now on. Stop the relay, move the file and those beside it \
                 whose names begin with its name away, and start the relay again"
            );
        }
    }

    /// A commit worked, and wrote something.
    pub(super) fn written(&self) {
        if self.0.send_if_modified(|health| health.unwritten.take().is_some()) {
            metrics::gauge!(metric::JOURNAL_UNWRITABLE).set(0.0);
            tracing::info!("the journal can be written again");
        }
    }

    /// A write failed; its own log line tells why.
    pub(super) fn unwritten(&self, error: &JournalError) {
        let reason = error.reason();
        let news = self.0.send_if_modified(|health| {
            let since = health.unwritten.as_ref().map(|unwritten| unwritten.since);
            health.unwritten = Some(Unwritten { since: since.unwrap_or_else(Instant::now), reason });
            since.is_none()
        });
        if news {
            metrics::gauge!(metric::JOURNAL_UNWRITABLE).set(1.0);
            tracing::error!(%error, "the journal cannot be written; what is in it is served");
        }
    }

    fn now(&self) -> JournalHealth {
        self.0.borrow().clone()
    }
}

impl Journal {
    /// How it is, as far as its users' work has shown.
    pub fn health(&self) -> JournalHealth {
        self.shared_health().now()
    }

    /// Reads something. Fails if that fails, or takes longer than a disk may.
    pub async fn check_read(&self) -> Result<(), JournalError> {
        let read = self.read(|connection| facts::get(connection, facts::HEARD_SERIAL));
        let slow = || JournalError::system(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(LOOK, read).await.unwrap_or_else(|_| Err(slow())).map(drop)
    }

    /// While the journal takes no writes, tries one now and then: else it would count as unwritable until something
    /// happens upstream. Never returns; safe to drop.
    pub async fn try_writing_for_ever(&self) {
        let mut health = self.shared_health().0.subscribe();
        // Its sender is ours.
        while health.wait_for(|health| health.unwritten.is_some()).await.is_ok() {
            tokio::time::sleep(ATTEMPT).await;
            let now = self.clock().unix();
            // Its outcome is noted by the writer.
            let _ = self.write(move |connection| facts::set(connection, facts::WRITTEN, now)).await;
        }
    }

    /// Waits until nothing can be written any more because the thread that does is gone.
    pub async fn writer_ended(&self) {
        self.writer().ended().await;
    }
}
