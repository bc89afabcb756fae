//! XML-RPC over HTTP: where calls arrive and how answers are written (WIRE.md sections 1 and 2).

use std::io::Read as _;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::clients::{self, ClientLimits, Clients};
use super::coding;
use super::guarded::Guarded;
use super::listener::OwnDeadline;
use super::negotiate;
use super::origin::Origins;
use crate::rpc::{Answer, Caller, Coder, Pieces, Rpc};
use crate::xmlrpc::{Fault, encode_fault};

/// Where calls arrive. Clients of every age: none of them follows a redirect.
const ADDRESSES: [&str; 6] = ["/pypi", "/pypi/", "/RPC2", "/", "//RPC2", "//pypi"];

/// Rule 1 of section 2.
const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

/// Calls above this are decoded off the reactor: 64 KiB take about half a millisecond.
const INLINE: usize = 64 * 1024;

/// Bounds on a call as it arrives.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// A call's size, also after decoding. Default 1 MiB.
    pub body: usize,
    /// The time for the whole body to arrive.
    pub patience: Duration,
}

#[derive(Clone)]
struct Edge {
    rpc: Rpc,
    limits: CallLimits,
    clients: Clients,
    origins: Origins,
}

pub(super) fn routes(rpc: Rpc, limits: CallLimits, clients: &ClientLimits, origins: Origins) -> Router {
    let edge = Edge { rpc, limits, clients: Clients::new(clients), origins };
    let call = || post(call).get(about);
    ADDRESSES.iter().fold(Router::new(), |router, address| router.route(address, call())).with_state(edge)
}

/// A bare GET is not a call; it gets a page for people.
async fn about() -> impl IntoResponse {
    const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>cheesewire</title></head><body>\n\
        <h1>cheesewire</h1>\n<p>This is a relay of a Python package index. Programs send XML-RPC calls to this \
        address by POST; pip takes <a href=\"/simple/\">/simple/</a> as its index.</p>\n</body></html>\n";
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE)
}

async fn call(State(edge): State<Edge>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !is_xml(&head.headers) {
        let reason = "an XML-RPC call has Content-Type text/xml\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, reason).into_response();
    }
    let document = match read(body, &head.headers, edge.limits).await {
        Ok(document) => document,
        Err(refusal) => return refusal.into_response(),
    };
    let origin = edge.origins.of(&head);
    let Ok(deadline) = deadline(head.uri.query()) else {
        // A fault, not a status: the call itself is sound, and the client shows a fault's text to its user.
        let complaint = "deadline: Input should be a number of seconds above 0".to_owned();
        return write(Answer::Whole(encode_fault(&Fault::invalid_params(&[complaint]))), false).await;
    };
    let gzip = negotiate::gzip(&head.headers);
    let own = || head.extensions.get::<OwnDeadline>().map(|own| own.0);
    let caller = Caller { origin: &origin, deadline: deadline.or_else(own), coder: gzip.then_some(GZIP) };
    let call = if document.len() > INLINE {
        let rpc = edge.rpc.clone();
        match tokio::task::spawn_blocking(move || rpc.decode(&document)).await {
            Ok(call) => call,
            Err(error) => {
                tracing::error!(%error, "decoding a call failed");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        }
    } else {
        edge.rpc.decode(&document)
    };
    // What cannot be read counts as well.
    let admission = match edge.clients.admit(&head, call.as_ref().map_or(1, clients::calls_in)) {
        Ok(admission) => admission,
        Err(fault) => return write(Answer::Whole(encode_fault(&fault)), false).await,
    };
    let answer = edge.rpc.answer(call, caller).await;
    write(answer, gzip).await.map(|body| Body::new(Guarded::new(body, admission)))
}

/// What bulk answers are coded with while they are written into memory.
const GZIP: Coder = gzip;

fn gzip(pieces: Pieces) -> Pieces {
    coding::gzip_stream(pieces).boxed()
}

/// `?deadline=9`, also `2.5`: how long the caller wants to wait.
pub(super) fn deadline(query: Option<&str>) -> Result<Option<Duration>, ()> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or("").as_bytes());
    let Some((_, text)) = pairs.into_iter().find(|(key, _)| key == "deadline") else { return Ok(None) };
    let seconds: f64 = text.parse().map_err(|_| ())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| ())?;
    if duration.is_zero() { Err(()) } else { Ok(Some(duration)) }
}

/// `text/xml` or `application/xml`, any case, any parameter.
fn is_xml(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.map(|given| given.split(';').next().unwrap_or(given).trim());
    kind.is_some_and(|kind| {
        kind.eq_ignore_ascii_case("text/xml") || kind.eq_ignore_ascii_case("application/xml")
    })
}

/// Why a body is not taken. Not faults: what did not arrive whole is no call.
enum Refusal {
    TooLarge(usize),
    TooSlow(Duration),
    Coding,
    Broken,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let (status, reason) = match self {
            Self::TooLarge(limit) => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("a call has at most {limit} bytes\n"))
            }
            Self::TooSlow(limit) => {
                (StatusCode::REQUEST_TIMEOUT, format!("a call has to arrive within {} s\n", limit.as_secs()))
            }
            Self::Coding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a call may be coded with gzip, nothing else\n".to_owned(),
            ),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body of the call is broken\n".to_owned()),
        };
        tracing::debug!(status = status.as_u16(), reason = reason.trim_end(), "a call was not taken");
        (status, [("connection", "close")], reason).into_response()
    }
}

/// The body as it arrives; not begun if it says that it is too large.
async fn arrived(body: &mut Body, limits: CallLimits) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limits.body as u64 {
        return Err(Refusal::TooLarge(limits.body));
    }
    match tokio::time::timeout(limits.patience, Limited::new(body, limits.body).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(limits.body)),
        Ok(Err(_)) => Err(Refusal::Broken),
        Err(_) => Err(Refusal::TooSlow(limits.patience)),
    }
}

/// Lets the rest of a body go by, for no longer than a call may take to arrive.
async fn swallow(mut body: Body, patience: Duration) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // What is still coming then is cut off with the connection.
    let _ = tokio::time::timeout(patience, rest).await;
}

async fn read(mut body: Body, headers: &HeaderMap, limits: CallLimits) -> Result<Bytes, Refusal> {
    let gzip = match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => false,
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => {
            true
        }
        Some(_) => return Err(Refusal::Coding),
    };
    let bytes = match arrived(&mut body, limits).await {
        Ok(bytes) => bytes,
        Err(refusal) => {
            // Who expects a word before sending gets this one at once. Others send first and read then: a
            // connection closed on what they still send would take the answer from them.
            if matches!(refusal, Refusal::TooLarge(_)) && !headers.contains_key(EXPECT) {
                swallow(body, limits.patience).await;
            }
            return Err(refusal);
        }
    };
    if !gzip {
        return Ok(bytes);
    }
    let limit = limits.body;
    // A bomb is bounded here: no more is decoded than a plain call may have.
    let decoded = tokio::task::spawn_blocking(move || {
        let mut plain = Vec::new();
        let decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        let read = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
        read.map(|_| plain)
    });
    match decoded.await {
        Ok(Ok(plain)) if plain.len() > limit => Err(Refusal::TooLarge(limit)),
        Ok(Ok(plain)) => Ok(plain.into()),
        Ok(Err(_)) | Err(_) => Err(Refusal::Broken),
    }
}

async fn write(answer: Answer, gzip: bool) -> Response<Body> {
    let (body, coded) = match answer {
        Answer::Whole(bytes) if gzip && coding::worth(bytes.len()) => (coding::gzip(bytes).await, true),
        Answer::Whole(bytes) => (Body::from(bytes), false),
        Answer::Stream(pieces) if gzip => (Body::from_stream(coding::gzip_stream(pieces)), true),
        Answer::Stream(pieces) => (Body::from_stream(pieces), false),
        Answer::Coded(pieces) => (Body::from_stream(pieces), true),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, XML);
    if coded {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
