//! The task that follows upstream.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{FollowError, FollowSettings, FollowStatus};
use crate::journal::{Journal, Upkeep};
use crate::upstream::Upstream;

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
        Upkeep::Polled { head: settings.head_lifetime }
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
    /// Fills the project table from upstream's listing.
    pub(super) async fn list(&self) -> Result<(), FollowError> {
        let listing = self.upstream.listing().await?;
        let newest = listing.projects.iter().filter_map(|project| project.serial).max();
        // Without its own serial a listing is at least as new as its newest project. One without any serial (HTML
        // of an old server) is taken for current: there is nothing better.
        let last_serial = match listing.last_serial.or(newest) {
            Some(serial) => serial,
            None => self.upstream.changelog_last_serial().await?,
        };
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        self.journal.seed(projects, last_serial).await?;
        tracing::info!(%last_serial, "the projects were filled from upstream's listing");
        Ok(())
    }
}
