//! Requests and how much of their answers is read.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use futures_util::TryStreamExt as _;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use url::Url;

use super::{ClientError, ClientSettings, Reason};
use crate::model::redacted;

/// What an old configuration may name: the address of calls or of the index, both below the relay's own.
const BELOW: [&str; 3] = ["/pypi", "/RPC2", "/simple"];

/// A relay's address, with the manners of asking.
pub(super) struct Relay {
    /// It, with a slash at its end and no query. May carry a password.
    pub(super) base: Url,
    /// It for people.
    pub(super) shown: String,
    /// Where calls go.
    pub(super) calls: Url,
    pub(super) settings: ClientSettings,
    /// What sends calls. Not redirected: a POST would come out as a GET.
    http: reqwest::Client,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("address", &self.shown).finish_non_exhaustive()
    }
}

impl Relay {
    pub(super) fn new(address: &str, settings: ClientSettings) -> Result<Arc<Self>, ClientError> {
        let shown = redacted(address);
        let unusable = |reason: &str| ClientError {
            relay: shown.clone(),
            request: "its address".to_owned(),
            reason: Reason::Unusable(reason.to_owned()),
        };
        let mut calls = Url::parse(address).map_err(|error| unusable(&error.to_string()))?;
        if !matches!(calls.scheme(), "http" | "https") {
            return Err(unusable("neither http nor https"));
        }
        let path = calls.path().trim_end_matches('/');
        let path = BELOW.iter().find_map(|below| path.strip_suffix(below)).unwrap_or(path).to_owned();
        calls.set_fragment(None);
        let mut base = calls.clone();
        base.set_query(None);
        base.set_path(&format!("{path}/"));
        // Its query stays: `?deadline=` says how long the relay may take.
        calls.set_path(&format!("{path}/pypi"));
        let builder = client(&settings).redirect(Policy::none());
        // Without TLS no certificate authorities are needed, which a small container lacks and others take time to read.
        let builder =
            if calls.scheme() == "http" { builder.tls_certs_only(std::iter::empty()) } else { builder };
        let http = builder.build().map_err(|error| ClientError {
            relay: shown.clone(),
            request: "its address".to_owned(),
            reason: Reason::of(error),
        })?;
        Ok(Arc::new(Self { base, shown, calls, settings, http }))
    }

    pub(super) fn error(&self, request: &str, reason: Reason) -> ClientError {
        ClientError { relay: self.shown.clone(), request: request.to_owned(), reason }
    }

    /// Posts a call, and reads the text that is answered.
    pub(super) async fn post(&self, body: String) -> Result<String, Reason> {
        let request = self.http.post(self.calls.clone()).body(body);
        let request = request.header(CONTENT_TYPE, "text/xml").header(ACCEPT_ENCODING, "gzip");
        let response = request.timeout(self.settings.call_timeout).send().await.map_err(Reason::of)?;
        let response = successful(response)?;
        let media_type = media_type(response.headers());
        if !matches!(media_type.as_str(), "text/xml" | "application/xml") {
            let seen = if media_type.is_empty() { "no content type" } else { &media_type };
            return Err(Reason::Unexpected(format!("{seen} where XML-RPC belongs")));
        }
        let body = whole(response, self.settings.answer_limit).await?;
        String::from_utf8(body).map_err(|_| Reason::Unexpected("XML that is not in UTF-8".to_owned()))
    }

    /// Reads what `/readyz` answers, and whether the relay is ready (200) or not (503).
    pub(super) async fn readiness(&self) -> Result<(bool, Vec<u8>), Reason> {
        let address = self.base.join("readyz").map_err(|error| Reason::Unusable(error.to_string()))?;
        let request = self.http.get(address).timeout(self.settings.call_timeout);
        let response = request.send().await.map_err(Reason::of)?;
        let refused = response.status() == StatusCode::SERVICE_UNAVAILABLE
            && media_type(response.headers()) == "application/json";
        let response = if refused { response } else { successful(response)? };
        Ok((!refused, whole(response, self.settings.answer_limit).await?))
    }
}

/// What all requests have in common.
pub(super) fn client(settings: &ClientSettings) -> ClientBuilder {
    // An error says that the process has a provider of TLS already: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(settings.agent.as_str())
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .referer(false)
        .tcp_nodelay(true)
}

/// The answer, if its status says that it is one.
pub(super) fn successful(response: Response) -> Result<Response, Reason> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(Reason::Status { status: status.as_u16(), retry: retry.map(Duration::from_secs) })
}

/// The media type without parameters, in lower case and not longer than people read.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let value = value.split(';').next().unwrap_or(value).trim();
    value.chars().take(60).collect::<String>().to_ascii_lowercase()
}

/// A whole body of at most `limit` bytes, decoded: what a relay compresses is compressed by gzip.
pub(super) async fn whole(response: Response, limit: usize) -> Result<Vec<u8>, Reason> {
    let coding =
        response.headers().get(CONTENT_ENCODING).map(|coding| coding.as_bytes().to_ascii_lowercase());
    let chunks = response.bytes_stream().map_err(|error| io::Error::other(Carried(Reason::of(error))));
    let body = StreamReader::new(chunks);
    match coding.as_deref() {
        None | Some(b"" | b"identity") => read(body, limit).await,
        Some(b"gzip" | b"x-gzip") => {
            let mut decoder = GzipDecoder::new(body);
            decoder.multiple_members(true);
            read(decoder, limit).await
        }
        Some(_) => Err(Reason::Unexpected("a coding that was not asked for".to_owned())),
    }
}

async fn read(body: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, Reason> {
    let mut bytes = Vec::new();
    let read = body.take(limit as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| match error.downcast::<Carried>() {
        Ok(Carried(reason)) => reason,
        Err(error) => Reason::Broken(error.to_string()),
    })?;
    if bytes.len() > limit { Err(Reason::TooLarge(limit)) } else { Ok(bytes) }
}

/// The transport's failure on its way through a reader.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Carried(Reason);
