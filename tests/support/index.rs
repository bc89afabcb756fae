//! An index over an upstream, served over HTTP, without the rest of the relay.

use std::net::SocketAddr;

use cheesewire::follow::{FollowSettings, FollowStatus, run};
use cheesewire::http::{Origins, index_routes};
use cheesewire::index::{Index, IndexSettings};
use cheesewire::journal::{Journal, JournalSettings};
use cheesewire::model::Clock;
use cheesewire::upstream::Upstream;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::scripted::upstream;

/// What a test talks to.
pub struct IndexRelay {
    pub index: Index,
    pub journal: Journal,
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    upstream: Upstream,
    _folder: TempDir,
    following: Option<DropGuard>,
}

impl IndexRelay {
    /// Over the index at `base`; the journal knows nothing, and nobody follows.
    pub async fn start(base: &str, settings: IndexSettings) -> Self {
        Self::start_at(base, settings, &Clock::system()).await
    }

    /// The same by a clock that the test sets.
    pub async fn start_at(base: &str, settings: IndexSettings, clock: &Clock) -> Self {
        Self::over(upstream(base.parse().unwrap()), settings, clock).await
    }

    /// The same over what asks upstream in its own way.
    pub async fn over(upstream: Upstream, settings: IndexSettings, clock: &Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = JournalSettings { clock: clock.clone(), ..JournalSettings::default() };
        let journal = Journal::open(folder.path(), kept).await.unwrap();
        let index = Index::new(upstream.clone(), journal.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let router = index_routes(index.clone(), Origins::new(None, address));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let origin = format!("http://{address}");
        Self { index, journal, origin, upstream, _folder: folder, following: None }
    }

    /// Starts to answer what the journal wants, without polling.
    pub fn answer_wants(&mut self) {
        let cancel = CancellationToken::new();
        let settings = FollowSettings { enabled: false, ..FollowSettings::default() };
        let status = watch::Sender::new(FollowStatus::default());
        tokio::spawn(run(self.journal.clone(), self.upstream.clone(), settings, status, cancel.clone()));
        self.following = Some(cancel.drop_guard());
    }

    /// Fills the journal's projects from upstream's listing, once.
    pub async fn seed(&self) {
        let listing = self.upstream.listing().await.unwrap();
        let projects = listing.projects.into_iter().map(|project| (project.name, project.serial)).collect();
        self.journal.seed(projects, listing.last_serial.unwrap()).await.unwrap();
    }

    /// The same index after its memory is gone: a restart.
    pub fn forgetful(&self, settings: IndexSettings) -> Index {
        Index::new(self.upstream.clone(), self.journal.clone(), settings)
    }

    /// An address on the relay.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}
