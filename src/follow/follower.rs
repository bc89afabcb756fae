//! The task that follows upstream.

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::changelog::{CHANGELOG, LAST_SERIAL, Slice};
use super::{FollowError, FollowSettings, FollowStatus};
use crate::journal::{Journal, Upkeep};
use crate::model::Serial;
use crate::upstream::Upstream;
use crate::xmlrpc::Value;

/// What polls and callers' questions share.
pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) upstream: Upstream,
    pub(super) settings: FollowSettings,
    pub(super) status: watch::Sender<FollowStatus>,
}

/// Keeps `journal` current until `cancel`: polls if the settings say so, and always asks upstream what callers
/// need. It stops at once: what is being written is still written whole, and what is being asked is given up.
///
/// Polls and questions run beside each other in one task; the upstream budget puts their calls in a row.
pub async fn run(
    journal: Journal,
    upstream: Upstream,
    settings: FollowSettings,
    status: watch::Sender<FollowStatus>,
    cancel: CancellationToken,
) {
    let upkeep = if settings.follow {
        Upkeep::Polled
    } else {
        Upkeep::OnDemand { head: settings.interval, projects: settings.listing_lifetime }
    };
    journal.set_upkeep(upkeep);
    let follower = Follower { journal, upstream, settings, status };
    let work = async {
        if follower.settings.follow {
            tokio::join!(follower.poll_for_ever(), follower.serve_for_ever());
        } else {
            follower.serve_for_ever().await;
        }
    };
    cancel.run_until_cancelled(work).await;
}

impl Follower {
    /// Upstream's events after a serial, as many as it gives.
    pub(super) async fn slice(&self, since: Serial) -> Result<Slice, FollowError> {
        let answer = self.upstream.call(CHANGELOG, &[Value::Int(since.0)]).await?;
        // 50,000 rows take some 20 ms.
        let read = spawn_blocking(move || Slice::read(answer)).await;
        read.unwrap_or(Err(FollowError::Shape { method: CHANGELOG, seen: "rows that stopped their reader" }))
    }

    /// Upstream's last serial.
    pub(super) async fn last_serial(&self) -> Result<Serial, FollowError> {
        let answer = self.upstream.call(LAST_SERIAL, &[]).await?;
        let wrong = FollowError::Shape { method: LAST_SERIAL, seen: "something other than an int" };
        answer.as_int().map(Serial).ok_or(wrong)
    }

    /// Fills the project table from upstream's listing.
    pub(super) async fn list(&self) -> Result<(), FollowError> {
        let listing = self.upstream.listing().await?;
        let newest = listing.projects.iter().filter_map(|project| project.serial).max();
        // Without its own serial a listing is at least as new as its newest project. One without any serial (HTML
        // of an old server) is taken for current: there is nothing better.
        let last_serial = match listing.last_serial.or(newest) {
            Some(serial) => serial,
            None => self.last_serial().await?,
        };
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        self.journal.seed(projects, last_serial).await?;
        tracing::info!(%last_serial, "the projects were filled from upstream's listing");
        Ok(())
    }
}
