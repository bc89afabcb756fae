//! Who takes files out: the relay that runs on the folder, or, without one, this process as a relay would.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;

use super::error::CacheError;
use super::say::note;
use crate::blob::Store;
use crate::config::Config;
use crate::index::Index;
use crate::journal::{Journal, JournalError, PendingDelete, UnlockedJournal};
use crate::model::Sha256;
use crate::relay::Relay;
use crate::upstream::Upstream;

/// From one look at the other's progress to the next.
const LOOK: Duration = Duration::from_millis(100);
/// How long the other may make none: it pauses for a minute after a failure of its disk.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whose.
pub(super) enum Hands {
    /// This process's.
    Own {
        /// The folder's journal, with its lock.
        journal: Journal,
        /// A relay that listens nowhere.
        relay: Box<Relay>,
    },
    /// Those of the relay that runs on the folder.
    Anothers(UnlockedJournal),
}

impl Hands {
    /// Finds out whether a relay runs on the folder; if not, nobody can start one until these are dropped.
    pub(super) async fn on(config: &Config) -> Result<Self, CacheError> {
        let journal = match Journal::open(&config.data, config.journal.clone()).await {
            Ok(journal) => journal,
            Err(error @ JournalError::InUse { .. }) => {
                note("a relay runs on this folder: it is told")?;
                let (data, upstream) = (config.data.clone(), config.journal.upstream.clone());
                let unlocked =
                    spawn_blocking(move || UnlockedJournal::open(&data, upstream.as_ref())).await??;
                return unlocked.map(Self::Anothers).ok_or(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        let store = Store::open(&config.store)?;
        let upstream = Upstream::new(config.upstream.clone())?;
        let index = Index::new(upstream.clone(), journal.clone(), config.index.clone());
        let relay =
            Relay::new(index, journal.clone(), upstream, store, config.relay.clone(), TaskTracker::new());
        Ok(Self::Own { journal, relay: Box::new(relay) })
    }

    /// A running relay does it.
    pub(super) fn are_anothers(&self) -> bool {
        matches!(self, Self::Anothers(_))
    }

    /// Takes the files out, and fetches again what is to be repaired.
    pub(super) async fn settle(self, pending_deletes: Vec<PendingDelete>) -> Result<(), CacheError> {
        match self {
            Self::Own { journal, relay } => {
                journal.queue_deletes(pending_deletes).await?;
                let swept = relay.sweep().await;
                journal.close().await;
                swept?;
                Ok(())
            }
            Self::Anothers(unlocked) => spawn_blocking(move || wait(unlocked, &pending_deletes)).await?,
        }
    }
}

fn wait(mut journal: UnlockedJournal, pending_deletes: &[PendingDelete]) -> Result<(), CacheError> {
    journal.queue_deletes(pending_deletes)?;
    let digests: Vec<Sha256> = pending_deletes.iter().map(|one| one.sha256).collect();
    let (mut least, mut since) = (digests.len(), Instant::now());
    loop {
        let left = journal.left(&digests)?;
        if left == 0 {
            return Ok(());
        }
        if left < least {
            (least, since) = (left, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(CacheError::Waiting(left));
        }
        std::thread::sleep(LOOK);
    }
}
