//! What the journal removed, taken out of memory and off the disk; and wrong bytes fetched again.

use std::time::Duration;

use metrics::counter;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Relay, RelayError};
use crate::journal::PendingDelete;
use crate::metric;

/// How often the queue is looked at without news: another process, which has a hand on the same folder, may have
/// added to it.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure of the disk or the journal.
const PAUSE: Duration = Duration::from_mins(1);
/// Entries that are taken from the queue at a time.
const BATCH: usize = 64;

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Digests whose bytes are gone.
    pub gone: u64,
    /// Files that were fetched again.
    pub repaired: u64,
    /// Files that could not be.
    pub unrepaired: u64,
    /// Those that are still arriving: they go when they have.
    pub arriving: u64,
}

impl Relay {
    /// Sweeps whenever something was removed, until cancelled.
    pub async fn sweep_for_ever(&self, cancelled: CancellationToken) {
        let mut removals = self.journal.watch_removals();
        loop {
            let pause = match cancelled.run_until_cancelled(self.sweep()).await {
                None => return,
                Some(Ok(_)) => LOOK,
                Some(Err(error)) => {
                    warn!(%error, "removed files cannot be swept out");
                    PAUSE
                }
            };
            let news = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // An error means that the journal is gone, and so are we soon.
                    _ = removals.changed(), if pause == LOOK => {}
                }
            };
            if cancelled.run_until_cancelled(news).await.is_none() {
                return;
            }
        }
    }

    /// Takes out all whose bytes have to go.
    pub async fn sweep(&self) -> Result<Swept, RelayError> {
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            let batch = self.journal.pending_deletes(after, BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.sha256);
            let mut gone = Vec::new();
            for pending_deletes in batch {
                // A flight would keep them again when it lands.
                if self.delivery.arriving(pending_deletes.sha256) {
                    swept.arriving += 1;
                    continue;
                }
                if self.resources.store.discard(pending_deletes.sha256).await? {
                    info!(sha256 = %pending_deletes.sha256, repair = pending_deletes.repair, "kept bytes that had to go are gone");
                    counter!(metric::CACHE_REMOVALS_TOTAL).increment(1);
                }
                if pending_deletes.repair {
                    self.repair(pending_deletes, &mut swept).await?;
                }
                swept.gone += 1;
                gone.push(pending_deletes.sha256);
            }
            self.journal.discarded(gone).await?;
        }
        Ok(swept)
    }

    /// Fetches a file again whose kept bytes were wrong.
    async fn repair(&self, pending_deletes: PendingDelete, swept: &mut Swept) -> Result<(), RelayError> {
        let fetched = match self.journal.file_with(pending_deletes.sha256).await? {
            Some(file) => self.fetch(file).await.map_err(|error| error.to_string()),
            None => Err("no kept page names it".to_owned()),
        };
        let outcome = match &fetched {
            Ok(_) => {
                swept.repaired += 1;
                "repaired"
            }
            Err(reason) => {
                warn!(sha256 = %pending_deletes.sha256, reason, "a wrong file is not fetched again");
                swept.unrepaired += 1;
                "failed"
            }
        };
        counter!(metric::CACHE_REPAIRS_TOTAL, "outcome" => outcome).increment(1);
        Ok(())
    }
}
