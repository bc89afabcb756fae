//! What every answer needs of a running sandbox.

use std::io;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::model::{Clock, Serial};

use super::catalogue::Catalogue;
use super::change::Change;
use super::fault::Faults;
use super::limit::Limiter;
use super::page::Origins;
use super::requests::Requests;
use super::{SandboxError, SandboxSettings};

/// Whether calls are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XmlRpc {
    /// As today.
    #[default]
    Live,
    /// Every call gets a removal fault.
    Removed,
    /// Every call gets this status: 404, 405 …
    Status(u16),
}

/// To close the listener and every connection, or to open it again; acknowledged when done.
pub(super) struct Pause {
    pub(super) paused: bool,
    pub(super) done: oneshot::Sender<io::Result<()>>,
}

/// Everything that answers need.
pub(super) struct Shared {
    pub(super) settings: SandboxSettings,
    pub(super) origins: Origins,
    pub(super) catalogue: Catalogue,
    pub(super) faults: Faults,
    pub(super) requests: Requests,
    pub(super) limiter: Option<Limiter>,
    pub(super) xmlrpc: RwLock<XmlRpc>,
    pub(super) pauses: mpsc::Sender<Pause>,
}

impl Shared {
    /// Makes something happen to a project. The serial of its last event.
    pub(super) async fn change(self: Arc<Self>, change: Change) -> Result<Serial, SandboxError> {
        let now = self.settings.clock.as_ref().map(Clock::unix);
        blocking(move || self.catalogue.change(change, now)).await
    }
}

/// Runs a computation that may take long off the reactor.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    // It is never aborted, so it fails only with the runtime.
    tokio::task::spawn_blocking(work).await.map_err(|_| SandboxError::Stopped)?
}
