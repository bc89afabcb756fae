//! The one way of all requests: who asks is admitted by the head of the request, and whatever answers, the answer is counted,
//! logged and sent in one place. Calls and files in memory are answered straight away, the others by route.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::header::{DATE, HeaderValue, RETRY_AFTER, WARNING};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::admin::{self, Admin};
use super::body::CallLimits;
use super::clients::{Client, Limits, Purpose, Refusal, Role};
use super::cors::Cors;
use super::date::Dates;
use super::files::{self, Files};
use super::guard::{self, Guard};
use super::index::{self, Documents};
use super::observe::{Exchange, Meter, Meters};
use super::origin::Origins;
use super::outgoing::Outgoing;
use super::purge::Purge;
use super::push::{self, Push};
use super::rpc::{self, Calls};
use super::sending::Download;
use super::status::{self, StatusInputs, StatusPages};
use super::timeouts::SharedPhase;
use super::{feed, legacy, rescue, routes, statistics};
use crate::index::{Index, Signatures};
use crate::model::Stamp;
use crate::relay::Relay;
use crate::rpc::{Feed, OldAddresses, Rpc};
use crate::stats::Stats;

/// What answers.
pub struct Parts {
    /// Calls.
    pub rpc: Rpc,
    /// Events as they come.
    pub feed: Feed,
    /// Pages and documents.
    pub index: Index,
    /// Files.
    pub relay: Relay,
    /// Old addresses.
    pub old: OldAddresses,
    /// Signatures of pages.
    pub signatures: Signatures,
    /// Files between relays.
    pub push: Push,
    /// Downloads, which are counted.
    pub stats: Stats,
    /// Who runs it.
    pub admin: Admin,
    /// Pages for people.
    pub pages: StatusInputs,
    /// Who may ask.
    pub guard: Guard,
    /// How much each client may ask.
    pub limits: Limits,
}

/// What answers all requests.
pub struct Edge {
    limits: Limits,
    guard: Guard,
    purge: Purge,
    calls: Calls,
    files: Files,
    /// Where downloads are counted, if they are.
    counted_by: Option<Stats>,
    routes: Router,
    meters: Meters,
    /// What every answer says where there is no upstream, package files aside.
    disconnected: Option<HeaderValue>,
    /// Those of the addresses of calls, and of files.
    of_calls: [Arc<Meter>; rpc::ADDRESSES.len()],
    of_files: Arc<Meter>,
}

/// Where a connection comes from, and by which listener.
#[derive(Clone, Copy)]
pub(super) struct Inbound {
    pub(super) peer: IpAddr,
    /// The listener's own deadline of calls.
    pub(super) deadline: Option<Duration>,
    /// The connection is.
    pub(super) encrypted: bool,
    /// What whoever comes by this listener may do.
    pub(super) role: Role,
}

impl Edge {
    /// Puts it together over the parts that answer.
    pub fn new(parts: Parts, calls: CallLimits, origins: &Origins, cors: &Cors) -> Self {
        let Parts { rpc, feed, index, relay, stats, old, signatures, push, admin, pages, guard, limits } =
            parts;
        let counted_by = Some(stats.clone()).filter(Stats::is_enabled);
        let pages = StatusPages::new(pages, admin.clone(), rpc.clone(), index.clone(), origins.clone());
        let calls = Calls::new(rpc, calls, origins.clone());
        let purge = Purge::new(index.clone(), relay.clone());
        let files = Files::new(relay, cors.clone(), counted_by.clone(), guard.clone());
        let documents = Documents::new(index.clone(), origins.clone(), cors.clone());
        let read = index::routes_with(index, origins.clone(), documents.clone())
            .merge(files.clone().routes())
            .merge(legacy::routes(&old, signatures, origins));
        let others = feed::routes(feed)
            .merge(legacy::actions(old, documents, push.clone(), pages.clone(), origins.clone()))
            .merge(pages.routes())
            .merge(push::routes(push))
            .merge(statistics::routes(stats, origins.clone()))
            .merge(admin::routes(admin));
        let routes = routes::all(read, others, origins, cors);
        let meters = Meters::default();
        let of_calls = rpc::ADDRESSES.map(|address| meters.shown(address));
        let of_files = meters.shown(files::ROUTE);
        let disconnected = None;
        Self {
            limits,
            guard,
            purge,
            calls,
            files,
            counted_by,
            routes,
            meters,
            disconnected,
            of_calls,
            of_files,
        }
    }

    /// There is no upstream: every answer but package files, which never change, says so from now on, and as of when what it tells
    /// was heard, in Unix seconds.
    pub fn say_disconnected_since(&mut self, as_of: Option<i64>) {
        self.disconnected = Some(disconnected(as_of));
    }

    /// Where downloads are counted, if they are.
    pub(super) fn counted_by(&self) -> Option<&Stats> {
        self.counted_by.as_ref()
    }

    pub(super) async fn answer(
        &self,
        inbound: Inbound,
        mut request: Request<Incoming>,
        dates: &Dates,
        phase: SharedPhase,
    ) -> Response<Outgoing> {
        let place = rpc::place(&request);
        let (client, mut exchange, admitted) = {
            let mut later = None;
            let admission = self.limits.now(&mut later);
            let client = admission.client(inbound.peer, request.headers());
            let client = Client { encrypted: inbound.encrypted, role: inbound.role, ..client };
            let exchange = Exchange::begin(client, &request);
            let purpose = purpose(place, &request);
            let admitted = if self.guard.is_on() {
                self.guard.admit(admission, client, purpose, &mut request)
            } else {
                admission.admit(client, purpose)
            };
            (client, exchange, admitted)
        };
        let caller = match admitted {
            Ok(caller) => caller,
            Err(refusal) => {
                let (meter, mut response) = Box::pin(self.refuse(refusal, place, request)).await;
                response.headers_mut().insert(DATE, dates.now());
                return exchange.answered(&meter, response, None, None, phase);
            }
        };
        if let Some(place) = place {
            let (mut head, mut body) = request.into_parts();
            let answering = self.calls.answer(&caller, &mut exchange, inbound.deadline, &mut head, &mut body);
            let mut response = answering.await;
            if let Some(date) = dates.unless_hyper_writes_it() {
                response.headers_mut().insert(DATE, date);
            }
            self.say_disconnected(&mut response);
            return exchange.answered(&self.of_calls[place], response, None, Some(caller), phase);
        }
        if let Some((response, download)) = self.files.at_once(&request, client, phase.sending()) {
            // It has its date already.
            return exchange.answered(&self.of_files, response, download, Some(caller), phase);
        }
        // In a place of its own: a call's state should not be as large as theirs.
        let (meter, mut response) = Box::pin(self.by_route(caller.client, request)).await;
        response.headers_mut().insert(DATE, dates.now());
        self.say_disconnected(&mut response);
        let download = response.extensions_mut().remove::<Download>().map(Download::tracked);
        exchange.answered(&meter, response, download, Some(caller), phase)
    }

    fn say_disconnected<B>(&self, response: &mut Response<B>) {
        if let Some(warning) = &self.disconnected {
            response.headers_mut().append(WARNING, warning.clone());
        }
    }

    async fn by_route(&self, client: Client, mut request: Request<Incoming>) -> (Arc<Meter>, Response<Body>) {
        if client.role == Role::Administrator && request.method().as_str() == "PURGE" {
            self.purge.address(request.uri()).await;
        }
        request.extensions_mut().insert(client);
        let answering = self.routes.clone().oneshot(request.map(Body::new));
        let mut response = match client.requester().run(answering).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        self.files.remember(&mut response);
        let route = response.extensions_mut().remove::<MatchedPath>();
        (self.meters.of(route.as_ref().map_or(routes::UNMATCHED, MatchedPath::as_str)), response)
    }

    /// The answer to a request whose client is not admitted.
    async fn refuse(
        &self,
        refusal: Refusal,
        place: Option<usize>,
        request: Request<Incoming>,
    ) -> (Arc<Meter>, Response<Body>) {
        let (head, body) = request.into_parts();
        if place.is_some() {
            self.calls.let_go_by(&head, body).await;
        }
        let response = match refusal {
            Refusal::Calls(retry) if place.is_some() => rpc::too_many(retry),
            Refusal::Calls(retry) => rescue::too_many_searches(retry),
            Refusal::Feeds(most) => rescue::too_many_feeds(most),
            Refusal::Requests(retry) => guard::too_many_requests(retry),
            Refusal::Unauthorized => guard::unauthorized(),
            Refusal::Guesses(retry) => guard::too_many_guesses(retry),
        };
        let meter = match (place, refusal) {
            (Some(place), _) => self.of_calls[place].clone(),
            (None, Refusal::Calls(_)) => self.meters.of(status::SEARCH),
            (None, Refusal::Feeds(_)) => self.meters.of(feed::PATH),
            // Which route it would have been is nobody's to know.
            (None, Refusal::Requests(_) | Refusal::Unauthorized | Refusal::Guesses(_)) => {
                self.meters.of(routes::UNMATCHED)
            }
        };
        (meter, response)
    }

    /// The answer to a request for which there is no room among all that are answered.
    pub(super) fn crowded(
        &self,
        inbound: Inbound,
        request: &Request<Incoming>,
        phase: SharedPhase,
    ) -> Response<Outgoing> {
        let mut later = None;
        let client = self.limits.now(&mut later).client(inbound.peer, request.headers());
        let exchange = Exchange::begin(client, request);
        let response =
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], "too many requests are being answered\n");
        exchange.answered(&self.meters.of(routes::UNMATCHED), response.into_response(), None, None, phase)
    }
}

/// "Disconnected Operation" (RFC 7234 section 5.5.3), and as of when.
fn disconnected(as_of: Option<i64>) -> HeaderValue {
    let as_of =
        as_of.and_then(Stamp::from_unix).map_or_else(|| "an unknown moment".to_owned(), Stamp::rfc822);
    let text = format!("112 - \"Disconnected Operation, as of {as_of}\"");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("112 - \"Disconnected Operation\""))
}

fn purpose<B>(place: Option<usize>, request: &Request<B>) -> Purpose {
    let is_read = || matches!(*request.method(), Method::GET | Method::HEAD);
    match place {
        Some(_) => Purpose::Call,
        None if request.uri().path() == feed::PATH && is_read() => Purpose::Feed,
        None if request.uri().path() == status::SEARCH && is_read() => Purpose::Search,
        None => Purpose::Other,
    }
}
