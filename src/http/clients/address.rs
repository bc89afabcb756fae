//! The address that a client is known by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Proxies;
use crate::requester::Requester;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client: an IPv4 address, or the first half of an IPv6 address, of which one user has the whole other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientKey(IpAddr);

impl ClientKey {
    /// The same as one for whom upstream is asked.
    pub(super) fn requester(self) -> Requester {
        Requester::Client(self.0)
    }
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

/// Who is behind a request: the peer, or where that is a trusted proxy, the last address of `X-Forwarded-For` that is
/// none. What stands before that anybody can have written.
pub(super) fn of(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &Proxies) -> ClientKey {
    walk(peer, headers, proxies).0.into()
}

/// How many trusted proxies a request came through, one behind the other; 0 if the peer is none.
pub(in crate::http) fn trusted_hops(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &Proxies) -> usize {
    if proxies.is_empty() { 0 } else { walk(peer, headers, proxies).1 }
}

/// The client, and the trusted proxies up to it.
fn walk(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &Proxies) -> (IpAddr, usize) {
    // Without a connection there is one client.
    let mut client = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let mut hops = 0;
    let fields = headers.get_all(FORWARDED_FOR).into_iter();
    let mut told = fields.map(HeaderValue::as_bytes).flat_map(|field| field.split(|b| *b == b','));
    // From the nearest hop on. One that cannot be read ends the trust: its proxy stands for all behind it.
    while proxies.trust(client) {
        hops += 1;
        let Some(hop) = told.next_back().and_then(address) else { break };
        client = hop;
    }
    (client, hops)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> ClientKey {
        let proxies: Proxies = "127.0.0.1, 10.0.0.0/8".parse().unwrap();
        let fields = forwarded.iter().map(|text| (FORWARDED_FOR, text.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        of(Some(peer.parse().unwrap()), &headers, &proxies)
    }

    fn key(text: &str) -> ClientKey {
        ClientKey::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn only_trusted_proxies_say_who_came() {
        assert_eq!(client("192.0.2.9", &["192.0.2.1"]), key("192.0.2.9"));
        assert_eq!(client("127.0.0.1", &["192.0.2.1"]), key("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["203.0.113.5, 192.0.2.1, 10.0.0.1"]), key("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["203.0.113.5, 192.0.2.1", "10.0.0.1"]), key("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["10.0.0.2, 10.0.0.1"]), key("10.0.0.2"));
        assert_eq!(client("127.0.0.1", &[]), key("127.0.0.1"));
    }

    #[test]
    fn what_is_no_address_ends_the_trust() {
        assert_eq!(client("127.0.0.1", &["192.0.2.1, unknown, 10.0.0.1"]), key("10.0.0.1"));
        assert_eq!(client("127.0.0.1", &["", "192.0.2.1:4711"]), key("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:4711"]), key("2001:db8::1"));
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]"]), key("2001:db8::1"));
    }

    #[test]
    fn a_v6_client_is_its_network_and_a_mapped_one_its_v4_address() {
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
