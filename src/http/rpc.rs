//! XML-RPC over HTTP: where calls arrive and how answers are written (docs/wire.md sections 1 and 2).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::body::{Bodies, CallLimits, Document, Refusal};
use super::clients::{self, ClientLimits, Clients, Proxies};
use super::coding;
use super::guarded::Guarded;
use super::listener::OwnDeadline;
use super::negotiate;
use super::observe::Meter;
use super::origin::Origins;
use crate::model::ProjectName;
use crate::rpc::{Answer, Caller, Coder, Pieces, Rpc};
use crate::xmlrpc::{Fault, encode_fault};

/// Where calls arrive. Clients of every age: none of them follows a redirect.
const ADDRESSES: [&str; 10] =
    ["/pypi", "/pypi/", "/RPC2", "/", "//RPC2", "//pypi", "/RPC2/", "//", "//pypi/", "//RPC2/"];

/// Rule 1 of section 2.
const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

/// Calls above this are decoded off the reactor: 64 KiB take about half a millisecond.
const INLINE: usize = 64 * 1024;

/// Answers calls. Not routes of the router: finding one of those takes as long as a small answer.
pub(super) struct Calls {
    rpc: Rpc,
    bodies: Bodies,
    clients: Clients,
    proxies: Proxies,
    origins: Origins,
    meters: [Meter; ADDRESSES.len()],
}

/// What the addresses of calls answer to others than a POST.
pub(super) fn routes(origins: Origins) -> Router {
    // POST does not come here; with it in the route, a 405 says in `Allow` that it may.
    let other = || get(about).post(about);
    let routes = ADDRESSES.iter().fold(Router::new(), |router, address| router.route(address, other()));
    routes.with_state(Arc::new(origins))
}

/// A bare GET is not a call; it gets a page for people. One that asks for something must not take that for its answer.
async fn about(
    State(origins): State<Arc<Origins>>,
    RawQuery(query): RawQuery,
    request: Parts,
) -> Response<Body> {
    let simple = origins.link(&request, "/simple/");
    let asked = |wanted: &str| {
        let pairs = url::form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes());
        pairs.into_iter().find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
    };
    let Some(action) = asked(":action") else {
        let simple = simple.replace('&', "&amp;");
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>cheesewire</title></head><body>\n\
             <h1>cheesewire</h1>\n<p>This is a relay of a Python package index. Programs send XML-RPC calls to this \
             address by POST; pip takes <a href=\"{simple}\">{simple}</a> as its index.</p>\n</body></html>\n"
        );
        return ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    };
    // docs/wire.md section 9.
    let name = asked("name").filter(|_| action == "json").and_then(|name| ProjectName::parse(&name).ok());
    if let Some(name) = name {
        let address = origins.link(&request, &format!("/pypi/{name}/json"));
        return (StatusCode::MOVED_PERMANENTLY, [(LOCATION, address)]).into_response();
    }
    let none = format!(
        "no such :action is here, but :action=json&name=NAME; calls come by POST, files are at {simple}\n"
    );
    (StatusCode::NOT_FOUND, none).into_response()
}

/// Whether a request is a call, by its method and its address: the address's place.
pub(super) fn place<B>(request: &Request<B>) -> Option<usize> {
    let path = (request.method() == Method::POST).then(|| request.uri().path())?;
    ADDRESSES.iter().position(|address| *address == path)
}

impl Calls {
    pub(super) fn new(rpc: Rpc, limits: CallLimits, clients: &ClientLimits, origins: Origins) -> Self {
        let proxies = clients.trusted_proxies.clone();
        let (bodies, clients) = (Bodies::new(limits), Clients::new(clients));
        Self { rpc, bodies, clients, proxies, origins, meters: ADDRESSES.map(Meter::new) }
    }

    /// Whether clients are limited, so that it matters who asks.
    pub(super) fn judges_clients(&self) -> bool {
        self.clients.judge()
    }

    /// Answers the call that came to an address. Head and body stay where they are: each move of them costs as much as
    /// reading a small call.
    pub(super) async fn answer<B>(
        &self,
        place: usize,
        peer: IpAddr,
        head: &Parts,
        body: &mut B,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
    {
        let started = Instant::now();
        let response = self.call(peer, head, body, started).await;
        let uri = tracing::enabled!(tracing::Level::DEBUG).then(|| head.uri.clone());
        self.meters[place].count(response.status(), started, uri.map(|uri| (Method::POST, uri)));
        response
    }

    async fn call<B>(&self, peer: IpAddr, head: &Parts, body: &mut B, started: Instant) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
    {
        if !is_xml(&head.headers) {
            let refusal = if is_form(&head.headers) { Refusal::Upload } else { Refusal::Type };
            return self.bodies.refuse(body, &head.headers, refusal).await.into_response();
        }
        let document = match self.bodies.read(body, &head.headers).await {
            Ok(document) => document,
            Err(refusal) => return refusal.into_response(),
        };
        // A query may be wrong, which has to be said, and whose calls are limited has to be counted.
        let plain = head.uri.query().is_none() && !self.judges_clients();
        let quick = || self.rpc.quick(&document.bytes, started);
        if let Some(answer) = plain.then(quick).flatten() {
            return respond(Body::from(answer), false);
        }
        // In a place of its own: the path above is short, and its state is moved about.
        let requester = clients::requester(peer, &head.headers, &self.proxies);
        Box::pin(requester.run(self.call_by_value(head, document))).await
    }

    /// Answers a call that has to be read.
    async fn call_by_value(&self, head: &Parts, document: Document) -> Response<Body> {
        // What the call's values take counts until it is answered.
        let Document { bytes: document, room: _room } = document;
        let Ok(deadline) = deadline(head.uri.query()) else {
            // A fault, not a status: the call itself is sound, and the client shows a fault's text to its user.
            let complaint = "deadline: Input should be a number of seconds above 0".to_owned();
            return write(Answer::Whole(encode_fault(&Fault::invalid_params(&[complaint]))), false).await;
        };
        let gzip = negotiate::gzip(&head.headers);
        let origin = || self.origins.of(head);
        let own = || head.extensions.get::<OwnDeadline>().map(|own| own.0);
        let caller = Caller { origin: &origin, deadline: deadline.or_else(own), coder: gzip.then_some(GZIP) };
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
        // What cannot be read counts as well.
        let admission = match self.clients.admit(head, call.as_ref().map_or(1, clients::calls_in)) {
            Ok(admission) => admission,
            Err(fault) => return write(Answer::Whole(encode_fault(&fault)), false).await,
        };
        let answer = self.rpc.answer(call, caller).await;
        write(answer, gzip).await.map(|body| Body::new(Guarded::new(body, admission)))
    }
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

fn respond(body: Body, coded: bool) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, XML);
    if coded {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::index::{Index, IndexSettings};
    use crate::journal::{Journal, JournalSettings};
    use crate::rpc::RpcSettings;
    use crate::upstream::{Upstream, UpstreamSettings};

    /// Calls to a relay that has heard of no upstream.
    async fn calls(folder: &std::path::Path, clients: &ClientLimits) -> Calls {
        let journal = Journal::open(folder, JournalSettings::default()).await.unwrap();
        let upstream = Upstream::new(UpstreamSettings::new("http://127.0.0.1:1/".parse().unwrap())).unwrap();
        let index = Index::new(upstream.clone(), journal.clone(), IndexSettings::default());
        let rpc = Rpc::new(journal, index, upstream, RpcSettings::default());
        let limits = CallLimits {
            bodies_limit: 1 << 20,
            body_timeout: Duration::from_mins(1),
            ..CallLimits::default()
        };
        Calls::new(rpc, limits, clients, Origins::new(None, ([127, 0, 0, 1], 1).into()))
    }

    async fn ask(calls: &Calls) -> Response<Body> {
        let body = "<methodCall><methodName>system.listMethods</methodName></methodCall>";
        let request = Request::post("/pypi").header(CONTENT_TYPE, "text/xml").body(Full::from(body)).unwrap();
        let (head, mut body) = request.into_parts();
        calls.answer(0, [192, 0, 2, 1].into(), &head, &mut body).await
    }

    async fn is_refused(answer: Response<Body>) -> bool {
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8_lossy(&bytes).contains("HTTPTooManyRequests")
    }

    #[tokio::test]
    async fn a_client_has_its_place_again_only_when_its_answer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let limits = ClientLimits { calls_at_once: Some(1), ..ClientLimits::default() };
        let calls = calls(folder.path(), &limits).await;
        // Made, and not a byte of it sent.
        let answer = ask(&calls).await;
        assert!(is_refused(ask(&calls).await).await);
        assert!(!is_refused(answer).await, "sent to its end");
        let left = ask(&calls).await;
        assert!(is_refused(ask(&calls).await).await);
        drop(left);
        assert!(!is_refused(ask(&calls).await).await, "its client left");
    }
}
