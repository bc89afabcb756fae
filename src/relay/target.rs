//! The file that a request turned out to mean.

use std::sync::Arc;

use metrics::counter;
use tracing::{debug, error, warn};
use url::Url;

use super::FetchError;
use crate::blob::Key;
use crate::index::KnownFile;
use crate::model::{FilePath, Sha256};
use crate::upstream::UpstreamError;

/// A file that upstream's index named.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: FilePath,
    pub(super) url: Arc<str>,
    pub(super) sha256: Option<Sha256>,
    pub(super) size: Option<u64>,
}

impl Target {
    pub(super) fn new(known: &KnownFile) -> Self {
        Self { path: known.path.clone(), url: known.url.clone(), sha256: known.sha256, size: known.size }
    }

    /// Where upstream has it; read only by who fetches it.
    pub(super) fn url(&self) -> Result<Url, FetchError> {
        let no_address = |_| UpstreamError::Unexpected("a file's address that cannot be read".to_owned());
        Ok(self.url.parse().map_err(no_address)?)
    }

    /// What it is kept under; a file whose digest nobody states is not kept. Its stated size may be wrong.
    pub(super) fn key(&self) -> Option<Key> {
        self.sha256.map(|sha256| Key { sha256, size: None })
    }

    /// Logs and counts the end of a fetch, once a fetch.
    pub(super) fn report(&self, failure: &FetchError) {
        let path = &self.path;
        match failure {
            FetchError::Digest { expected, actual } => {
                counter!("cheesewire_digest_mismatches_total").increment(1);
                error!(%path, %expected, %actual, "wrong digest: cut off, nothing kept");
            }
            FetchError::Size { stated, sent } => {
                counter!("cheesewire_size_mismatches_total").increment(1);
                error!(%path, stated, sent, "wrong size: cut off, nothing kept");
            }
            FetchError::Upstream(cause) if cause.retry_after().is_none() => {
                debug!(%path, %cause, "no file upstream");
            }
            FetchError::Upstream(_) | FetchError::TooLarge(_) | FetchError::Lost => {
                warn!(%path, cause = %failure, "a fetch failed");
            }
        }
    }
}
