//! The listing of all projects: 886 thousand names in 40 to 60 MB, read while it arrives.

use std::io::{self, Read};
use std::time::UNIX_EPOCH;

use bytes::{Buf, Bytes};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AGE, DATE, ETAG, HeaderMap, IF_NONE_MATCH};
use serde::Deserialize;
use tokio::sync::mpsc;
use url::Url;

use super::client::{ACCEPT_SIMPLE, SIMPLE_JSON, SIMPLE_TYPES, last_serial, named, whole};
use super::html::{HtmlElement, elements};
use super::transport::{Kind, header, media_type};
use super::{Upstream, UpstreamError};
use crate::model::{ProjectName, Serial};

/// Chunks between network and reader. A chunk has at most some 16 KB: enough to keep both busy.
const CHUNKS_AHEAD: usize = 16;

/// Every project that upstream has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The serial that the listing is as new as.
    pub last_serial: Option<Serial>,
    /// The projects in upstream's order.
    pub projects: Vec<ListedProject>,
    /// The validator for the next question.
    pub etag: Option<String>,
    /// When upstream made it, in Unix seconds: by its own clock and less its age, or else when it came.
    pub taken: i64,
}

/// What a conditional question for the listing brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// 304: it is still the one that the validator stands for.
    Same {
        /// When upstream had it so, as [`Listing::taken`].
        taken: i64,
    },
    /// A new one.
    New(Listing),
}

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProject {
    /// The registered spelling.
    pub name: String,
    /// The project's last serial; HTML has none.
    pub serial: Option<Serial>,
}

impl Upstream {
    /// The listing of all projects. Extra memory is bounded: the body is parsed while it is read.
    pub async fn listing(&self) -> Result<Listing, UpstreamError> {
        let unasked = || UpstreamError::Unexpected("304 to a question without validator".to_owned());
        match self.listing_unless(None).await? {
            Listed::New(listing) => Ok(listing),
            Listed::Same { .. } => Err(unasked()),
        }
    }

    /// The same, unless it is still the one that `validator` stands for.
    pub async fn listing_unless(&self, validator: Option<&str>) -> Result<Listed, UpstreamError> {
        let outcome = |listed: &Listed| match listed {
            Listed::New(_) => "fresh",
            Listed::Same { .. } => "not_modified",
        };
        let url = self.transport.addresses.simple();
        let once = || self.transport.timed(Kind::Listing, &url, self.fetch_listing(&url, validator), outcome);
        self.transport.repeated(once).await
    }

    async fn fetch_listing(&self, url: &Url, validator: Option<&str>) -> Result<Listed, UpstreamError> {
        let mut request = self.transport.get(Kind::Listing, url).header(ACCEPT, ACCEPT_SIMPLE);
        if let Some(validator) = validator {
            request = request.header(IF_NONE_MATCH, validator);
        }
        let mut response = self.transport.fetch(request).await?;
        let taken = taken(response.headers(), self.transport.settings.clock.unix());
        if response.status() == StatusCode::NOT_MODIFIED && validator.is_some() {
            return Ok(Listed::Same { taken });
        }
        whole(&response)?;
        let etag = header(response.headers(), ETAG.as_str()).map(str::to_owned);
        let media_type = media_type(response.headers());
        if !SIMPLE_TYPES.contains(&media_type.as_str()) {
            return Err(UpstreamError::Unexpected(format!("{} where a listing belongs", named(&media_type))));
        }
        let last_serial = last_serial(&response);
        let base = response.url().clone();
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reader = ChunkReader { chunks, current: Bytes::new() };
        let parser = tokio::task::spawn_blocking(move || {
            if media_type == SIMPLE_JSON { read_json(reader) } else { read_html(reader, &base) }
        });
        let limit = self.transport.settings.listing_limit;
        let mut total = 0;
        let failure = loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break None,
                Err(error) => break Some(UpstreamError::from_transport(error)),
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
        (listing.etag, listing.taken) = (etag, taken);
        Ok(Listed::New(listing))
    }
}

impl Listing {
    /// Reads a listing in JSON: for tests that feed it whatever bytes there are.
    #[doc(hidden)]
    pub fn read_json(body: impl Read) -> Result<Self, UpstreamError> {
        read_json(body)
    }

    /// The same in HTML that came from `url`.
    #[doc(hidden)]
    pub fn read_html(body: impl Read, url: &Url) -> Result<Self, UpstreamError> {
        read_html(body, url)
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

fn read_json(body: impl Read) -> Result<Listing, UpstreamError> {
    #[derive(Deserialize)]
    struct Page {
        meta: Meta,
        projects: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "_last-serial", default, deserialize_with = "Serial::lenient")]
        last_serial: Option<Serial>,
    }
    #[derive(Deserialize)]
    struct Row {
        /// A line without is left out: it hides no other.
        name: Option<String>,
        #[serde(rename = "_last-serial", default, deserialize_with = "Serial::lenient")]
        serial: Option<Serial>,
    }
    let page: Page = serde_json::from_reader(io::BufReader::with_capacity(64 << 10, body))
        .map_err(|error| UpstreamError::Unexpected(format!("a JSON listing that cannot be read: {error}")))?;
    let projects = page.projects.into_iter();
    let projects = projects.filter_map(|row| Some(ListedProject { name: row.name?, serial: row.serial }));
    let (last_serial, projects) = (page.meta.last_serial, projects.collect());
    Ok(Listing { last_serial, projects, ..Listing::default() })
}

fn read_html(body: impl Read, url: &Url) -> Result<Listing, UpstreamError> {
    let mut base = url.clone();
    let mut projects = Vec::new();
    elements(body, |element| match element {
        HtmlElement::Base(href) => base = url.join(&href).unwrap_or_else(|_| url.clone()),
        HtmlElement::Title(_) | HtmlElement::Meta { .. } => {}
        HtmlElement::Anchor(anchor) => {
            let target = anchor.attributes.get("href").and_then(|href| base.join(href).ok());
            projects.extend(target.and_then(|target| listed(&base, &target, &anchor.text)));
        }
    })
    .map_err(|error| UpstreamError::Broken(error.to_string()))?;
    if projects.is_empty() {
        return Err(UpstreamError::Unexpected("HTML that lists no project".to_owned()));
    }
    Ok(Listing { projects, ..Listing::default() })
}

/// The project that a link of a listing stands for. File servers list folders beside other links: it is a
/// project's if it leads one step down, or if text and target agree.
fn listed(base: &Url, target: &Url, text: &str) -> Option<ListedProject> {
    let path = target.path().trim_end_matches('/');
    let (folder, segment) = path.rsplit_once('/')?;
    let name = ProjectName::parse(segment).ok()?;
    let text = text.trim_end_matches('/');
    if ProjectName::parse(text).is_ok_and(|spelled| spelled == name) {
        return Some(ListedProject { name: text.to_owned(), serial: None });
    }
    let below = target.origin() == base.origin() && folder == base.path().trim_end_matches('/');
    below.then(|| ListedProject { name: segment.to_owned(), serial: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_listing_has_serials() {
        let body = br#"{"meta":{"_last-serial":9,"api-version":"1.4"},"projects":[{"_last-serial":3,"name":"A.b"},{"name":"c","x":[]}]}"#;
        let listing = read_json(&body[..]).unwrap();
        assert_eq!(listing.last_serial, Some(Serial(9)));
        let expected = [("A.b", Some(Serial(3))), ("c", None)];
        assert_eq!(
            listing.projects.iter().map(|p| (p.name.as_str(), p.serial)).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_line_without_a_name_and_serials_that_are_none_hide_nothing() {
        let body = br#"{"meta":{"_last-serial":[9]},"projects":[{"name":null},{},{"name":"a","_last-serial":"x"},{"name":"b","_last-serial":-1}]}"#;
        let listing = read_json(&body[..]).unwrap();
        let project = |name: &str| ListedProject { name: name.to_owned(), serial: None };
        assert_eq!(listing, Listing { projects: vec![project("a"), project("b")], ..Listing::default() });
    }

    #[test]
    fn html_listings_of_every_kind_are_read() {
        let url: Url = "https://index.test/mirror/simple/".parse().unwrap();
        let names = |html: &str| -> Vec<String> {
            read_html(html.as_bytes(), &url).unwrap().projects.into_iter().map(|p| p.name).collect()
        };
        assert_eq!(names("<a href='/mirror/simple/a-b/'>A.b</a><br/><a href='c/'>c</a>"), ["A.b", "c"]);
        let folder =
            "<a href='../'>../</a><a href='?C=N'>Name</a><a href='a-b/'>a-b/</a> <a href='cut/'>cu..&gt;</a>";
        assert_eq!(names(folder), ["a-b", "cut"]);
        assert_eq!(
            names("<base href='https://other.test/x/'><a href='/y/A-B'>a.b</a><a href='/up'>x</a>"),
            ["a.b"]
        );
    }

    #[test]
    fn html_that_lists_nothing_is_no_listing() {
        let url: Url = "https://index.test/simple/".parse().unwrap();
        assert!(read_html(&b"<h1>Welcome</h1><a href='/login'>Log in</a>"[..], &url).is_err());
    }
}
