//! The sandbox as its users hold it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::{Event, ProjectName, Serial};

use super::catalogue::Catalogue;
use super::change::{Change, Publication};
use super::fault::Faults;
use super::limit::Limiter;
use super::page::Origins;
use super::project::{Project, Status};
use super::requests::{RequestCounts, Requests};
use super::scale::Scale;
use super::serve::{Port, run};
use super::shared::{Pause, Shared, XmlRpc, blocking};
use super::shop::Shop;
use super::{File, SandboxError, SandboxSettings, history};

/// A running sandbox. Dropped, it stops.
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

/// The fixtures' index, packed once a process: it takes some 100 ms, and every test wants one.
static FIXTURES: OnceLock<Shop> = OnceLock::new();

fn fixtures() -> Result<Shop, SandboxError> {
    if let Some(shop) = FIXTURES.get() {
        return Ok(shop.clone());
    }
    let shop = history::build()?;
    Ok(FIXTURES.get_or_init(|| shop).clone())
}

impl Sandbox {
    /// Makes the index and listens.
    pub async fn start(settings: SandboxSettings) -> Result<Self, SandboxError> {
        let wanted = settings.listen;
        let failed = |error| SandboxError::Listen { address: wanted, error };
        let scale = settings.scale.clone();
        let catalogue = blocking(move || match scale {
            Some(scale) => Ok(Catalogue::Scale(Arc::new(Scale::open(&scale)?))),
            None => fixtures().map(Catalogue::fixtures),
        })
        .await?;
        let port = Port::take(wanted).map_err(failed)?;
        let listener = port.listen().map_err(failed)?;
        let address = port.address;
        let base = origin(&reachable(address).ip().to_string(), address);
        let files = settings.files_host.as_deref().map_or_else(|| base.clone(), |host| origin(host, address));
        let (pauses, received) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            origins: Origins { index: base, files },
            catalogue,
            faults: Faults::default(),
            requests: Requests::default(),
            limiter: settings.rate_limit.map(Limiter::new),
            xmlrpc: RwLock::default(),
            pauses,
            settings,
        });
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(run(listener, port, shared.clone(), received, stop.clone()));
        Ok(Self { shared, address, stop, accepting })
    }

    /// Its address with a `/` at the end: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        self.shared.origins.index.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The faults that are armed.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What has been asked for.
    pub fn requests(&self) -> RequestCounts {
        self.shared.requests.counts()
    }

    /// Starts the counts again.
    pub fn forget_requests(&self) {
        self.shared.requests.forget();
    }

    /// Every project as it is now, in the order of their normal names.
    pub fn projects(&self) -> Vec<Arc<Project>> {
        self.shared.catalogue.projects()
    }

    /// Those of them that `/simple/` lists: not those in quarantine.
    pub fn listed(&self) -> Vec<Arc<Project>> {
        let mut projects = self.projects();
        projects.retain(|project| project.status != Status::Quarantined);
        projects
    }

    /// A project as it is now, by any spelling.
    pub fn project(&self, name: &str) -> Option<Arc<Project>> {
        self.shared.catalogue.project(&ProjectName::parse(name).ok()?, Serial(i64::MAX))
    }

    /// The address that pages name for a file.
    pub fn file_url(&self, file: &File) -> String {
        self.shared.origins.file(file)
    }

    /// The serial of the last event.
    pub fn last_serial(&self) -> Serial {
        self.shared.catalogue.last_serial()
    }

    /// At most `limit` events after a serial, ascending.
    pub fn events_after(&self, serial: Serial, limit: usize) -> Vec<Event> {
        self.shared.catalogue.events_after(serial, limit)
    }

    /// Publishes a release or further files of one. The serial of its last event.
    pub async fn publish(&self, publication: Publication) -> Result<Serial, SandboxError> {
        self.change(Change::Publish(publication.into())).await
    }

    /// Makes something happen to a project, with its events. The serial of the last of them.
    pub async fn change(&self, change: Change) -> Result<Serial, SandboxError> {
        self.shared.clone().change(change).await
    }

    /// Keeps the whole index as it is now, in place of what was kept before.
    pub fn back_up(&self) -> Result<(), SandboxError> {
        self.shared.catalogue.back_up()
    }

    /// Goes back to what was kept, as an index that was restored from a backup: its last serial, which this gives, is
    /// that of then, and what happens next has serials that were others' before.
    pub fn restore(&self) -> Result<Serial, SandboxError> {
        self.shared.catalogue.restore()
    }

    /// Switches XML-RPC.
    pub fn set_xmlrpc(&self, mode: XmlRpc) {
        *self.shared.xmlrpc.write().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Closes the listener and all connections: who connects is refused. Done when it returns.
    pub async fn pause(&self) -> Result<(), SandboxError> {
        self.pause_or_resume(true).await
    }

    /// Listens on the same address again; fails if another program has taken it meanwhile.
    pub async fn resume(&self) -> Result<(), SandboxError> {
        self.pause_or_resume(false).await
    }

    async fn pause_or_resume(&self, paused: bool) -> Result<(), SandboxError> {
        let (done, finished) = oneshot::channel();
        self.shared.pauses.send(Pause { paused, done }).await.map_err(|_| SandboxError::Stopped)?;
        let listening = finished.await.map_err(|_| SandboxError::Stopped)?;
        listening.map_err(|error| SandboxError::Listen { address: self.address, error })
    }

    /// Closes the listener and all connections for good.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // An error would be the accepting task's panic; it is over either way.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn origin(host: &str, address: SocketAddr) -> String {
    let port = address.port();
    if host.contains(':') { format!("http://[{host}]:{port}/") } else { format!("http://{host}:{port}/") }
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
