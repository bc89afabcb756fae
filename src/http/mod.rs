//! The edge: routes, what a request may cost, and which status or fault a failure becomes.

mod access;
mod admin;
mod body;
mod clients;
mod coding;
mod conditions;
mod connections;
mod cors;
mod credentials;
mod date;
mod deadline;
mod descriptors;
mod edge;
mod encrypted;
mod feed;
mod fields;
mod files;
mod guard;
mod http1;
mod http2;
mod index;
mod jsonp;
mod legacy;
mod listener;
mod negotiate;
mod observe;
mod origin;
mod outgoing;
mod people;
mod pieces;
mod purge;
mod push;
mod query;
mod repeated;
mod reply;
mod rescue;
mod routes;
mod rpc;
mod sending;
mod statistics;
mod status;
mod streams;
mod timeouts;

use std::net::Ipv4Addr;

pub use access::ACCESS_LOG;
pub use admin::{Admin, Look, Readiness};
pub use body::CallLimits;
pub use clients::{ClientLimits, Limits, Proxies};
pub use cors::Cors;
pub use descriptors::affordable_connections;
pub use edge::{Edge, Parts};
pub use files::routes as file_routes;
pub use guard::Guard;
pub use index::routes as index_routes;
pub use listener::{Listen, ListenerSettings, serve, socket_address};
pub use origin::Origins;
pub use push::Push;
pub use status::{Ask, KeptFiles, Removals, StatusInputs};
pub use timeouts::Timeouts;

use url::Url;

use crate::model::settings;

settings! {
    /// Settings of the edge.
    #[derive(Debug, Clone)]
    pub struct HttpSettings in "http" {
        /// Where to listen; several addresses with commas between them. Port 0 takes any free one. 127.0.0.1:3142?deadline=9
        /// answers calls within 9 s instead of rpc.deadline. With ?plain a listener speaks plain HTTP though there is a certificate
        /// (tls.certificate); whoever comes by one with ?admin may read /metrics.
        ///
        /// devpi's port, which old configurations know.
        listen: Vec<Listen> = vec![Listen::at((Ipv4Addr::LOCALHOST, 3141).into())],
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
