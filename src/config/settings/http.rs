//! The settings of the edge: listeners, connections, bodies, clients.

use crate::config::reader::Reader;
use crate::config::setting::Count;
use crate::http::{ClientLimits, Cors, HttpSettings};

/// `private`: upstream is asked with credentials.
pub(super) fn http(reader: &mut Reader, private: bool) -> HttpSettings {
    let mut http = HttpSettings::default();
    if private {
        http.cors = Cors::Only(vec![]);
    }
    reader.set("http.listen", &mut http.listen, "Where to listen; several addresses with commas between them. Port 0 takes any free one. 127.0.0.1:3142?deadline=9 \
         answers calls within 9 s instead of rpc.deadline.");
    reader.set(
        "http.public_url",
        &mut http.public_url,
        "The address that clients use, for absolute links behind a proxy, with the path that the proxy takes off if there is one. Unset: what each \
         client sent as Host, or what clients.trusted_proxies say.",
    );
    reader.set(
        "http.cors",
        &mut http.cors,
        "The web pages that may read pages, documents and files in a browser: * for all, none, or their origins, such as \
         https://lab.test, http://localhost:8888. The default is none if upstream is asked with user and password.",
    );
    if private && http.cors == Cors::Any {
        let complaint = "http.cors = *: upstream is asked with user and password, so list the origins of the web pages that \
                         may read what it has";
        reader.complain(complaint.to_owned());
    }
    let listener = &mut http.listener;
    reader.count(
        "http.max_connections",
        &mut listener.max_connections,
        "Connections served at once; with one more, the one goes that has waited longest for its client.",
    );
    reader.bytes(
        "http.header_limit",
        &mut listener.header_bytes,
        "Most bytes of a request's line and headers; at least 8 KiB.",
    );
    reader.set(
        "http.header_timeout",
        &mut listener.patience.header,
        "From a request's first byte to the end of its headers.",
    );
    reader.set(
        "http.idle_timeout",
        &mut listener.patience.idle,
        "Between requests, and for a client that takes no byte of its answer.",
    );
    reader.set(
        "http.closed_timeout",
        &mut listener.patience.closed,
        "For a client that has closed its side and gets nothing: then it counts as gone, and nothing is fetched for it any more.",
    );
    reader.set(
        "http.drain",
        &mut listener.drain,
        "How long running requests may go on after the order to stop.",
    );
    reader.set("http.body_timeout", &mut http.calls.patience, "For a call's body as a whole.");
    reader.bytes("http.body_limit", &mut http.calls.body, "Most bytes of a call, also after decoding.");
    reader.bytes(
        "http.bodies_limit",
        &mut http.calls.bodies,
        "Most bytes of large calls (above 16 KiB) in memory, all clients together; one more waits, or is told to come back.",
    );
    http.clients = clients(reader);
    http
}

fn clients(reader: &mut Reader) -> ClientLimits {
    let mut clients = ClientLimits::default();
    reader.set(
        "clients.calls_per_second",
        &mut clients.calls_per_second,
        "XML-RPC calls a second that one client may make; further ones get the fault HTTPTooManyRequests. Unset: no \
         limit.",
    );
    reader.count(
        "clients.burst",
        &mut clients.burst,
        "Calls that one client may make at once after a rest. A multicall counts as its calls, and as this many at most.",
    );
    let mut places = clients.calls_at_once.map(Count);
    reader.set(
        "clients.calls_at_once",
        &mut places,
        "Calls of one client that may be answered at the same time; further ones get the fault HTTPTooManyRequests. \
         Unset: no limit.",
    );
    clients.calls_at_once = places.map(|places| places.0);
    reader.count(
        "clients.feeds_at_once",
        &mut clients.feeds_at_once,
        "Subscribers of the feed (feed.subscribers) that one client may have at once; one more is told to come back.",
    );
    reader.set(
        "clients.trusted_proxies",
        &mut clients.trusted_proxies,
        "Proxies whose X-Forwarded-For tells who the client is, such as 127.0.0.1, 10.0.0.0/8, and whose X-Forwarded-Proto, \
         -Host, -Port and -Prefix tell which address it asked. Empty: the client is who connects. Of an IPv6 client the \
         first 64 bits count.",
    );
    reader.count(
        "clients.remembered",
        &mut clients.remembered,
        "Clients whose calls are counted; past it the one not seen for longest is forgotten.",
    );
    clients
}
