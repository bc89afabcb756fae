//! A body without its content coding.
//!
//! Not left to the HTTP client: that takes the first member of a gzip body for all of it, and a page that was compressed in
//! parts would be read in part.

use std::io;
use std::pin::Pin;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio_util::io::{ReaderStream, StreamReader};

use super::UpstreamError;

/// Bytes that are decoded at a time.
const BUFFER: usize = 16 << 10;

/// A body in pieces.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// The body, decoded; it ends without an error only after its last byte. Fails at a coding that was not asked for.
pub(super) fn decoded(response: Response) -> Result<Chunks, UpstreamError> {
    let codings = response.headers().get_all(CONTENT_ENCODING).iter();
    let mut codings: Vec<String> = codings
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .to_ascii_lowercase()
                .split(',')
                .map(|coding| coding.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    codings.retain(|coding| !matches!(coding.as_str(), "" | "identity"));
    let chunks = response.bytes_stream();
    match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(chunks.map_err(UpstreamError::from_transport).boxed()),
        ["gzip" | "x-gzip"] => {
            let coded = StreamReader::new(
                chunks.map_err(|error| io::Error::other(UpstreamError::from_transport(error))),
            );
            let mut decoder = GzipDecoder::new(coded);
            decoder.multiple_members(true);
            Ok(ReaderStream::with_capacity(decoder, BUFFER).map_err(failure).boxed())
        }
        [..] => Err(UpstreamError::Unexpected("a coding that was not asked for".to_owned())),
    }
}

/// The transport's failure, or that of the coding.
fn failure(error: io::Error) -> UpstreamError {
    match error.downcast::<UpstreamError>() {
        Ok(error) => error,
        Err(error) => UpstreamError::Broken(error.to_string()),
    }
}
