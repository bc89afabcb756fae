//! A relay of one's own, in this process.

use std::path::Path;

use cheesewire::app::App;
use cheesewire::config::{Config, Sources};
use cheesewire::model::Clock;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Deadlines that decide nothing: the product's would on a machine that is ten times slower.
pub const PATIENT: [(&str, &str); 8] = [
    ("rpc.deadline", "5m"),
    ("rpc.longest_deadline", "10m"),
    ("index.patience", "4m"),
    ("index.deadline", "5m"),
    ("feed.first_wait", "5m"),
    ("http.header_timeout", "5m"),
    ("http.body_timeout", "5m"),
    ("http.idle_timeout", "5m"),
];

/// A running relay. Dropped, it stops; its folder goes with it.
pub struct Relay {
    /// Its address with a `/` at the end.
    pub url: String,
    /// Those of all its listeners, likewise, as if none were encrypted.
    pub urls: Vec<String>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    folder: TempDir,
}

impl Relay {
    /// A relay before `upstream`, with settings on top of those that keep tests quick.
    pub async fn start(upstream: &str, settings: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), upstream, settings).await
    }

    /// The same by a clock that the test sets.
    pub async fn start_at(upstream: &str, settings: &[&str], clock: &Clock) -> Self {
        Self::start_in_at(tempfile::tempdir().unwrap(), upstream, settings, clock).await
    }

    /// The same over what another relay left.
    pub async fn start_in(folder: TempDir, upstream: &str, settings: &[&str]) -> Self {
        Self::start_in_at(folder, upstream, settings, &Clock::system()).await
    }

    /// Both.
    pub async fn start_in_at(folder: TempDir, upstream: &str, settings: &[&str], clock: &Clock) -> Self {
        let mut config = config(folder.path(), upstream, settings);
        config.set_clock(clock);
        let app = App::build(&config).await.unwrap();
        let urls: Vec<_> = app.addresses().iter().map(|address| format!("http://{address}/")).collect();
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let stop = stop.clone();
            async move { app.run(stop).await.unwrap() }
        });
        Self { url: urls[0].clone(), urls, stop, running, folder }
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it in order, and leaves its folder to the next.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.folder
    }
}

fn config(folder: &Path, upstream: &str, settings: &[&str]) -> Config {
    let mut sources = Sources::default();
    sources.flag("test", "upstream.url", Some(upstream.to_owned()));
    sources.flag("test", "http.listen", Some("127.0.0.1:0".to_owned()));
    sources.flag("test", "data.folder", Some(folder.display().to_string()));
    // The sandbox has no limit unless a test wants one. No deadline decides anything but where a test sets one, nor does the room
    // that the machine's disk has left.
    for (key, value) in [
        ("cache.free_floor", "0"),
        // A test's index and its files may have a port each.
        ("upstream.allowed_hosts", "127.0.0.1"),
        ("upstream.calls_per_second", "1000"),
        // To make a key takes seconds.
        ("signing.enabled", "false"),
    ]
    .into_iter()
    .chain(PATIENT)
    {
        sources.flag("test", key, Some(value.to_owned()));
    }
    for setting in settings {
        sources.set(setting).unwrap();
    }
    Config::read(sources).unwrap()
}
