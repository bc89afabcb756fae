//! The edge: routes, what a request may cost, and which status or fault a failure becomes.

mod admin;
mod body;
mod clients;
mod coding;
mod cors;
mod crowd;
mod date;
mod descriptors;
mod feed;
mod files;
mod guarded;
mod index;
mod listener;
mod negotiate;
mod observe;
mod origin;
mod patience;
mod pieces;
mod repeated;
mod reply;
mod rescue;
mod rpc;

use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::body::Body;
use axum::http::header::DATE;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};

pub use admin::{Admin, Look, Readiness};
pub use body::CallLimits;
pub use clients::{ClientLimits, Proxies};
pub use cors::Cors;
pub use descriptors::affordable_connections;
pub use files::routes as file_routes;
pub use index::routes as index_routes;
pub use listener::{Listen, ListenerSettings, serve};
pub use origin::Origins;
pub use patience::Patience;

use clients::Shares;
use date::Dates;
use files::Files;
use hyper::body::Incoming;
use reply::Reply;
use rpc::Calls;
use tower::ServiceExt as _;
use url::Url;

use crate::index::Index;
use crate::model::settings;
use crate::relay::Relay;
use crate::rpc::{Feed, Rpc};

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
    /// Who runs it.
    pub admin: Admin,
}

settings! {
    /// Settings of the edge.
    #[derive(Debug, Clone)]
    pub struct HttpSettings in "http" {
        /// Where to listen; several addresses with commas between them. Port 0 takes any free one. 127.0.0.1:3142?deadline=9
        /// answers calls within 9 s instead of rpc.deadline.
        ///
        /// devpi's port, which old configurations know.
        listen: Vec<Listen> = vec![Listen { address: (Ipv4Addr::LOCALHOST, 3141).into(), deadline: None }],
        /// The address that clients use, for absolute links behind a proxy, with the path that the proxy takes off if there is
        /// one. Unset: what each client sent as Host, or what clients.trusted_proxies say.
        public_url: Option<Url> = None,
        /// The web pages that may read pages, documents and files in a browser: * for all, none, or their origins, such as
        /// `https://lab.test, http://localhost:8888`. The default is none if upstream is asked with user and password.
        ///
        /// All, as with PyPI: what the index has is public. If upstream is asked with credentials, what it has may be secret, and
        /// a page of somebody else's may be open in a browser that reaches this relay.
        cors: Cors = Cors::Any,
        /// Limits of connections.
        listener: ListenerSettings as Group = ListenerSettings::default(),
        /// Limits of calls.
        calls: CallLimits as Group = CallLimits::default(),
        /// Limits of each client.
        clients: ClientLimits as Group = ClientLimits::default(),
    }
}

/// What answers all requests: calls and files in memory straight away, the others by route.
pub struct Edge {
    calls: Calls,
    files: Files,
    routes: Router,
    /// Proxies say where clients know us.
    asks_for_peer: bool,
    proxies: Proxies,
}

impl Edge {
    /// Puts it together over the parts that answer.
    pub fn new(
        parts: Parts,
        limits: CallLimits,
        clients: &ClientLimits,
        origins: &Origins,
        cors: &Cors,
    ) -> Self {
        let Parts { rpc, feed, index, relay, admin } = parts;
        let calls = Calls::new(rpc, limits, clients, origins.clone());
        let files = Files::new(relay, cors.clone());
        let feeds = Shares::of_feeds(clients);
        let (asks_for_peer, proxies) = (origins.asks_for_peer(), clients.trusted_proxies.clone());
        let routes = routes(feed, feeds, index, files.clone(), admin, origins, cors);
        Self { calls, files, routes, asks_for_peer, proxies }
    }

    /// Whether it matters who asks.
    fn judges_client(&self, request: &Request<Incoming>) -> bool {
        let path = request.uri().path();
        // No file's answer has an address of ours.
        self.calls.judges_clients()
            || path == feed::PATH
            || self.asks_for_peer && !path.starts_with(files::PREFIX)
    }

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>, dates: &Dates) -> Response<Reply> {
        let mut response = if let Some(place) = rpc::place(&request) {
            let (head, mut body) = request.into_parts();
            self.calls.answer(place, peer, &head, &mut body).await.map(Reply::from)
        } else if let Some(response) = self.files.at_once(&request) {
            // It has its date already.
            return response;
        } else {
            self.by_route(peer, request).await
        };
        response.headers_mut().insert(DATE, dates.now());
        response
    }

    async fn by_route(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Reply> {
        let requester = clients::requester(peer, request.headers(), &self.proxies);
        // In a place of its own: a call's state should not be as large as theirs.
        match Box::pin(requester.run(self.routes.clone().oneshot(request.map(Body::new)))).await {
            Ok(mut response) => {
                self.files.remember(&mut response);
                response.map(Reply::from)
            }
            Err(never) => match never {},
        }
    }
}

fn routes(
    feed: Feed,
    feeds: Shares,
    index: Index,
    files: Files,
    admin: Admin,
    origins: &Origins,
    cors: &Cors,
) -> Router {
    let elsewhere = {
        let origins = origins.clone();
        move |request| async move { elsewhere(&origins, &request) }
    };
    // For web pages too; with their own answer to other methods, which includes `OPTIONS`.
    let read = index::routes(index, origins.clone()).merge(files.routes());
    let read = cors.around(read.method_not_allowed_fallback(other_method));
    // Outermost first: every request is counted, then routed; what no route takes ends in the fallback.
    Router::new()
        .merge(rpc::routes(origins.clone()))
        .merge(feed::routes(feed, feeds))
        .merge(read)
        .merge(admin::routes(admin))
        .fallback(elsewhere)
        .method_not_allowed_fallback(other_method)
        .layer(observe::Observed::default())
}

/// A path that nobody answers.
fn elsewhere(origins: &Origins, request: &axum::http::request::Parts) -> Response {
    purge(&request.method).unwrap_or_else(|| {
        let simple = origins.link(request, "/simple/");
        (StatusCode::NOT_FOUND, format!("nothing is here; the index is at {simple}\n")).into_response()
    })
}

/// A path that is answered, but not to this method.
async fn other_method(method: Method) -> Response {
    purge(&method)
        .unwrap_or_else(|| (StatusCode::METHOD_NOT_ALLOWED, "not with this method\n").into_response())
}

/// bandersnatch 3 to 6 purges what it has read, on any path, and stops at any answer but 200 (docs/wire.md
/// section 7).
fn purge(method: &Method) -> Option<Response> {
    (method.as_str() == "PURGE").then(|| StatusCode::OK.into_response())
}
