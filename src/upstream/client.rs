//! The questions that can be asked upstream.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use url::Url;

use super::text::{Format, first, utf8};
use super::throttle::{silence_of, silence_of_header};
use super::transport::{Kind, Shared, Transport, charset, header, media_type, read, read_in, send};
use super::{Share, Turns, UpstreamError, UpstreamSettings, Validators};
use crate::model::{Digest, ProjectName, Serial};
use crate::xmlrpc::{DecodeError, Fault, Limits, Value, decode_response, encode_call};

/// JSON preferred, HTML read as well, in the words that pip uses.
pub(super) const ACCEPT_SIMPLE: &str = "application/vnd.pypi.simple.v1+json, \
    application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";
/// Nesting of an XML-RPC answer: upstream's deepest, a struct in an array, has about 10.
pub(super) const ANSWER_LIMITS: Limits = Limits { depth: 64 };

/// What reading an answer comes to.
pub(super) type Decoded<T> = Result<Result<T, Fault>, DecodeError>;

/// The door. Clones share connections and the budget.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub(super) transport: Shared,
}

/// What a conditional fetch brought.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// 304: what the validator stands for is still current.
    NotModified,
    /// A new copy.
    Fresh(Document),
}

/// A page or document as upstream sent it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The decoded body, in UTF-8 without a byte order mark as far as it is text; never empty.
    pub body: Bytes,
    /// The media type in lower case, without parameters.
    pub content_type: String,
    /// The validators for the next question.
    pub validators: Box<Validators>,
    /// `X-PyPI-Last-Serial`.
    pub last_serial: Option<Serial>,
    /// Where it came from in the end; what its relative links are relative to.
    pub url: Url,
    /// What it has of the room for large bodies: to be held until it was read.
    pub share: Share,
}

impl Upstream {
    /// A door to the index that the settings name. Nothing is asked yet.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        Ok(Self { transport: Arc::new(Transport::new(settings)?) })
    }

    /// Whether there is no index to ask, so that every question fails with [`UpstreamError::Bundled`].
    pub fn is_bundled(&self) -> bool {
        self.transport.settings.bundled
    }

    /// Fails if a page's link is not to be followed because neither encryption nor a digest protects what comes: it is not
    /// encrypted, although the index is, and the page states no SHA-256 or stronger one. Whether the link's host may be
    /// asked is checked when it is asked.
    pub fn check_clear_text(&self, url: &Url, digest: Option<&Digest>) -> Result<(), UpstreamError> {
        let checked = self.transport.links.check_clear_text(url, digest);
        checked.map_err(|refusal| refusal.report(url))
    }

    /// One XML-RPC call, when the budget allows. A rate-limit fault comes back as [`UpstreamError::Limited`],
    /// and nothing is called until it has passed.
    pub async fn call(&self, method: &str, params: &[Value]) -> Result<Value, UpstreamError> {
        let body = encode_call(method, params)
            .map_err(|_| UpstreamError::Settings("a parameter that XML-RPC has no word for"))?;
        self.transport.check()?;
        self.transport.throttle.turn().await?;
        self.send_call(body, |answer| decode_response(answer, ANSWER_LIMITS)).await
    }

    /// Sends a call whose turn it is, and reads the answer with `decode`.
    pub(super) async fn send_call<T: Send + 'static>(
        &self,
        body: Bytes,
        decode: impl FnOnce(&[u8]) -> Decoded<T> + Send + 'static,
    ) -> Result<T, UpstreamError> {
        let url = self.transport.addresses.calls();
        self.transport.timed(Kind::Call, &url, self.exchange(body, decode), |_| "fresh").await
    }

    async fn exchange<T: Send + 'static>(
        &self,
        body: Bytes,
        decode: impl FnOnce(&[u8]) -> Decoded<T> + Send + 'static,
    ) -> Result<T, UpstreamError> {
        self.transport.check()?;
        let url = self.transport.addresses.calls();
        let request = self.transport.post(&url).header(CONTENT_TYPE, "text/xml").body(body);
        let response = send(request, &self.transport.settings.clock).await.inspect_err(|error| {
            if let UpstreamError::Limited { retry } = error {
                self.transport.throttle.hush(*retry);
            }
        })?;
        if let Some(silence) = header(response.headers(), "ratelimit").and_then(silence_of_header) {
            self.transport.throttle.hush(silence);
        }
        let media_type = media_type(response.headers());
        if !matches!(media_type.as_str(), "text/xml" | "application/xml") {
            return Err(UpstreamError::Unexpected(format!("{} where XML-RPC belongs", named(&media_type))));
        }
        let body = read(response, Kind::Call, self.transport.settings.call_limit).await?;
        // A full changelog page takes 100 ms to read: not on the reactor.
        let decoded = tokio::task::spawn_blocking(move || decode(&body)).await;
        let decoded =
            decoded.map_err(|_| UpstreamError::Unexpected("XML that stopped its reader".to_owned()))?;
        match decoded {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => match silence_of(&fault) {
                Some(retry) => {
                    self.transport.throttle.hush(retry);
                    Err(UpstreamError::Limited { retry })
                }
                None => Err(UpstreamError::Fault(fault)),
            },
            Err(error) => Err(UpstreamError::Unexpected(format!("XML-RPC that cannot be read: {error}"))),
        }
    }

    /// A project's JSON document, or that of one release.
    pub async fn json_document(
        &self,
        name: &ProjectName,
        version: Option<&str>,
        validator: Option<&str>,
    ) -> Result<Fetched, UpstreamError> {
        let url = self.transport.addresses.json(name, version);
        self.document(Kind::Json, &url, "application/json", &Validators::etag(validator)).await
    }

    /// Where a project's JSON document is, or that of one release.
    pub fn json_address(&self, name: &ProjectName, version: Option<&str>) -> Url {
        self.transport.addresses.json(name, version)
    }

    /// A file's metadata (PEP 658), at the address that its page advertises. Whether its digest is right, the caller
    /// knows.
    pub async fn metadata(&self, url: &Url) -> Result<Bytes, UpstreamError> {
        let limit = self.transport.settings.page_limit;
        let once = || {
            let fetch = async {
                let request = self.transport.get(Kind::Metadata, url);
                let response = self.transport.fetch(Kind::Metadata, request).await?;
                whole(&response)?;
                let room = Some(&self.transport.room);
                read_in(room, response, Kind::Metadata, limit).await.map(|(body, _)| body)
            };
            self.transport.timed(Kind::Metadata, url, fetch, |_| "fresh")
        };
        self.transport.repeated(once).await
    }

    /// Turns of one kind of transfer that its reader takes itself; `pool` is the word in metrics. `waiting` may wait for one.
    pub fn turns(&self, pool: &'static str, at_once: usize, waiting: usize) -> Turns {
        self.transport.settings.turns(pool, at_once, waiting)
    }

    /// The most memory that a page or document may take once it was read, in bytes.
    pub fn document_memory(&self) -> usize {
        self.transport.settings.document_memory
    }

    /// Waits for room to read a body of so many bytes that is kept.
    pub async fn room(&self, bytes: usize) -> Share {
        self.transport.room.take(bytes).await
    }

    /// Waits until nobody waits for an answer of upstream's, files not counted.
    pub async fn idle(&self) {
        self.transport.idle().await;
    }

    /// A project's JSON document; not repeated if it fails.
    pub async fn json_document_once(&self, name: &ProjectName) -> Result<Fetched, UpstreamError> {
        let url = self.transport.addresses.json(name, None);
        let unknown = Validators::default();
        let fetch = self.fetch(Kind::Json, &url, "application/json", &unknown);
        self.transport.timed(Kind::Json, &url, fetch, |_| "fresh").await
    }

    /// A file's provenance (PEP 740), at the address that its page names. Not conditional: it hardly changes,
    /// and few ask.
    pub async fn provenance(&self, url: &Url) -> Result<Bytes, UpstreamError> {
        const INTEGRITY: &str = "application/vnd.pypi.integrity.v1+json";
        match self.document(Kind::Provenance, url, INTEGRITY, &Validators::default()).await? {
            Fetched::Fresh(document) => Ok(document.body),
            Fetched::NotModified => Err(unasked_304()),
        }
    }

    pub(super) async fn document(
        &self,
        kind: Kind,
        url: &Url,
        accept: &'static str,
        known: &Validators,
    ) -> Result<Fetched, UpstreamError> {
        let once = || {
            let fetch = self.fetch(kind, url, accept, known);
            self.transport.timed(kind, url, fetch, |fetched| match fetched {
                Fetched::NotModified => "not_modified",
                Fetched::Fresh(_) => "fresh",
            })
        };
        self.transport.repeated(once).await
    }

    async fn fetch(
        &self,
        kind: Kind,
        url: &Url,
        accept: &'static str,
        known: &Validators,
    ) -> Result<Fetched, UpstreamError> {
        let request = known.ask(self.transport.get(kind, url).header(ACCEPT, accept));
        let response = self.transport.fetch(kind, request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return if known.is_empty() { Err(unasked_304()) } else { Ok(Fetched::NotModified) };
        }
        whole(&response)?;
        let (content_type, charset) = (media_type(response.headers()), charset(response.headers()));
        let validators = Box::new(Validators::of(response.headers()));
        let last_serial = last_serial(&response);
        let url = response.url().clone();
        let room = Some(&self.transport.room);
        let limit = self.transport.settings.page_limit;
        let (body, share) = read_in(room, response, kind, limit).await?;
        if body.is_empty() {
            return Err(UpstreamError::Unexpected("an empty body".to_owned()));
        }
        let format = |body: &[u8]| Format::of(&content_type, first(body));
        let body = utf8(body, charset.as_deref(), format);
        // Servers of files have many types for one thing, so the text decides where the type does not.
        let fits = match kind {
            Kind::Page => format(&body).is_some(),
            _ => first(&body) == Some(b'{'),
        };
        if !fits {
            let wanted = if kind == Kind::Page { "an index's page" } else { "a JSON document" };
            return Err(UpstreamError::Unexpected(format!(
                "{} where {wanted} belongs",
                named(&content_type)
            )));
        }
        Ok(Fetched::Fresh(Document { body, content_type, validators, last_serial, url, share }))
    }
}

/// A part that nobody asked for must not be taken for all there is.
pub(super) fn whole(response: &reqwest::Response) -> Result<(), UpstreamError> {
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            Err(UpstreamError::Unexpected("a part where the whole belongs".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(super) fn unasked_304() -> UpstreamError {
    UpstreamError::Unexpected("304 to a question without validator".to_owned())
}

/// `X-PyPI-Last-Serial`.
pub(super) fn last_serial(response: &reqwest::Response) -> Option<Serial> {
    header(response.headers(), "x-pypi-last-serial")?.trim().parse().ok().and_then(Serial::stated)
}

/// A media type for people. What upstream sends is cut: it goes to logs and clients.
pub(super) fn named(media_type: &str) -> &str {
    match media_type {
        "" => "no content type",
        "text/html" => "HTML",
        other => other.get(..60).unwrap_or(other),
    }
}
