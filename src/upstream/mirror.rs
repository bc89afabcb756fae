//! Another mirror, which whoever runs the relay names: asked with the same manners as upstream, without its credentials.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc::Sender;
use url::Url;

use super::client::{unasked_304, whole};
use super::transport::{Kind, header, sorted};
use super::{Upstream, UpstreamError, pace};

/// Redirects that are followed: more is a loop.
const MAX_REDIRECTS: usize = 3;

impl Upstream {
    /// Gets something of another mirror, at most so many bytes, and hands it on as it comes; ends early if nobody takes it.
    /// Redirects are followed on the same scheme, host and port only.
    pub async fn mirror(&self, url: &Url, most: usize, into: &Sender<Bytes>) -> Result<(), UpstreamError> {
        let get = async {
            let response = self.ask_mirror(url).await?;
            whole(&response)?;
            let (mut read, mut chunks) = (0, response.bytes_stream());
            while let Some(chunk) = chunks.try_next().await.map_err(UpstreamError::from_transport)? {
                Kind::Mirror.count_bytes(chunk.len());
                read += chunk.len();
                if read > most {
                    return Err(UpstreamError::TooLarge(most));
                }
                if !chunk.is_empty() && into.send(chunk).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        self.transport.timed(Kind::Mirror, url, get, |()| "fresh").await
    }

    async fn ask_mirror(&self, url: &Url) -> Result<Response, UpstreamError> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self.transport.clients(Kind::Mirror).open.get(at.clone());
            let response = request.send().await.map_err(UpstreamError::from_transport)?;
            pace::answered();
            if response.status() == StatusCode::NOT_MODIFIED {
                return Err(unasked_304());
            }
            if !response.status().is_redirection() {
                return sorted(response, self.transport.settings.clock.system_time());
            }
            let target = header(response.headers(), LOCATION.as_str()).and_then(|to| at.join(to).ok());
            let here = target.filter(|to| to.origin() == url.origin());
            at = here.ok_or_else(|| UpstreamError::Unexpected("a redirect to elsewhere".to_owned()))?;
        }
        Err(UpstreamError::Unexpected("redirects that do not end".to_owned()))
    }
}
