//! The address that a client is known by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Proxies;
use crate::requester::Requester;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client: an IPv4 address, or the first half of an IPv6 address, of which one user has the whole other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientKey(IpAddr);

/// Who is behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Client {
    /// The peer, or where that is a trusted proxy, the last address of `X-Forwarded-For` that is none. What stands before
    /// that anybody can have written.
    pub(in crate::http) address: IpAddr,
    /// The trusted proxies that the request came through, one behind the other.
    pub(in crate::http) hops: usize,
    /// Its connection to us is.
    pub(in crate::http) encrypted: bool,
    /// What it may do besides reading.
    pub(in crate::http) role: Role,
}

/// What a client may do besides reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::http) enum Role {
    /// Nothing.
    #[default]
    Reader,
    /// Look at the metrics: it came by a listener for that.
    Observer,
    /// That, and purge: it has shown a token for that.
    Administrator,
}

impl Client {
    /// Who connects itself and in the clear, and may do nothing but read.
    pub(in crate::http) fn at(address: IpAddr) -> Self {
        Self { address, hops: 0, encrypted: false, role: Role::Reader }
    }

    /// Whether it may look at the metrics: so may this machine itself.
    pub(in crate::http) fn may_observe(self) -> bool {
        self.role != Role::Reader || self.address.is_loopback()
    }

    pub(super) fn key(self) -> ClientKey {
        self.address.into()
    }

    /// The same as one whose parts of a download belong together.
    pub(in crate::http) fn counted_as(self) -> IpAddr {
        self.key().0
    }

    /// The same as one for whom upstream is asked.
    pub(in crate::http) fn requester(self) -> Requester {
        Requester::Client(self.key().0)
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

/// Who came from a peer with this head.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> Client {
    let mut client = peer.to_canonical();
    if proxies.is_empty() {
        return Client::at(client);
    }
    let mut hops = 0;
    let fields = headers.get_all(FORWARDED_FOR).into_iter();
    let mut told = fields.map(HeaderValue::as_bytes).flat_map(|field| field.split(|b| *b == b','));
    // From the nearest hop on. One that cannot be read ends the trust: its proxy stands for all behind it.
    while proxies.trust(client) {
        hops += 1;
        let Some(hop) = told.next_back().and_then(address) else { break };
        client = hop.to_canonical();
    }
    Client { hops, ..Client::at(client) }
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
        of(peer.parse().unwrap(), &headers, &proxies).key()
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
