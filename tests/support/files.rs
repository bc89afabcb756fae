//! The routes of files before a sandbox, with every limit at hand.

use std::net::SocketAddr;

use cheesewire::blob::{Store, StoreSettings};
use cheesewire::http::file_routes;
use cheesewire::index::{Index, IndexSettings};
use cheesewire::journal::{Journal, JournalSettings};
use cheesewire::model::ProjectName;
use cheesewire::relay::{Relay, RelaySettings};
use cheesewire::sandbox::{File, Sandbox};
use cheesewire::upstream::{Upstream, UpstreamSettings};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// A relay of files on a port of its own, and the sandbox behind it.
pub struct Files {
    pub sandbox: Sandbox,
    pub folder: TempDir,
    pub address: SocketAddr,
    tasks: TaskTracker,
}

impl Files {
    pub async fn start() -> Self {
        Self::with(|settings| settings, RelaySettings::default()).await
    }

    /// With limits.
    pub async fn with(limit: impl FnOnce(StoreSettings) -> StoreSettings, relay: RelaySettings) -> Self {
        Self::before(limit, relay, Duration::from_secs(30)).await
    }

    /// Before an upstream that may be silent for so long; the index knows every project of the sandbox that the tests ask for.
    pub async fn before(
        limit: impl FnOnce(StoreSettings) -> StoreSettings,
        relay: RelaySettings,
        silence: Duration,
    ) -> Self {
        let sandbox = super::sandbox().await;
        let folder = tempfile::tempdir().unwrap();
        let settings = UpstreamSettings::new(sandbox.url().parse().unwrap());
        let upstream =
            Upstream::new(UpstreamSettings { retries: 0, read_timeout: silence, ..settings }).unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        let index = Index::new(upstream.clone(), journal.clone(), IndexSettings::default());
        for project in sandbox.projects() {
            // A project without a page is one that no test asks for.
            let _ = index.page(&ProjectName::parse(&project.name).unwrap()).await;
        }
        let store = StoreSettings { free_floor: 0, ..StoreSettings::new(folder.path().join("files")) };
        let store = Store::open(&limit(store)).unwrap();
        let tasks = TaskTracker::new();
        let relay = Relay::new(index, journal, upstream, store, relay, tasks.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, file_routes(relay)).await });
        sandbox.forget_requests();
        Self { sandbox, folder, address, tasks }
    }

    /// The address of a path below `/packages/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/packages/{path}", self.address)
    }

    /// A file of the sandbox, by its ending: the first whose size is in `sizes`.
    pub fn file(&self, sizes: std::ops::Range<u64>) -> Arc<File> {
        let projects = self.sandbox.projects();
        let mut files = projects.iter().flat_map(|project| project.files().map(|(_, upload)| &upload.file));
        files.find(|file| sizes.contains(&file.content.size())).unwrap().clone()
    }

    /// Waits until no fetch runs.
    pub async fn quiet(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many files are kept whole.
    pub fn kept(&self) -> usize {
        let shards = std::fs::read_dir(self.folder.path().join("files/sha256")).unwrap();
        shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
    }
}
