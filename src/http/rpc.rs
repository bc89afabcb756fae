//! XML-RPC over HTTP: where calls arrive and how answers are written (docs/wire.md sections 1 and 2).

use std::mem;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::body::{self, Bodies, CallLimits, Document};
use super::clients::{self, Caller, Client, Refusal};
use super::coding;
use super::deadline::deadline;
use super::negotiate;
use super::observe::Exchange;
use super::origin::Origins;
use crate::rpc::{Answer, Caller as Asker, Coder, Pieces, QUICK, Rpc, UNREADABLE, method_name};
use crate::xmlrpc::{Fault, encode_fault};

/// Where calls arrive. Clients of every age: none of them follows a redirect.
pub(super) const ADDRESSES: [&str; 10] =
    ["/pypi", "/pypi/", "/RPC2", "/", "//RPC2", "//pypi", "/RPC2/", "//", "//pypi/", "//RPC2/"];

/// Rule 1 of section 2.
const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

/// Calls above this are decoded off the reactor: 64 KiB take about half a millisecond.
const INLINE: usize = 64 * 1024;

/// A place for at most so many headers is used again: some 100 bytes each while a connection waits.
const KEPT_HEADERS: usize = 24;

/// Answers calls. Not routes of the router: finding one of those takes as long as a small answer.
pub(super) struct Calls {
    rpc: Rpc,
    bodies: Bodies,
    origins: Origins,
}

/// Whether a request is a call, by its method and its address: the address's place.
pub(super) fn place<B>(request: &Request<B>) -> Option<usize> {
    let path = (request.method() == Method::POST).then(|| request.uri().path())?;
    ADDRESSES.iter().position(|address| *address == path)
}

impl Calls {
    pub(super) fn new(rpc: Rpc, limits: CallLimits, origins: Origins) -> Self {
        Self { rpc, bodies: Bodies::new(limits), origins }
    }

    /// Answers the call that came to an address. Head and body stay where they are: each move of them costs as much as
    /// reading a small call. `own`: the deadline of the listener that it came by.
    pub(super) async fn answer<B>(
        &self,
        caller: &Caller,
        exchange: &mut Exchange,
        own: Option<Duration>,
        head: &mut Parts,
        body: &mut B,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
    {
        if !is_xml(&head.headers) {
            let refusal = if is_form(&head.headers) { body::Refusal::Upload } else { body::Refusal::Type };
            self.bodies.swallow(body, &head.headers).await;
            return refusal.into_response();
        }
        let document = match self.bodies.read(body, &head.headers).await {
            Ok(document) => document,
            Err(refusal) => return refusal.into_response(),
        };
        // A query may be wrong, which has to be said, and a call that is charged for has to be counted.
        let plain = head.uri.query().is_none() && !caller.is_charged();
        let quick = || self.rpc.quick(&document.bytes, exchange.started);
        if let Some(answer) = plain.then(quick).flatten() {
            exchange.is_call(QUICK, Some("hit"));
            return respond_in(emptied(&mut head.headers), Body::from(answer));
        }
        // In a place of its own: the path above is short, and its state is moved about.
        let answering = self.call_by_value(caller, exchange, own, head, document);
        Box::pin(caller.client.requester().run(answering)).await
    }

    /// Lets the call of a client go by that is not admitted: what it sends is read before it is answered.
    pub(super) async fn let_go_by<B>(&self, head: &Parts, body: B)
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        self.bodies.swallow(body, &head.headers).await;
    }

    /// Answers a call that has to be read.
    async fn call_by_value(
        &self,
        caller: &Caller,
        exchange: &mut Exchange,
        own: Option<Duration>,
        head: &Parts,
        document: Document,
    ) -> Response<Body> {
        // What the call's values take counts until it is answered.
        let Document { bytes: document, room: _room } = document;
        let Ok(deadline) = deadline(head.uri.query()) else {
            // A fault, not a status: the call itself is sound, and the client shows a fault's text to its user.
            let complaint = "deadline: Input should be a number of seconds above 0".to_owned();
            return fault(&Fault::invalid_params(&[complaint]));
        };
        let gzip = negotiate::gzip(&head.headers);
        let Client { hops, encrypted, .. } = caller.client;
        let origin = || self.origins.behind((hops, encrypted), head);
        let asker = Asker { origin: &origin, deadline: deadline.or(own), coder: gzip.then_some(GZIP) };
        let call = if document.len() > INLINE {
            let rpc = self.rpc.clone();
            match self.bodies.aside(move || rpc.decode(&document)).await {
                Ok(call) => call,
                Err(error) => {
                    tracing::error!(%error, "decoding a call failed");
                    return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                }
            }
        } else {
            self.rpc.decode(&document)
        };
        exchange.is_call(call.as_ref().map_or(UNREADABLE, |call| method_name(&call.method)), None);
        // What cannot be read counts as well.
        if let Err(Refusal::Calls(retry)) = caller.charge(call.as_ref().map_or(1, clients::calls_in)) {
            return too_many(retry);
        }
        let answer = self.rpc.answer(call, asker).await;
        write(answer, gzip).await
    }
}

/// The fault for a client that may not call before this time is over.
pub(super) fn too_many(retry: Duration) -> Response<Body> {
    fault(&Fault::too_many_requests(retry))
}

fn fault(fault: &Fault) -> Response<Body> {
    respond(Body::from(encode_fault(fault)), false)
}

/// What bulk answers are coded with while they are written into memory.
const GZIP: Coder = gzip;

fn gzip(pieces: Pieces) -> Pieces {
    coding::gzip_stream(pieces).boxed()
}

/// `text/xml` or `application/xml`, any case, any parameter.
fn is_xml(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(CONTENT_TYPE) else { return false };
    // As most write it.
    if given == "text/xml" {
        return true;
    }
    let given = given.to_str().ok();
    let kind = given.map(|given| given.split(';').next().unwrap_or(given).trim());
    kind.is_some_and(|kind| {
        kind.eq_ignore_ascii_case("text/xml") || kind.eq_ignore_ascii_case("application/xml")
    })
}

/// What registers a project or uploads a file is the only form that was ever sent to these addresses.
fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|given| given.as_bytes().starts_with(b"multipart/form-data"))
}

async fn write(answer: Answer, gzip: bool) -> Response<Body> {
    let (answer, coded) = match answer {
        Answer::Whole(bytes) if gzip && coding::worth(bytes.len()) => {
            return respond(coding::gzip(bytes).await, true);
        }
        Answer::Whole(bytes) => return respond(Body::from(bytes), false),
        Answer::Stream(answer) if gzip => {
            return respond(Body::from_stream(coding::gzip_stream(answer.pieces)), true);
        }
        Answer::Stream(answer) => (answer, false),
        Answer::Coded(answer) => (answer, true),
    };
    let mut response = respond(Body::from_stream(answer.pieces), coded);
    // Who reads chunks pays for each: of a kept page in Python half of the time.
    if let Some(length) = answer.length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// The place of a request's headers, which nobody needs any more, for those of its answer. hyper in turn reads the next
/// request's into it, so that none is allocated for any of the requests of a connection. Who sent very many headers does
/// not have the memory of them kept.
fn emptied(headers: &mut HeaderMap) -> HeaderMap {
    let mut place = mem::take(headers);
    if place.capacity() > KEPT_HEADERS {
        return HeaderMap::new();
    }
    place.clear();
    place
}

fn respond_in(headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, XML);
    response
}

fn respond(body: Body, coded: bool) -> Response<Body> {
    let mut response = respond_in(HeaderMap::new(), body);
    if coded {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(count: usize) -> HeaderMap {
        let name = |n| HeaderName::try_from(format!("x-{n}")).unwrap();
        (0..count).map(|n| (name(n), HeaderValue::from_static("of the request"))).collect()
    }

    /// Otherwise two allocations and frees more for each small call.
    #[test]
    fn an_answer_has_its_headers_in_the_place_of_the_request_s() {
        let mut request = headers(4);
        let place = request.capacity();
        let answer = respond_in(emptied(&mut request), Body::empty());
        assert_eq!(answer.headers().capacity(), place);
        assert_eq!(answer.headers().iter().collect::<Vec<_>>(), [(&CONTENT_TYPE, &XML)]);
    }

    /// hyper keeps the place for as long as the connection lasts.
    #[test]
    fn the_place_of_very_many_headers_is_not_kept() {
        let mut request = headers(100);
        let answer = respond_in(emptied(&mut request), Body::empty());
        assert!(answer.headers().capacity() <= KEPT_HEADERS, "{}", answer.headers().capacity());
        assert_eq!(answer.headers().len(), 1);
    }
}
