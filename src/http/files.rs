//! Package files: `/packages/PATH`, GET and HEAD (WIRE.md section 7).

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::rescue::{bad_path, unsatisfiable};
use crate::model::FilePath;
use crate::relay::{Answer, Content, Relay, RelayError, Served, Source, Want};

/// Where files are.
const PREFIX: &str = "/packages/";
/// Where an answer comes from.
pub(super) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// A file at a path never changes: upstream's own words, a little over eleven years.
const FOR_EVER: &str = "max-age=365000000, immutable, public";

/// The routes of files.
pub fn routes(relay: Relay) -> Router {
    // A bare `/packages/` names no file: its empty path is refused like any other bad one.
    Router::new().route("/packages/", get(file)).route("/packages/{*path}", get(file)).with_state(relay)
}

async fn file(State(relay): State<Relay>, request: Request) -> Result<Response, RelayError> {
    let path = match path_of(request.uri()) {
        Ok(path) => path,
        Err(reason) => return Ok(bad_path(&reason)),
    };
    let served = relay.open(&path, &want(request.method(), request.headers())).await?;
    Ok(respond(served))
}

/// The path below `/packages/`, percent-decoded once.
fn path_of(uri: &Uri) -> Result<FilePath, String> {
    let encoded = uri.path().strip_prefix(PREFIX).unwrap_or("");
    let decoded = percent_decode_str(encoded).decode_utf8();
    let decoded = decoded.map_err(|_| "a file path is UTF-8")?;
    FilePath::parse(&decoded).map_err(|error| error.to_string())
}

fn want(method: &Method, headers: &HeaderMap) -> Want {
    // A field on several lines means one list (RFC 9110 section 5.2); for `Range` a list is no single range.
    let field = |name| {
        let lines: Vec<_> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    Want {
        head: method == Method::HEAD,
        range: field(RANGE),
        if_range: field(IF_RANGE),
        if_none_match: field(IF_NONE_MATCH),
    }
}

fn respond(served: Served) -> Response {
    let Served { path, sha256, size, source, answer } = served;
    let etag = sha256.map(|sha256| [(ETAG, format!("\"{sha256}\""))]);
    let always = [(ACCEPT_RANGES, "bytes"), (CACHE_CONTROL, FOR_EVER), (X_CACHE, word(source))];
    let of_file = [(CONTENT_TYPE, content_type(path.filename()))];
    let length = |size: Option<u64>| size.map(|size| [(CONTENT_LENGTH, size.to_string())]);
    match answer {
        Answer::NotModified => (StatusCode::NOT_MODIFIED, always, etag, nothing()).into_response(),
        Answer::Unsatisfiable => unsatisfiable(size),
        Answer::Head => (always, etag, of_file, length(size), nothing()).into_response(),
        Answer::Whole(content) => (always, etag, of_file, length(size), body(content)).into_response(),
        Answer::Part(range, content) => {
            let total = size.map_or_else(|| "*".to_owned(), |size| size.to_string());
            let last = range.end.saturating_sub(1);
            let place = [(CONTENT_RANGE, format!("bytes {}-{last}/{total}", range.start))];
            let length = length(Some(range.end - range.start));
            (StatusCode::PARTIAL_CONTENT, always, etag, of_file, place, length, body(content)).into_response()
        }
    }
}

fn body(content: Content) -> Body {
    Body::from_stream(content.into_stream())
}

/// No body, and none that says "0 bytes": `Content-Length` in an answer to HEAD, or in a 304, is the file's.
fn nothing() -> Body {
    Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())
}

fn word(source: Source) -> &'static str {
    match source {
        Source::Hit => "hit",
        Source::Joined => "joined",
        Source::Miss | Source::Relayed => "miss",
    }
}

/// The type by the file's ending. An archive is never said to be *coded*: clients would unpack it and
/// miss its digest.
fn content_type(filename: &str) -> &'static str {
    let ending = filename.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "metadata" | "asc" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(uri: &str) -> Option<String> {
        path_of(&uri.parse().unwrap()).ok().map(|path| path.to_string())
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(path("/packages/ab/x%2B1.whl?x=y").as_deref(), Some("ab/x+1.whl"));
        assert_eq!(path("/packages/ab/x%252e.whl").as_deref(), Some("ab/x%2e.whl"));
    }

    #[test]
    fn a_path_that_climbs_or_is_no_text_is_refused() {
        for bad in ["", "../etc/passwd", "a/%2e%2e/b", "a%2f..%2fb", "a//b", "%ff", "a%00b", "a%5cb"] {
            assert_eq!(path(&format!("/packages/{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn archives_are_bytes_and_metadata_is_text() {
        assert_eq!(content_type("x-1.tar.gz"), "application/octet-stream");
        assert_eq!(content_type("x-1-py3-none-any.whl"), "application/octet-stream");
        assert_eq!(content_type("x-1-py3-none-any.whl.metadata"), "text/plain; charset=utf-8");
    }
}
