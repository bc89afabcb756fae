//! Answers with the headers that upstream has: validators, lifetimes, serials, ranges.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode, http};
use md5::{Digest as _, Md5};

use crate::model::Serial;

use super::body::{Body, pieces, whole};
use super::project::Upload;

/// Piece of a file that is sent at once: large enough for full speed, small for a thousand connections.
const PIECE: usize = 128 * 1024;

pub(super) const X_PYPI_LAST_SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");

/// What of a request the answers depend on.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether `If-None-Match` names the tag; a weak spelling of it counts.
    pub(super) fn has(&self, etag: &str) -> bool {
        self.header(header::IF_NONE_MATCH).is_some_and(|tags| {
            tags.split(',')
                .map(|tag| tag.trim().trim_start_matches("W/"))
                .any(|tag| tag == etag || tag == "*")
        })
    }
}

/// How a document is to be kept.
pub(super) struct Manner {
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
    pub(super) serial: Option<Serial>,
    pub(super) vary: bool,
}

/// A short answer in words.
pub(super) fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(whole(format!("{text}\n")));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// Upstream's 404 for a document.
pub(super) fn no_document() -> Response<Body> {
    let mut response = Response::new(whole(r#"{"message": "Not Found"}"#));
    *response.status_mut() = StatusCode::NOT_FOUND;
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

/// Any site's pages may read the answer, and its serial (docs/wire.md section 8).
pub(super) fn open_to_all(response: &mut Response<Body>) {
    set(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(response, header::ACCESS_CONTROL_ALLOW_METHODS, "GET");
    set(
        response,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since",
    );
    set(response, header::ACCESS_CONTROL_MAX_AGE, "86400");
    set(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, "X-PyPI-Last-Serial");
}

/// What time it is, in Unix seconds, instead of the system's.
pub(super) fn date(response: &mut Response<Body>, now: i64) {
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(now).unwrap_or(0));
    set(response, header::DATE, &httpdate::fmt_http_date(now));
}

/// 301.
pub(super) fn moved(location: &str) -> Response<Body> {
    let mut response = text(StatusCode::MOVED_PERMANENTLY, "moved");
    set(&mut response, header::LOCATION, location);
    response
}

/// The strong validator of a body, with its quotes.
pub(super) fn etag_of(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(body)))
}

/// 304 in place of an answer whose validator the client has.
pub(super) fn not_modified(mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.map(|_| whole(""))
}

/// A document that is in memory.
pub(super) fn document(asked: &RequestHead<'_>, body: impl Into<Bytes>, manner: &Manner) -> Response<Body> {
    let body = body.into();
    let etag = etag_of(&body);
    let len = body.len();
    tagged(asked, &etag, Some(len), manner, || whole(body))
}

/// A document that is made while it is sent; `etag` stands for its content.
pub(super) fn streamed(
    asked: &RequestHead<'_>,
    etag: &str,
    manner: &Manner,
    body: impl FnOnce() -> Body,
) -> Response<Body> {
    tagged(asked, etag, None, manner, body)
}

fn tagged(
    asked: &RequestHead<'_>,
    etag: &str,
    len: Option<usize>,
    manner: &Manner,
    body: impl FnOnce() -> Body,
) -> Response<Body> {
    let fresh = asked.has(etag);
    let empty = fresh || asked.method == Method::HEAD;
    let mut response = Response::new(if empty { whole("") } else { body() });
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::CACHE_CONTROL, manner.cache_control);
    if manner.vary {
        set(&mut response, header::VARY, "Accept");
    }
    if let Some(serial) = manner.serial {
        set(&mut response, X_PYPI_LAST_SERIAL, &serial.to_string());
    }
    if fresh {
        return not_modified(response);
    }
    set(&mut response, header::CONTENT_TYPE, manner.content_type);
    if let Some(len) = len {
        set(&mut response, header::CONTENT_LENGTH, &len.to_string());
    }
    response
}

/// A package file, whole or a single range of it.
pub(super) fn file(asked: &RequestHead<'_>, upload: &Upload, with_etag: bool) -> Response<Body> {
    let file = upload.file.clone();
    let size = file.content.size();
    let etag = with_etag.then(|| format!("\"{}\"", file.digests.md5));
    let uploaded = UNIX_EPOCH + Duration::from_secs(u64::try_from(upload.time).unwrap_or(0));
    let modified = httpdate::fmt_http_date(uploaded);
    if let Some(etag) = etag.as_deref().filter(|etag| asked.has(etag)) {
        let mut response = Response::new(whole(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set(&mut response, header::ETAG, etag);
        return response;
    }
    let same = asked
        .header(header::IF_RANGE)
        .is_none_or(|validator| Some(validator) == etag.as_deref() || validator == modified);
    let wanted = asked.header(header::RANGE).filter(|_| same).map_or(Wanted::All, |text| wanted(text, size));
    let (status, range) = match wanted {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let content_type = match file.filename.rsplit_once('.') {
        Some((_, "gz")) => "application/x-tar",
        _ => "application/octet-stream",
    };
    let mut response = Response::new(if asked.method == Method::HEAD {
        whole("")
    } else {
        let (mut at, end) = (range.start, range.end);
        pieces(std::iter::from_fn(move || {
            let left = usize::try_from(end - at).unwrap_or(PIECE);
            let piece = file.content.read(at, left.min(PIECE));
            at += piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        }))
    });
    *response.status_mut() = status;
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        set(&mut response, header::CONTENT_RANGE, &text);
    }
    set(&mut response, header::CONTENT_LENGTH, &(range.end - range.start).to_string());
    set(&mut response, header::CONTENT_TYPE, content_type);
    if let Some(etag) = &etag {
        set(&mut response, header::ETAG, etag);
    }
    set(&mut response, header::LAST_MODIFIED, &modified);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CACHE_CONTROL, "max-age=365000000, immutable, public");
    response
}

enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Reads a `Range`; several ranges, or what is not understood, get the whole file (RFC 9110 allows it).
fn wanted(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim().is_empty(), number(first), number(last)) {
        (true, _, Some(suffix)) => size.saturating_sub(suffix)..size,
        (false, Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (false, Some(first), None) if last.trim().is_empty() => first..size,
        _ => return Wanted::All,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Nothing }
}

/// Sets a field. Values are ours, but a fault's may be anything: what no header can carry is left out.
pub(super) fn set(response: &mut Response<Body>, name: impl TryInto<HeaderName>, value: &str) {
    if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}

/// A status by number; 500 for what is none.
pub(super) fn status(code: u16) -> StatusCode {
    http::StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
