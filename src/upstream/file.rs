//! Package files, as a stream of the bytes on the wire.

use std::fmt;
use std::pin::Pin;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED,
};
use reqwest::header::{IF_RANGE, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

use super::client::named;
use super::transport::{Kind, header, media_type};
use super::{Upstream, UpstreamError};

/// Where to take a broken transfer up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Bytes already there.
    pub from: u64,
    /// [`FileResponse::validator`] of the first answer; without one the range is asked for unconditionally.
    pub if_range: Option<String>,
}

/// A file that is on its way.
pub struct FileResponse {
    /// The size of the whole file, if upstream says it.
    pub size: Option<u64>,
    /// Where the body starts: what was asked for, or 0 if upstream sends it all again.
    pub start: u64,
    /// What `If-Range` of a [`Resume`] may have (RFC 9110 section 13.1.5): a strong `ETag`.
    pub validator: Option<String>,
    /// What speaks against the body being the file's own bytes. Only a digest can tell: some file servers type a wheel
    /// `text/html`, and name the coding of a `.tar.gz` by its ending.
    pub oddity: Option<UpstreamError>,
    /// The content coding that upstream says the body has.
    pub coding: Option<Coding>,
    /// The bytes from `start` on. It ends without an error only after as many as upstream announced.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>,
}

/// What a file's server says of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileHead {
    /// Bytes; `None` if it does not say, or not of the file's own bytes.
    pub size: Option<u64>,
    /// `Last-Modified` in Unix seconds: of a file that never changes, when it was put there.
    pub modified: Option<i64>,
}

impl FileHead {
    fn of(response: &Response) -> Self {
        let modified = header(response.headers(), LAST_MODIFIED.as_str());
        let modified = modified.and_then(|text| httpdate::parse_http_date(text).ok());
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| i64::try_from(since.as_secs()).ok());
        Self { size: stated_size(response), modified }
    }
}

/// Content codings that can be undone (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
}

impl fmt::Debug for FileResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, start, validator, oddity, coding, body: _ } = self;
        write!(f, "FileResponse({start} of {size:?}, {validator:?}, {oddity:?}, {coding:?})")
    }
}

impl Upstream {
    /// Opens a file's address, or the rest of it. The whole transfer has no time limit, only its silences.
    pub async fn file(&self, url: &Url, resume: Option<&Resume>) -> Result<FileResponse, UpstreamError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamError::Unexpected("an address of a file that is not HTTP".to_owned()));
        }
        let once = || async {
            let pass = self.transport.rests.pass(url).await?;
            let opened = self.open(url, resume).await;
            self.transport.settle(url, &pass, &opened);
            Kind::File.count(opened.as_ref().map_or_else(UpstreamError::outcome, |_| "fresh"));
            opened
        };
        self.transport.repeated(once).await
    }

    /// How many bytes a file has, without fetching it; `None` if upstream does not say, or not of the file's own bytes.
    pub async fn file_size(&self, url: &Url) -> Result<Option<u64>, UpstreamError> {
        Ok(self.file_head(url).await?.size)
    }

    /// What a file's server says of it, without fetching it.
    pub async fn file_head(&self, url: &Url) -> Result<FileHead, UpstreamError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamError::Unexpected("an address of a file that is not HTTP".to_owned()));
        }
        let once = || self.transport.timed(Kind::File, url, self.ask_head(url), |_| "fresh");
        self.transport.repeated(once).await
    }

    /// By HEAD. Some hosts do not answer that, or not as they answer GET: then by the first byte.
    async fn ask_head(&self, url: &Url) -> Result<FileHead, UpstreamError> {
        let asked = |request: RequestBuilder| request.header(ACCEPT_ENCODING, "identity");
        match self.transport.fetch(Kind::File, asked(self.transport.head(url))).await {
            Ok(response) => {
                let head = FileHead::of(&response);
                if head.size.is_some() {
                    return Ok(head);
                }
            }
            Err(UpstreamError::Absent(_) | UpstreamError::Status(_)) => {}
            Err(error) => return Err(error),
        }
        let first = asked(self.transport.get(Kind::File, url)).header(RANGE, "bytes=0-0");
        Ok(FileHead::of(&self.transport.fetch(Kind::File, first).await?))
    }

    async fn open(&self, url: &Url, resume: Option<&Resume>) -> Result<FileResponse, UpstreamError> {
        let mut request = self.transport.get(Kind::File, url).header(ACCEPT_ENCODING, "identity");
        if let Some(resume) = resume {
            request = request.header(RANGE, format!("bytes={}-", resume.from));
            if let Some(validator) = &resume.if_range {
                request = request.header(IF_RANGE, validator);
            }
        }
        let response = self.transport.fetch(Kind::File, request).await?;
        let Extent { start, end, size } = extent(&response, resume)?;
        let headers = response.headers();
        let etag = header(headers, ETAG.as_str()).filter(|etag| etag.starts_with('"'));
        let validator = etag.map(str::to_owned);
        let (oddity, coding) = oddity(headers);
        let chunks = response.bytes_stream().map(|chunk| chunk.map_err(UpstreamError::from_transport));
        let body = measured(chunks, end.map(|end| end - start)).boxed();
        Ok(FileResponse { size, start, validator, oddity, coding, body })
    }
}

/// Which part of how large a file an answer carries.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    start: u64,
    /// The byte behind the last one that is sent.
    end: Option<u64>,
    size: Option<u64>,
}

fn extent(response: &Response, resume: Option<&Resume>) -> Result<Extent, UpstreamError> {
    let headers = response.headers();
    match (response.status(), resume) {
        (StatusCode::OK, _) => {
            let size = header(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
            Ok(Extent { start: 0, end: size, size })
        }
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => match content_range(headers) {
            Some(extent) if extent.start == resume.from => Ok(extent),
            _ => Err(UpstreamError::Unexpected("another range than asked for".to_owned())),
        },
        (status, _) => Err(UpstreamError::Unexpected(format!("{} where a file belongs", status.as_u16()))),
    }
}

/// `bytes FIRST-LAST/SIZE`. The range may end before the file does: some servers send no more at once.
fn content_range(headers: &HeaderMap) -> Option<Extent> {
    let (range, size) = header(headers, CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (start <= last && last < size).then(|| Extent { start, end: Some(last + 1), size: Some(size) })
}

/// The whole size that an answer states, if it is about the file's own bytes.
fn stated_size(response: &Response) -> Option<u64> {
    let headers = response.headers();
    if oddity(headers).0.is_some() {
        return None;
    }
    match response.status() {
        StatusCode::OK => header(headers, CONTENT_LENGTH.as_str())?.parse().ok(),
        StatusCode::PARTIAL_CONTENT => content_range(headers)?.size,
        _ => None,
    }
}

fn oddity(headers: &HeaderMap) -> (Option<UpstreamError>, Option<Coding>) {
    let codings = header(headers, CONTENT_ENCODING.as_str()).unwrap_or("identity");
    let coding = match codings.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        "deflate" => Some(Coding::Deflate),
        "identity" | "" => {
            let media_type = media_type(headers);
            let html = (media_type == "text/html")
                .then(|| UpstreamError::Unexpected(format!("{} where a file belongs", named(&media_type))));
            return (html, None);
        }
        _ => None,
    };
    (Some(UpstreamError::Unexpected("a coded file".to_owned())), coding)
}

/// Counts the bytes; fails at the one too many, and where the stream ends before the announced last one.
fn measured<S>(chunks: S, left: Option<u64>) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send
where
    S: Stream<Item = Result<Bytes, UpstreamError>> + Send + Unpin + 'static,
{
    futures_util::stream::unfold(Some((chunks, left)), |state| async {
        let (mut chunks, left) = state?;
        let broken = |what: &str| Some((Err(UpstreamError::Broken(what.to_owned())), None));
        match chunks.next().await {
            Some(Ok(chunk)) => {
                Kind::File.count_bytes(chunk.len());
                let left = match left.map(|left| left.checked_sub(chunk.len() as u64)) {
                    None => None,
                    Some(Some(left)) => Some(left),
                    Some(None) => return broken("more bytes than announced"),
                };
                Some((Ok(chunk), Some((chunks, left))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if left.is_some_and(|left| left > 0) => broken("fewer bytes than announced"),
            None => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn total(left: Option<u64>) -> Result<usize, UpstreamError> {
        let chunks = ["abc", "de"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let mut body = std::pin::pin!(measured(futures_util::stream::iter(chunks), left));
        let mut total = 0;
        while let Some(chunk) = body.next().await {
            total += chunk?.len();
        }
        Ok(total)
    }

    #[tokio::test]
    async fn a_body_ends_well_only_at_its_announced_size() {
        assert_eq!(total(Some(5)).await, Ok(5));
        assert_eq!(total(None).await, Ok(5));
        assert!(matches!(total(Some(4)).await, Err(UpstreamError::Broken(_))));
        assert!(matches!(total(Some(6)).await, Err(UpstreamError::Broken(_))));
    }

    #[test]
    fn a_range_is_inside_a_file_of_known_size() {
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(parse("bytes 5-9/10"), Some(Extent { start: 5, end: Some(10), size: Some(10) }));
        assert_eq!(parse("bytes 5-7/10"), Some(Extent { start: 5, end: Some(8), size: Some(10) }));
        for bad in [
            "bytes 5-9/*",
            "bytes */10",
            "lines 5-9/10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 0-18446744073709551615/0",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_coding_and_a_web_page_are_oddities_and_a_stated_identity_is_none() {
        let odd = |name: reqwest::header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let (oddity, coding) = oddity(&headers);
            (oddity.is_some(), coding)
        };
        assert_eq!(odd(CONTENT_ENCODING, "X-GZIP"), (true, Some(Coding::Gzip)));
        assert_eq!(odd(CONTENT_ENCODING, "deflate"), (true, Some(Coding::Deflate)));
        assert_eq!(odd(CONTENT_ENCODING, "br"), (true, None));
        assert_eq!(odd(CONTENT_ENCODING, "gzip, br"), (true, None));
        assert_eq!(odd(CONTENT_ENCODING, "Identity"), (false, None));
        let content_type = reqwest::header::CONTENT_TYPE;
        assert_eq!(odd(content_type.clone(), "Text/HTML; charset=utf-8"), (true, None));
        assert_eq!(odd(content_type, "application/octet-stream"), (false, None));
    }
}
