//! Package files, as a stream of the bytes on the wire.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap};
use reqwest::header::{IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::client::named;
use super::transport::{Kind, header, media_type};
use super::{Upstream, UpstreamError};

/// Where to take a broken transfer up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Bytes already there.
    pub from: u64,
    /// The strong `ETag` of the first answer.
    pub if_range: String,
}

/// A file that is on its way.
pub struct FileResponse {
    /// The size of the whole file, if upstream says it.
    pub size: Option<u64>,
    /// Where the body starts: what was asked for, or 0 if upstream sends it all again.
    pub start: u64,
    /// What a [`Resume`] may refer to.
    pub etag: Option<String>,
    /// The bytes from `start` on. It ends without an error only after as many as upstream announced.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>,
}

impl fmt::Debug for FileResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, start, etag, body: _ } = self;
        write!(f, "FileResponse({start} of {size:?}, {etag:?})")
    }
}

impl Upstream {
    /// Opens a file's address, or the rest of it. The whole transfer has no time limit, only its silences.
    pub async fn file(&self, url: &Url, resume: Option<&Resume>) -> Result<FileResponse, UpstreamError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamError::Unexpected("an address of a file that is not HTTP".to_owned()));
        }
        let once = || async {
            self.transport.places.may_ask(url)?;
            let opened = self.open(url, resume).await;
            Kind::File.count(opened.as_ref().map_or_else(UpstreamError::outcome, |_| "fresh"));
            opened
        };
        self.transport.repeated(once).await
    }

    async fn open(&self, url: &Url, resume: Option<&Resume>) -> Result<FileResponse, UpstreamError> {
        let mut request = self.transport.get(Kind::File, url).header(ACCEPT_ENCODING, "identity");
        if let Some(resume) = resume {
            request = request.header(RANGE, format!("bytes={}-", resume.from));
            request = request.header(IF_RANGE, &resume.if_range);
        }
        let response = self.transport.fetch(request).await?;
        let (start, size) = extent(&response, resume)?;
        let etag = header(response.headers(), ETAG.as_str()).map(str::to_owned);
        let left = size.map(|size| size - start);
        let chunks = response.bytes_stream().map(|chunk| chunk.map_err(UpstreamError::from_transport));
        Ok(FileResponse { size, start, etag, body: measured(chunks, left).boxed() })
    }
}

/// Which part of how large a file the answer carries; an error if it cannot be the file's own bytes.
fn extent(response: &Response, resume: Option<&Resume>) -> Result<(u64, Option<u64>), UpstreamError> {
    let headers = response.headers();
    let media_type = media_type(headers);
    if media_type == "text/html" {
        return Err(UpstreamError::Unexpected(format!("{} where a file belongs", named(&media_type))));
    }
    if header(headers, CONTENT_ENCODING.as_str())
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(UpstreamError::Unexpected("a coded file".to_owned()));
    }
    match (response.status(), resume) {
        (StatusCode::OK, _) => {
            let length = header(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
            Ok((0, length))
        }
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => match content_range(headers) {
            Some((start, size)) if start == resume.from && size > start => Ok((start, Some(size))),
            _ => Err(UpstreamError::Unexpected("another range than asked for".to_owned())),
        },
        (status, _) => Err(UpstreamError::Unexpected(format!("{} where a file belongs", status.as_u16()))),
    }
}

/// First byte and size of `bytes FIRST-LAST/SIZE`, if the range goes to the end.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let (range, size) = header(headers, CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (last.checked_add(1)? == size).then_some((first, size))
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
    fn a_range_must_go_to_the_end() {
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(parse("bytes 5-9/10"), Some((5, 10)));
        for bad in
            ["bytes 5-8/10", "bytes 5-9/*", "bytes */10", "lines 5-9/10", "bytes 0-18446744073709551615/0"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
