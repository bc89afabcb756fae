//! The file that a request turned out to mean.

use std::sync::Arc;

use metrics::counter;
use tracing::{debug, error, warn};
use url::Url;

use super::FetchError;
use crate::journal::KnownFile;
use crate::metric;
use crate::model::{Digest, FileHasher, FilePath, ProjectName, Sha256};
use crate::upstream::{Upstream, UpstreamError};

/// A file that upstream's index named.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: FilePath,
    pub(super) url: Arc<str>,
    /// What decides whether it is right; `None` if nobody states a digest.
    pub(super) digest: Option<Digest>,
    /// What it is kept under, as far as it is known.
    pub(super) sha256: Option<Sha256>,
    pub(super) size: Option<u64>,
    pub(super) project: ProjectName,
}

impl Target {
    pub(super) fn new(known: &KnownFile) -> Self {
        let KnownFile { path, url, digest, sha256, size, project } = known;
        let (path, url, project) = (path.clone(), url.clone(), project.clone());
        Self { path, url, digest: *digest, sha256: *sha256, size: *size, project }
    }

    /// The file as the index knows it.
    pub(super) fn known(&self) -> KnownFile {
        let Self { path, url, digest, sha256, size, project } = self.clone();
        KnownFile { path, url, digest, sha256, size, project }
    }

    /// Where upstream has it, if it may be fetched from there; read only by who does.
    pub(super) fn url(&self, upstream: &Upstream) -> Result<Url, FetchError> {
        let no_address = |_| UpstreamError::Unexpected("a file's address that cannot be read".to_owned());
        let url = self.url.parse().map_err(no_address)?;
        upstream.check_clear_text(&url, self.digest.as_ref())?;
        Ok(url)
    }

    /// For its bytes.
    pub(super) fn hasher(&self) -> FileHasher {
        self.digest.map_or_else(FileHasher::default, |digest| FileHasher::new(digest.algorithm()))
    }

    /// Logs and counts the end of a fetch, once a fetch.
    pub(super) fn report(&self, failure: &FetchError) {
        let path = &self.path;
        match failure {
            FetchError::Digest { expected, actual } => {
                counter!(metric::DIGEST_MISMATCHES_TOTAL).increment(1);
                error!(%path, %expected, %actual, "wrong digest: cut off, nothing kept");
            }
            FetchError::Size { stated, sent } => {
                counter!(metric::SIZE_MISMATCHES_TOTAL).increment(1);
                error!(%path, stated, sent, "wrong size: cut off, nothing kept");
            }
            FetchError::Upstream(cause) if cause.retry_after().is_none() => {
                debug!(%path, %cause, "no file upstream");
            }
            // Whoever has it brought tells of these.
            FetchError::Awaited { .. } | FetchError::Deleted | FetchError::Unsent => {
                debug!(%path, cause = %failure, "a file is not brought");
            }
            FetchError::Upstream(_)
            | FetchError::TooLarge(_)
            | FetchError::NoDigest
            | FetchError::Cut
            | FetchError::OtherBytes
            | FetchError::Unkept(_)
            | FetchError::Slow
            | FetchError::Lost => {
                warn!(%path, cause = %failure, "a fetch failed");
            }
        }
    }
}
