//! The listing of all projects: 886 thousand names in 40 to 60 MB, read while it arrives.

mod html;
mod json;
mod model;

use std::io::{self, Read};
use std::time::UNIX_EPOCH;

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt as _;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AGE, DATE, HeaderMap};
use tokio::sync::mpsc;
use url::Url;

use super::client::{ACCEPT_SIMPLE, last_serial, named, whole};
use super::coding::decoded;
use super::text::{Format, peek, utf8_reader};
use super::transport::{Kind, charset, header, media_type};
use super::{Skipped, Upstream, UpstreamError, Validators};
pub use model::{Listed, ListedProject, Listing};

/// Chunks between network and reader. A chunk has at most some 16 KB: enough to keep both busy.
const CHUNKS_AHEAD: usize = 16;

impl Upstream {
    /// The listing of all projects. Extra memory is bounded: the body is parsed while it is read.
    pub async fn listing(&self) -> Result<Listing, UpstreamError> {
        let unasked = || UpstreamError::Unexpected("304 to a question without validator".to_owned());
        match self.listing_unless(&Validators::default()).await? {
            Listed::New(listing) => Ok(listing),
            Listed::Same { .. } => Err(unasked()),
        }
    }

    /// The listing at an address, unless it is still the copy that `known` is of.
    pub(super) async fn listing_at(&self, url: &Url, known: &Validators) -> Result<Listed, UpstreamError> {
        let outcome = |listed: &Listed| match listed {
            Listed::New(_) => "fresh",
            Listed::Same { .. } => "not_modified",
        };
        let once = || self.transport.timed(Kind::Listing, url, self.fetch_listing(url, known), outcome);
        self.transport.repeated(once).await
    }

    async fn fetch_listing(&self, url: &Url, known: &Validators) -> Result<Listed, UpstreamError> {
        let request = known.ask(self.transport.get(Kind::Listing, url).header(ACCEPT, ACCEPT_SIMPLE));
        let response = self.transport.fetch(Kind::Listing, request).await?;
        let taken = taken(response.headers(), self.transport.settings.clock.unix());
        if response.status() == StatusCode::NOT_MODIFIED && !known.is_empty() {
            return Ok(Listed::Same { taken });
        }
        whole(&response)?;
        let validators = Validators::of(response.headers());
        let (media_type, charset) = (media_type(response.headers()), charset(response.headers()));
        let last_serial = last_serial(&response);
        let base = response.url().clone();
        let mut body = decoded(response)?;
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reader = ChunkReader { chunks, current: Bytes::new() };
        let most = self.transport.settings.listing_projects;
        let parser = tokio::task::spawn_blocking(move || {
            Listing::read(&media_type, charset.as_deref(), reader, &base, most)
        });
        let limit = self.transport.settings.listing_limit;
        let mut total = 0;
        let failure = loop {
            let chunk = match body.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            total += chunk.len();
            Kind::Listing.count_bytes(chunk.len());
            if total > limit {
                break Some(UpstreamError::TooLarge(limit));
            }
            // The parser has stopped early: its own error says why.
            if sender.send(Ok(chunk)).await.is_err() {
                break None;
            }
        };
        if failure.is_some() {
            let _ = sender.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
        }
        drop(sender);
        let parsed = parser
            .await
            .map_err(|_| UpstreamError::Unexpected("a listing that stopped its reader".to_owned()));
        if let Some(failure) = failure {
            return Err(failure);
        }
        let mut listing = parsed??;
        listing.last_serial = listing.last_serial.max(last_serial);
        (listing.validators, listing.taken) = (validators, taken);
        self.report(&listing.skipped);
        Ok(Listed::New(listing))
    }
}

impl Upstream {
    /// Says what a listing has that cannot be used, unless the listing before had the same.
    fn report(&self, skipped: &Skipped) {
        // Poisoned only if a thread died while it compared two texts.
        let mut before = self.transport.skipped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *before != *skipped {
            skipped.report("project", "the listing");
            before.clone_from(skipped);
        }
    }
}

impl Listing {
    /// Reads a listing of `media_type` (lower case, no parameters) that came from `url`, all of it or an error. One of more than
    /// `most` projects is an error.
    pub fn read(
        media_type: &str,
        charset: Option<&str>,
        body: impl Read,
        url: &Url,
        most: usize,
    ) -> Result<Self, UpstreamError> {
        let broken = |error: io::Error| UpstreamError::Broken(error.to_string());
        // JSON is UTF-8 whatever its type says.
        let charset = charset.filter(|_| Format::of(media_type, None) == Some(Format::Html));
        let mut text = utf8_reader(body, charset);
        let first = peek(&mut text).map_err(broken)?;
        let unexpected =
            || UpstreamError::Unexpected(format!("{} where a listing belongs", named(media_type)));
        match Format::of(media_type, first).ok_or_else(unexpected)? {
            Format::Json => json::read(text, most),
            Format::Html => html::read(text, url, most),
        }
    }
}

/// `Date` less `Age`; by our clock if upstream tells no time.
fn taken(headers: &HeaderMap, now: i64) -> i64 {
    let date = header(headers, DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
    let age = header(headers, AGE.as_str()).and_then(|age| age.parse::<i64>().ok()).unwrap_or(0);
    let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    let seconds = since.and_then(|since| i64::try_from(since.as_secs()).ok());
    seconds.unwrap_or(now).saturating_sub(age)
}

/// The body as a blocking reader.
struct ChunkReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.current.len());
        self.current.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}
