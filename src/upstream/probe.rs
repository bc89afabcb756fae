//! Single requests that tell what an upstream is like, for `cheesewire doctor`: nothing is repeated, any status is an
//! answer, and of a body only its beginning is read.

use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use reqwest::header::{ACCEPT, AGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::addresses::Addresses;
use super::client::{ACCEPT_SIMPLE, ANSWER_LIMITS, last_serial, named};
use super::coding::decoded;
use super::text::{Format, first};
use super::throttle::{LONGEST_SILENCE, silence_of, silence_of_header};
use super::transport::{Kind, UNSAID_RETRY, header, media_type, retry_after};
use super::{Listing, Upstream, UpstreamError};
use crate::model::{Clock, ProjectName, Serial};
use crate::xmlrpc::{Value, decode_response, encode_call};

/// As much of a body as is read: a project page of some hundred files, or the first thousand lines of a listing.
const BEGINNING: usize = 256 << 10;

/// What to ask for.
#[derive(Debug, Clone)]
pub enum Target<'a> {
    /// The listing of all projects.
    Listing,
    /// A project's simple page.
    Page(&'a ProjectName),
    /// A project's JSON document.
    Json(&'a ProjectName),
    /// A file beside a package file.
    Metadata(&'a Url),
    /// A package file's first byte.
    FirstByte(&'a Url),
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Where it came from after redirects.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The media type in lower case, without parameters.
    pub content_type: String,
    /// `ETag`.
    pub etag: Option<String>,
    /// `X-PyPI-Last-Serial`.
    pub last_serial: Option<Serial>,
    /// Upstream's clock less ours, in seconds, by its `Date`, and by the `Age` of what a cache gives out.
    pub skew: Option<i64>,
    /// After a 429 the wait that it asks for.
    pub retry_after: Option<Duration>,
    /// `RateLimit`.
    pub rate_limit: Option<String>,
    /// Until the answer's head, with a connection if there was none.
    pub took: Duration,
    /// The body, at most its beginning.
    pub body: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Probed {
    /// Whether this is the beginning of a list of projects.
    pub fn lists_projects(&self) -> bool {
        match Format::of(&self.content_type, first(&self.body)) {
            Some(Format::Json) => memchr::memmem::find(&self.body, b"\"projects\"").is_some(),
            Some(Format::Html) => self.first_project().is_some(),
            None => false,
        }
    }

    /// How many projects the beginning of a listing names; of a short one that is all of them.
    pub fn projects(&self) -> usize {
        match Format::of(&self.content_type, first(&self.body)) {
            Some(Format::Html) => self.html_listing().map_or(0, |listing| listing.projects.len()),
            Some(Format::Json) => memchr::memmem::find_iter(&self.body, b"\"name\"").count(),
            None => 0,
        }
    }

    /// The first project that the beginning of a listing names.
    pub fn first_project(&self) -> Option<ProjectName> {
        match Format::of(&self.content_type, first(&self.body))? {
            Format::Html => {
                let listing = self.html_listing()?;
                listing.projects.iter().find_map(|project| ProjectName::parse(&project.name).ok())
            }
            Format::Json => {
                let text = String::from_utf8_lossy(&self.body);
                let (_, projects) = text.split_once("\"projects\"")?;
                let mut names = projects.split("\"name\"").skip(1).filter_map(|rest| rest.split('"').nth(1));
                names.find_map(|name| ProjectName::parse(name).ok())
            }
        }
    }

    /// It is cut where the beginning ends, before its last tag.
    fn html_listing(&self) -> Option<Listing> {
        let end = self.body.iter().rposition(|&byte| byte == b'>')?;
        Listing::read("text/html", None, &self.body[..=end], &self.url, usize::MAX).ok()
    }
}

impl Upstream {
    fn clock(&self) -> &Clock {
        &self.transport.settings.clock
    }

    /// Asks for something once.
    pub async fn probe(&self, target: Target<'_>) -> Result<Probed, UpstreamError> {
        let addresses = &self.transport.addresses;
        let (kind, url) = match target {
            Target::Listing => (Kind::Listing, self.likely_simple().clone()),
            Target::Page(name) => (Kind::Page, Addresses::page(self.likely_simple(), name)),
            Target::Json(name) => (Kind::Json, addresses.json(name, None)),
            Target::Metadata(url) | Target::FirstByte(url) => (Kind::File, url.clone()),
        };
        let request = self.transport.get(kind, &url);
        let request = match target {
            Target::Listing | Target::Page(_) => request.header(ACCEPT, ACCEPT_SIMPLE),
            Target::Json(_) | Target::Metadata(_) => request,
            Target::FirstByte(_) => request.header(RANGE, "bytes=0-0"),
        };
        let sent = Box::pin(self.transport.send_following(kind, request));
        probed(sent, kind, BEGINNING, self.clock()).await
    }

    /// Makes a call, when the budget allows, and reads what it answers.
    pub async fn probe_call(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<(Probed, Result<Value, UpstreamError>), UpstreamError> {
        let body = encode_call(method, params)
            .map_err(|_| UpstreamError::Settings("a parameter that XML-RPC has no word for"))?;
        self.transport.check()?;
        self.transport.throttle.turn().await?;
        let request = self.transport.post(&self.transport.addresses.calls());
        let request = request.header(CONTENT_TYPE, "text/xml").body(body);
        let sent = async { request.send().await.map_err(UpstreamError::from_transport) };
        let probed = probed(sent, Kind::Call, self.transport.settings.call_limit, self.clock()).await?;
        let answer = match probed.status {
            200 if !matches!(probed.content_type.as_str(), "text/xml" | "application/xml") => {
                let seen = named(&probed.content_type);
                Err(UpstreamError::Unexpected(format!("{seen} where XML-RPC belongs")))
            }
            200 => match decode_response(&probed.body, ANSWER_LIMITS) {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(fault)) => Err(match silence_of(&fault) {
                    Some(retry) => UpstreamError::Limited { retry },
                    None => UpstreamError::Fault(fault),
                }),
                Err(error) => Err(UpstreamError::Unexpected(format!("no XML-RPC: {error}"))),
            },
            404 | 410 => Err(UpstreamError::Absent(probed.status)),
            429 => Err(UpstreamError::Limited { retry: probed.retry_after.unwrap_or(UNSAID_RETRY) }),
            status => Err(UpstreamError::Status(status)),
        };
        let stated = probed.rate_limit.as_deref().and_then(silence_of_header);
        let asked_for = match &answer {
            Err(UpstreamError::Limited { retry }) => Some(*retry),
            _ => None,
        };
        for silence in [stated, asked_for].into_iter().flatten() {
            self.transport.throttle.hush(silence);
        }
        Ok((probed, answer))
    }
}

async fn probed(
    sent: impl Future<Output = Result<Response, UpstreamError>>,
    kind: Kind,
    limit: usize,
    clock: &Clock,
) -> Result<Probed, UpstreamError> {
    let started = Instant::now();
    let sent = sent.await;
    kind.count(if sent.is_ok() { "probed" } else { "unreachable" });
    let response = sent?;
    let headers = response.headers();
    let text = |name: &str| header(headers, name).map(str::to_owned);
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let retry = || retry_after(headers, clock.system_time()).unwrap_or(UNSAID_RETRY).min(LONGEST_SILENCE);
    let mut probed = Probed {
        url: response.url().clone(),
        status: response.status().as_u16(),
        content_type: media_type(headers),
        etag: text(ETAG.as_str()),
        last_serial: last_serial(&response),
        skew: skew(headers, clock.unix()),
        retry_after: limited.then(retry),
        rate_limit: text("ratelimit"),
        took: started.elapsed(),
        body: Bytes::new(),
        whole: false,
    };
    (probed.body, probed.whole) = beginning(response, kind, limit).await?;
    Ok(probed)
}

fn skew(headers: &HeaderMap, now: i64) -> Option<i64> {
    let date = httpdate::parse_http_date(header(headers, DATE.as_str())?).ok()?;
    let date = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    // What a cache has had for so long has the date of then.
    let age = header(headers, AGE.as_str()).and_then(|age| age.trim().parse().ok()).unwrap_or(0_u32);
    Some(date.saturating_add(age.into()).saturating_sub(now))
}

/// The beginning of a body, and whether that is all of it.
async fn beginning(response: Response, kind: Kind, limit: usize) -> Result<(Bytes, bool), UpstreamError> {
    let mut chunks = decoded(response)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await? {
        kind.count_bytes(chunk.len());
        let left = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if chunk.len() >= left {
            return Ok((body.freeze(), false));
        }
    }
    Ok((body.freeze(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cache_gives_out_has_the_date_of_then_and_its_age() {
        let skew = |date: &str, age: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            if let Some(age) = age {
                headers.insert(AGE, age.parse().unwrap());
            }
            skew(&headers, 1_767_225_600)
        };
        let (new_year, before) = ("Thu, 01 Jan 2026 00:00:00 GMT", "Wed, 31 Dec 2025 23:00:00 GMT");
        assert_eq!((skew(new_year, None), skew(before, None)), (Some(0), Some(-3600)));
        assert_eq!((skew(before, Some("3600")), skew(new_year, Some("60"))), (Some(0), Some(60)));
        for odd in ["-5", "soon", "99999999999999999999"] {
            assert_eq!(skew(new_year, Some(odd)), Some(0), "{odd}");
        }
        assert_eq!(skew("yesterday", None), None);
    }
}
