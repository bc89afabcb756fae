//! The background work: counting, writing recency back, holding the floor.

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::KeepError;
use super::Disk;
use super::layout::SHARDS;

impl Disk {
    pub(in super::super) async fn tend(self: Arc<Self>, cancelled: CancellationToken) {
        if self.read_only() {
            return;
        }
        if cancelled.run_until_cancelled(self.count_all()).await.is_some() {
            let mut pause = tokio::time::interval(self.tending);
            pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut due = async || {
                tokio::select! {
                    _ = pause.tick() => {}
                    () = self.recency.due.notified() => {}
                }
            };
            while cancelled.run_until_cancelled(due()).await.is_some() {
                self.off_reactor(Self::settle).await;
            }
        }
        self.off_reactor(|disk| disk.recency.write_back(&disk.layout)).await;
    }

    /// Counts what is kept, one shard at a time, which takes about a millisecond: whoever needs room meanwhile counts
    /// along, and nobody waits for a shard twice.
    pub(in super::super) async fn count_all(self: &Arc<Self>) {
        for shard in 0..SHARDS {
            // What fails is told below.
            self.off_reactor(move |disk| drop(disk.count(shard))).await;
        }
        self.off_reactor(Self::count_rest).await;
        info!(bytes = self.room.kept(), "counted what is kept");
    }

    /// Counts the shards that are not counted yet; blocking. One that cannot be read is tried again the next time.
    pub(super) fn count_rest(&self) {
        if self.room.is_counted() {
            return;
        }
        let mut failed = None;
        for shard in 0..SHARDS {
            if let Err(cause) = self.count(shard) {
                failed = Some((shard, cause));
            }
        }
        match failed {
            Some((shard, cause)) => warn!(shard, %cause, "a part of the cache cannot be counted"),
            None => self.room.all_counted(),
        }
    }

    fn count(&self, shard: usize) -> io::Result<()> {
        let mut counted = self.room.hold(shard);
        if !*counted {
            let found = self.layout.list(shard)?;
            *counted = true;
            self.room.add(*counted, found.len() as u64, found.iter().map(|found| found.size).sum());
        }
        Ok(())
    }

    /// Recency first, so that eviction sees it after a crash too; then the bound and the floor, which a
    /// smaller setting or others on the same disk may have broken.
    fn settle(&self) {
        self.recency.write_back(&self.layout);
        match self.reserve(0) {
            Ok(()) => {}
            Err(KeepError::NoRoom) => warn!("others fill the disk: files are relayed, not kept"),
            Err(cause @ (KeepError::Disk(_) | KeepError::ReadOnly)) => warn!(%cause, "cannot evict"),
        }
    }

    async fn off_reactor(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        let disk = Arc::clone(self);
        if let Err(lost) = tokio::task::spawn_blocking(move || work(&disk)).await {
            warn!(%lost, "the cache's background work failed");
        }
    }
}
