//! A page or document in the bytes that a client gets, rendered and compressed once.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::IndexError;
use crate::journal::DocumentKey;
use crate::model::Serial;

/// Below this compression saves no packet.
const SMALLEST_TO_COMPRESS: usize = 1000;
/// gzip's level: 6 is a third smaller than 1, and done once for each page.
const LEVEL: Compression = Compression::new(6);

/// The forms of the simple index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// PEP 503.
    Html,
    /// PEP 691.
    Json,
}

impl Form {
    /// The `Content-Type`. For JSON exactly what devpi and proxpi compare with (docs/wire.md section 7).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/vnd.pypi.simple.v1+json",
        }
    }
}

/// Bytes for a client.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The body, not compressed.
    pub body: Bytes,
    /// The strong validator of `body`, with its quotes.
    pub etag: String,
    /// For `X-PyPI-Last-Serial`.
    pub last_serial: Option<Serial>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Older than it should be, because upstream fails.
    pub stale: bool,
    pub(super) gzip: Arc<OnceCell<Option<Bytes>>>,
}

/// What a rendered form is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RenderKey {
    pub(super) document: DocumentKey,
    pub(super) form: Form,
    /// Where the client knows us; empty for HTML, whose links are relative.
    pub(super) origin: String,
}

/// In the cache, with the stamp of what it was rendered from.
pub(super) type Rendering = (u64, Rendered);

impl Rendered {
    pub(super) fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        let digest = hex::encode(&Sha256::digest(&body)[..16]);
        Self {
            body: body.into(),
            etag: format!("\"{digest}\""),
            last_serial: None,
            content_type,
            stale: false,
            gzip: Arc::new(OnceCell::new()),
        }
    }

    /// The compressed body, made on first need; `None` where it would save nothing.
    pub async fn gzipped(&self) -> Result<Option<Bytes>, IndexError> {
        let compress = || async {
            let body = self.body.clone();
            spawn_blocking(move || compress(&body)).await.map_err(|_| IndexError::Lost)
        };
        self.gzip.get_or_try_init(compress).await.cloned()
    }

    /// What it weighs in a cache: the body, and room for the compressed one.
    pub(super) fn weight(&self) -> u32 {
        let bytes = self.body.len() + self.body.len() / 3 + size_of::<Self>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

fn compress(body: &[u8]) -> Option<Bytes> {
    if body.len() < SMALLEST_TO_COMPRESS {
        return None;
    }
    let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 3), LEVEL);
    gzip.write_all(body).ok()?;
    let out = gzip.finish().ok()?;
    (out.len() < body.len()).then(|| out.into())
}
