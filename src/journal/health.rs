//! Whether the journal can be read and written, as its users' work shows it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::JournalError;
use crate::metric;

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

    /// Waits until writes fail.
    pub(super) async fn until_unwritten(&self) {
        // Its sender is ours.
        drop(self.0.subscribe().wait_for(|health| health.unwritten.is_some()).await);
    }

    pub(super) fn now(&self) -> JournalHealth {
        self.0.borrow().clone()
    }
}
