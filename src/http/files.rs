//! Package files: `/packages/PATH`, GET and HEAD (docs/wire.md section 7).

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::clients::Client;
use super::cors::Cors;
use super::fields::{X_CACHE, X_LAST_SERIAL};
use super::guard::Guard;
use super::repeated::{Repeated, Seen};
use super::reply::{FileBody, Reply};
use super::rescue::{bad_path, unsatisfiable};
use super::sending::{Download, Sending, Tracked};
use crate::model::{FilePath, KnownVersions, Sha256, version_of};
use crate::relay::{Conditions, FileAnswer, Relay, RelayError, Served, Source};
use crate::stats::{self, Stats};

/// Where files are.
pub(super) const PREFIX: &str = "/packages/";
/// A file at a path never changes: upstream's own words, a little over eleven years.
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=365000000, immutable, public");
/// The same where reading needs a token: no cache on the way gives it to others.
const PRIVATE: HeaderValue = HeaderValue::from_static("max-age=365000000, immutable, private");

/// The ending of a file's metadata, which is no package file.
const METADATA: &str = ".metadata";

/// Fields of an answer: room for all of them, so that the map does not grow.
const FIELDS: usize = 14;

/// The route of files, and its label in metrics.
pub(super) const ROUTE: &str = "/packages/{*path}";

/// What answers for files. Clones are one.
#[derive(Clone)]
pub(super) struct Files {
    relay: Relay,
    repeated: Arc<Repeated>,
    cors: Arc<Cors>,
    /// Where downloads are counted, if they are.
    stats: Option<Stats>,
    guard: Guard,
}

impl Files {
    pub(super) fn new(relay: Relay, cors: Cors, stats: Option<Stats>, guard: Guard) -> Self {
        let repeated = Arc::new(Repeated::default());
        // Their heads say who may keep them.
        let turned = repeated.clone();
        guard.when_turned(move || turned.forget());
        Self { relay, repeated, cors: Arc::new(cors), stats, guard }
    }

    /// The answer to a request for a file that was answered before, if nothing has to be asked or waited for; and the
    /// download that it is.
    pub(super) fn at_once<B>(
        &self,
        request: &Request<B>,
        client: Client,
        sending: &Sending,
    ) -> Option<(axum::http::Response<Reply>, Option<Box<Tracked>>)> {
        if !self.cors.same_for(request.headers()) {
            return None;
        }
        let again = self.repeated.answer(&self.relay, request)?;
        let file = again.file.filter(|_| self.stats.is_some());
        let agent = file.as_ref().and_then(|_| sending.agent(request.headers().get(USER_AGENT)));
        let length = Some(again.length);
        let download = file.zip(agent).map(|(file, agent)| {
            let (client, head) = (client.counted_as(), Some(again.head));
            Download { file, agent, client, part: None, length, size: length, head }.tracked()
        });
        Some((again.response, download))
    }

    /// Remembers the answer to such a request, with all fields that it has when it leaves.
    pub(super) fn remember(&self, response: &mut Response) {
        if let Some(seen) = response.extensions_mut().remove::<Arc<Seen>>() {
            let is_private = response.headers().get(CACHE_CONTROL) == Some(&PRIVATE);
            if is_private == self.guard.is_closed() {
                self.repeated.remember(seen, response.headers());
            }
            // It may have turned meanwhile, and then what was forgotten at that moment lacked this one.
            if is_private != self.guard.is_closed() {
                self.repeated.forget();
            }
        }
    }

    /// The routes of files.
    pub(super) fn routes(self) -> Router {
        // A bare `/packages/` names no file: its empty path is refused like any other bad one.
        Router::new().route("/packages/", get(file)).route(ROUTE, get(file)).with_state(self)
    }
}

/// The routes of files.
pub fn routes(relay: Relay) -> Router {
    Files::new(relay, Cors::default(), None, Guard::open()).routes()
}

async fn file(State(files): State<Files>, request: Request<Body>) -> Result<Response, RelayError> {
    let path = match path_of(request.uri()) {
        Ok(path) => path,
        Err(reason) => return Ok(bad_path(&reason)),
    };
    let served = files.relay.open(&path, &want(request.method(), request.headers())).await?;
    // All of it, and at an address that says no more than that.
    let whole = matches!(served.answer, FileAnswer::Whole(_))
        && request.uri().path().strip_prefix(PREFIX) == Some(path.as_str())
        && files.cors.same_for(request.headers());
    let repeatable = whole.then(|| files.relay.repeatable(&path, &served)).flatten();
    let download = files.download(&served, &request);
    let is_private = files.guard.is_closed();
    let mut response = respond(served, is_private);
    if let Some(serial) = files.relay.last_serial() {
        response.headers_mut().insert(X_LAST_SERIAL, HeaderValue::from(serial.0));
    }
    if let Some(repeatable) = repeatable {
        let file = download.as_ref().map(|download| download.file.clone());
        response.extensions_mut().insert(Arc::new(Seen::new(request.uri().path(), repeatable, file)));
    }
    if let Some(download) = download {
        response.extensions_mut().insert(download);
    }
    Ok(response)
}

impl Files {
    /// The download that an answer is. Metadata is none, and no answer without a body.
    fn download(&self, served: &Served, request: &Request<Body>) -> Option<Download> {
        let stats = self.stats.as_ref()?;
        let (part, length) = match &served.answer {
            FileAnswer::Whole(_) => (None, served.size),
            FileAnswer::Part(range, _) => (Some(range.start), Some(range.end - range.start)),
            FileAnswer::Unsatisfiable | FileAnswer::NotModified | FileAnswer::Head => return None,
        };
        let client = *request.extensions().get::<Client>()?;
        let filename = served.path.filename();
        if filename.ends_with(METADATA) {
            return None;
        }
        let version = version_of(filename, &served.project, &KnownVersions::new([])).unwrap_or_default();
        let file = stats::File {
            project: served.project.clone(),
            filename: filename.into(),
            version: version.into(),
        };
        let agent = request.headers().get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
        Some(Download {
            file: Arc::new(file),
            agent: stats.agent(agent),
            client: client.counted_as(),
            part,
            length,
            size: served.size,
            head: None,
        })
    }
}

/// The path below `/packages/`, percent-decoded once.
pub(super) fn path_of(uri: &Uri) -> Result<FilePath, String> {
    let encoded = uri.path().strip_prefix(PREFIX).unwrap_or("");
    if !encoded.contains('%') {
        return FilePath::parse(encoded).map_err(|error| error.to_string());
    }
    let decoded = percent_decode_str(encoded).decode_utf8();
    let decoded = decoded.map_err(|_| "a file path is UTF-8")?;
    FilePath::parse(&decoded).map_err(|error| error.to_string())
}

fn want(method: &Method, headers: &HeaderMap) -> Conditions {
    // A field on several lines means one list (RFC 9110 section 5.2); for `Range` a list is no single range.
    let field = |name| {
        let lines: Vec<_> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    Conditions {
        head: method == Method::HEAD,
        range: field(RANGE),
        if_range: field(IF_RANGE),
        if_none_match: field(IF_NONE_MATCH),
    }
}

fn respond(served: Served, is_private: bool) -> Response {
    let Served { path, sha256, size, source, stale, age, answer, project: _ } = served;
    let (status, range, content) = match answer {
        FileAnswer::Unsatisfiable => return unsatisfiable(size),
        FileAnswer::NotModified => (StatusCode::NOT_MODIFIED, None, None),
        FileAnswer::Head => (StatusCode::OK, None, None),
        FileAnswer::Whole(content) => (StatusCode::OK, None, Some(content)),
        FileAnswer::Part(range, content) => (StatusCode::PARTIAL_CONTENT, Some(range), Some(content)),
    };
    let length = range.as_ref().map_or(size, |range| Some(range.end - range.start));
    let mut headers = HeaderMap::with_capacity(FIELDS);
    // Who is promised ranges counts on a length: pip's fast-deps stops without one.
    if size.is_some() {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    headers.insert(CACHE_CONTROL, if is_private { PRIVATE } else { FOR_EVER });
    headers.insert(X_CACHE, HeaderValue::from_static(word(source, stale)));
    if let Some(age) = age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
    if let Some(sha256) = sha256 {
        headers.insert(ETAG, etag(sha256));
    }
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path.filename())));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    if let Some(range) = range {
        headers.insert(CONTENT_RANGE, content_range(&range, size));
    }
    let body = content.map_or_else(nothing, |content| Body::new(FileBody::new(content, length)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The digest in quotes, written once: this is on the way of every hit.
fn etag(sha256: Sha256) -> HeaderValue {
    let mut text = [b'"'; 66];
    // It has room for exactly the digits; hex fails for nothing else.
    let written = hex::encode_to_slice(sha256.0, &mut text[1..65]);
    let value = written.ok().and_then(|()| HeaderValue::from_bytes(&text).ok());
    value.unwrap_or_else(|| HeaderValue::from_static("\"\""))
}

fn content_range(range: &Range<u64>, size: Option<u64>) -> HeaderValue {
    let total = size.map_or_else(|| "*".to_owned(), |size| size.to_string());
    let text = format!("bytes {}-{}/{total}", range.start, range.end.saturating_sub(1));
    // Digits and ASCII: always a value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// No body, and none that says "0 bytes": `Content-Length` in an answer to HEAD, or in a 304, is the file's.
fn nothing() -> Body {
    Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())
}

fn word(source: Source, stale: bool) -> &'static str {
    match source {
        Source::Hit if stale => "stale",
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
