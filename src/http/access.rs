//! The access log: one line for each request, written when its answer's last byte was handed over, or when it was given up.

use std::net::IpAddr;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::http::header::{HeaderMap, USER_AGENT, WARNING};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame};

use super::clients::Client;
use super::fields::X_CACHE;
use crate::push::UPLOADS;

/// The target of its lines, which are at info.
pub const ACCESS_LOG: &str = "cheesewire::access";

/// The most bytes of a user agent and of a path that are written: pip's agent has 300 to 500, and its first 256 tell versions
/// and system.
const LONGEST: usize = 256;

/// Bytes that are handed over at once, so that of an answer that is cut not many more are told than were sent.
const PIECE: usize = 64 << 10;

/// A line that is written when it is dropped.
pub(super) struct Line {
    started: Instant,
    client: IpAddr,
    agent: Box<str>,
    verb: Method,
    path: Box<str>,
    route: Option<Box<str>>,
    /// Of a call.
    method: Option<&'static str>,
    /// Where the answer comes from, if that is known.
    cache: Option<&'static str>,
    status: Option<StatusCode>,
    bytes: u64,
    /// Bytes of the body that are not handed over yet.
    rest: Bytes,
    /// All of the answer was handed over.
    complete: bool,
}

impl Line {
    /// Of a request, if there is an access log.
    pub(super) fn begin<B>(started: Instant, client: Client, request: &Request<B>) -> Option<Box<Self>> {
        if !tracing::enabled!(target: ACCESS_LOG, tracing::Level::INFO) {
            return None;
        }
        Some(Box::new(Self::new(started, client, request)))
    }

    fn new<B>(started: Instant, client: Client, request: &Request<B>) -> Self {
        let agent = request.headers().get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
        Self {
            started,
            client: client.address,
            agent: cut(agent),
            verb: request.method().clone(),
            path: cut(shown(request.uri().path()).as_bytes()),
            route: None,
            method: None,
            cache: None,
            status: None,
            bytes: 0,
            rest: Bytes::new(),
            complete: false,
        }
    }

    /// Takes a call's method, and where its answer comes from if that is known.
    pub(super) fn is_call(&mut self, method: &'static str, cache: Option<&'static str>) {
        (self.method, self.cache) = (Some(method), cache);
    }

    /// Takes what is known once the answer's head is.
    pub(super) fn answered<B>(&mut self, route: &str, response: &Response<B>) {
        self.route = Some(route.into());
        self.cache = self.cache.or_else(|| cache(response.headers()));
        self.status = Some(response.status());
        // Such answers have no body, and then nobody asks it for its end.
        self.complete = self.verb == Method::HEAD
            || matches!(response.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    }

    /// The next bytes of the answer's body, counted.
    pub(super) fn poll_frame<B>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if self.rest.is_empty() {
            match ready!(std::pin::Pin::new(&mut *body).poll_frame(cx))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(bytes))) => self.rest = bytes,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.complete = true;
                    return Poll::Ready(None);
                }
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.bytes += piece.len() as u64;
        self.complete = self.is_end_stream(body);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    pub(super) fn is_end_stream<B: Body>(&self, body: &B) -> bool {
        self.rest.is_empty() && body.is_end_stream()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        tracing::info!(
            target: ACCESS_LOG,
            client = %self.client,
            agent = &*self.agent,
            verb = self.verb.as_str(),
            path = &*self.path,
            route = self.route.as_deref(),
            method = self.method,
            status = self.status.map(|status| status.as_u16()),
            bytes = self.bytes,
            complete = self.complete,
            cache = self.cache,
            seconds = self.started.elapsed().as_secs_f64(),
            "request"
        );
    }
}

/// A path as it may be logged: what follows the prefix of uploads is secret until it was used.
pub(super) fn shown(path: &str) -> &str {
    if path.starts_with(UPLOADS) { UPLOADS } else { path }
}

/// The beginning of what a client said. It is written in quotes, with what is no plain text escaped.
fn cut(said: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(&said[..said.len().min(LONGEST)]);
    // Half of a character at the end is none.
    let whole = if said.len() > LONGEST { text.trim_end_matches('\u{fffd}') } else { &text };
    whole.into()
}

/// What an answer's head says of where it comes from.
fn cache(head: &HeaderMap) -> Option<&'static str> {
    let said = head.get(X_CACHE).map(HeaderValue::as_bytes);
    let words = ["hit", "miss", "joined", "stale"];
    let word = said.and_then(|said| words.into_iter().find(|word| word.as_bytes() == said));
    word.or_else(|| {
        head.get(WARNING).is_some_and(|warning| warning.as_bytes().starts_with(b"110")).then_some("stale")
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn of_a_body_in_one_piece_no_more_is_counted_than_was_handed_over() {
        let (request, client) = (Request::new(()), Client::at([192, 0, 2, 1].into()));
        let mut line = Line::new(Instant::now(), client, &request);
        let mut body = Full::new(Bytes::from(vec![7; 3 * PIECE + 1]));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut handed = 0;
        for bytes in [PIECE, PIECE, PIECE, 1] {
            assert!(!line.complete && !line.is_end_stream(&body));
            let Poll::Ready(Some(Ok(frame))) = line.poll_frame(&mut body, &mut cx) else {
                panic!("no frame")
            };
            handed += frame.into_data().unwrap().len() as u64;
            assert_eq!((line.bytes, line.bytes % PIECE as u64), (handed, bytes as u64 % PIECE as u64));
        }
        assert!(line.complete && line.is_end_stream(&body));
    }

    #[test]
    fn what_upstream_has_not_confirmed_is_stale_and_what_was_imported_is_not() {
        let of = |warning: &'static str| {
            cache(&HeaderMap::from_iter([(WARNING, HeaderValue::from_static(warning))]))
        };
        assert_eq!(of("110 - \"Response is Stale\""), Some("stale"));
        assert_eq!(of("112 - \"Disconnected Operation\""), None);
    }

    #[test]
    fn what_a_client_says_is_cut_between_characters() {
        assert_eq!(&*cut(b"pip/23.0"), "pip/23.0");
        assert_eq!(cut("a".repeat(100_000).as_bytes()).len(), LONGEST);
        let long = format!("{}é", "a".repeat(LONGEST - 1));
        assert_eq!(&*cut(long.as_bytes()), "a".repeat(LONGEST - 1));
        assert_eq!(&*cut(b"\xff"), "\u{fffd}");
    }
}
