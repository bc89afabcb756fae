//! The address at which a client knows us: absolute links lead back there.

use std::net::SocketAddr;

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};

use super::clients::Client;

/// The longest host that is repeated in an answer: the longest name that DNS has, and a port.
const MAX_HOST: usize = 259;
/// The longest path before ours that is repeated.
const MAX_PREFIX: usize = 256;

/// Where we are known.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The configured public address, as `https://relay.test` or with a path; it wins over everything.
    public: Option<String>,
    /// For clients that do not say whom they asked (HTTP/1.0).
    listen: SocketAddr,
}

impl Origins {
    /// `public`: the configured address if there is one. `listen`: where we listen.
    pub fn new(public: Option<&str>, listen: SocketAddr) -> Self {
        let public = public.map(|url| url.trim_end_matches('/').to_owned());
        Self { public, listen }
    }

    /// The origin for a request by route, which has its client among its extensions.
    pub(super) fn of(&self, request: &Parts) -> String {
        let client = request.extensions.get::<Client>();
        self.behind(client.map_or((0, false), |client| (client.hops, client.encrypted)), request)
    }

    /// Scheme, host, port, and the path before ours if there is one, without a final `/`: `http://host:port`. The trusted
    /// proxies that the request came through, which are so many, say how the client came: its scheme, host, port, and the
    /// path that they took off. Without their word the connection to us tells whether it was encrypted.
    pub(super) fn behind(&self, (hops, encrypted): (usize, bool), request: &Parts) -> String {
        if let Some(public) = &self.public {
            return public.clone();
        }
        let said = |name| said(&request.headers, name, hops);
        let scheme = match said("x-forwarded-proto") {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => "http",
            // Nobody says it: then it is that of the connection.
            Some(_) | None if encrypted => "https",
            Some(_) | None => "http",
        };
        // A target in absolute form outdoes `Host` (RFC 9112, section 3.2.2).
        let authority = request.uri.authority().map(Authority::as_str);
        let host = || request.headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = said("x-forwarded-host")
            .filter(|host| is_host(host))
            .or_else(|| authority.or_else(host).filter(|host| is_host(host)));
        let prefix = said("x-forwarded-prefix").map(|prefix| prefix.trim_end_matches('/'));
        let prefix = prefix.filter(|prefix| is_prefix(prefix)).unwrap_or_default();
        let Some(host) = host else { return format!("{scheme}://{}{prefix}", self.listen) };
        let port = said("x-forwarded-port").filter(|port| is_told_port(host, port));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{prefix}")
    }

    /// The address of a path of ours, for a redirect or a link. On the host of the request, unless a path stands before
    /// ours that may have been taken off on the way.
    pub(super) fn link(&self, request: &Parts, path: &str) -> String {
        let origin = self.of(request);
        let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
        if authority.contains('/') { origin + path } else { path.to_owned() }
    }
}

/// What the outermost of so many trusted proxies says. Each of them puts its own word behind the others, or leaves one in
/// place of them; what stands before its word anybody can have written.
fn said<'a>(headers: &'a HeaderMap, name: &str, hops: usize) -> Option<&'a str> {
    let lines = headers.get_all(name).iter().map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>().ok()?;
    let words: Vec<_> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    words.get(words.len().checked_sub(hops.min(words.len()))?).copied()
}

/// A port to put behind a host that has none. Those of the two schemes need none, and a proxy often tells its own.
fn is_told_port(host: &str, port: &str) -> bool {
    let bare = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    !bare.contains(':') && port.parse::<u16>().is_ok_and(|number| !matches!(number, 0 | 80 | 443))
}

/// A path, or nothing, and nothing that could lead to another host or leave a link.
fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
    let segments = text.strip_prefix('/').map(|path| path.split('/').all(is_segment));
    text.len() <= MAX_PREFIX && segments.unwrap_or(text.is_empty())
}

/// A host and perhaps a port, and nothing that could leave a link or a JSON string.
fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let well_formed = text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty());
    text.len() <= MAX_HOST && text.chars().all(plain) && well_formed
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::http::clients::{Admission, ClientLimits};

    fn origin(public: Option<&str>, uri: &str, host: Option<&[u8]>) -> String {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Origins::new(public, "127.0.0.1:3141".parse().unwrap()).of(&parts)
    }

    #[test]
    fn links_lead_where_the_client_came_to() {
        assert_eq!(origin(None, "/x", Some(b"relay.test:81")), "http://relay.test:81");
        assert_eq!(origin(None, "/x", Some(b"[::1]:81")), "http://[::1]:81");
        assert_eq!(origin(None, "http://proxied.test/x", Some(b"other.test")), "http://proxied.test");
        assert_eq!(origin(Some("https://public.test/"), "/x", Some(b"relay.test")), "https://public.test");
    }

    /// The origin of a request that came from a peer, with these fields, to `Host: relay.test`; 127.0.0.1 and 10/8 are trusted.
    fn forwarded(peer: &str, fields: &[(&str, &str)]) -> String {
        let request = Request::builder().uri("/x").header(HOST, "relay.test");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let trusted_proxies = "127.0.0.1, 10.0.0.0/8".parse().unwrap();
        let admission = Admission::new(&ClientLimits { trusted_proxies, ..ClientLimits::default() });
        let client = admission.client(peer.parse().unwrap(), &parts.headers);
        parts.extensions.insert(client);
        Origins::new(None, "127.0.0.1:3141".parse().unwrap()).of(&parts)
    }

    const ALL: [(&str, &str); 4] = [
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "public.test"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/a/b_c~1/"),
    ];

    #[test]
    fn only_trusted_proxies_say_how_a_client_came() {
        assert_eq!(forwarded("127.0.0.1", &ALL), "https://public.test:8443/a/b_c~1");
        assert_eq!(forwarded("192.0.2.1", &ALL), "http://relay.test");
        assert_eq!(forwarded("127.0.0.1", &ALL[..1]), "https://relay.test");
        assert_eq!(forwarded("127.0.0.1", &[ALL[0], ("x-forwarded-port", "80")]), "https://relay.test");
        assert_eq!(forwarded("127.0.0.1", &[ALL[2], ("x-forwarded-host", "[::1]")]), "http://[::1]:8443");
        assert_eq!(forwarded("127.0.0.1", &[ALL[2], ("x-forwarded-host", "a.test:81")]), "http://a.test:81");
        assert_eq!(origin(None, "/x", Some(b"relay.test")), "http://relay.test");
    }

    #[test]
    fn links_are_encrypted_where_the_connection_is_unless_a_proxy_says_how_the_client_came() {
        let origin = |peer: &str, proto: Option<&str>| {
            let mut request = Request::builder().uri("/x").header(HOST, "relay.test");
            if let Some(proto) = proto {
                request = request.header("x-forwarded-proto", proto);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let trusted_proxies = "127.0.0.1".parse().unwrap();
            let admission = Admission::new(&ClientLimits { trusted_proxies, ..ClientLimits::default() });
            let client = admission.client(peer.parse().unwrap(), &parts.headers);
            parts.extensions.insert(Client { encrypted: true, ..client });
            Origins::new(None, "127.0.0.1:3141".parse().unwrap()).of(&parts)
        };
        assert_eq!(origin("192.0.2.1", None), "https://relay.test");
        assert_eq!(origin("192.0.2.1", Some("http")), "https://relay.test");
        assert_eq!(origin("127.0.0.1", None), "https://relay.test");
        assert_eq!(origin("127.0.0.1", Some("http")), "http://relay.test");
    }

    #[test]
    fn of_several_words_that_of_the_outermost_trusted_proxy_counts() {
        let host = ("x-forwarded-host", "evil.test, public.test");
        assert_eq!(forwarded("127.0.0.1", &[host]), "http://public.test");
        // One trusted proxy before another: each has put its word behind those of before.
        let chain = ("x-forwarded-for", "192.0.2.1, 10.0.0.1");
        let hosts = ("x-forwarded-host", "evil.test, public.test, inner.test");
        assert_eq!(forwarded("127.0.0.1", &[hosts, chain]), "http://public.test");
        assert_eq!(forwarded("127.0.0.1", &[ALL[1], chain]), "http://public.test");
        // What its client says of who came before counts for nothing.
        let claimed = ("x-forwarded-for", "10.0.0.1, 192.0.2.1");
        assert_eq!(forwarded("127.0.0.1", &[host, claimed]), "http://public.test");
    }

    #[test]
    fn a_hostile_word_of_a_proxys_client_is_not_repeated() {
        for (name, values) in [
            ("x-forwarded-proto", &["javascript", "", "https:", "http"][..]),
            ("x-forwarded-host", &["", "a/b", "u@h.test", "h.test\"<x>", "h test"]),
            ("x-forwarded-port", &["", "0", "99999", "81/x", "-1", "443"]),
            (
                "x-forwarded-prefix",
                &["", "/", "a", "//h.test", "/a//b", "/../a", "/a\"", "/<", "/a?b", "/%2f", "/\\h"],
            ),
        ] {
            for value in values {
                assert_eq!(forwarded("127.0.0.1", &[(name, value)]), "http://relay.test", "{name}: {value}");
            }
        }
        let long = format!("/{}", "a".repeat(300));
        assert_eq!(forwarded("127.0.0.1", &[("x-forwarded-prefix", &long)]), "http://relay.test");
    }

    #[test]
    fn a_link_keeps_the_path_before_ours_and_else_the_host_of_the_request() {
        let link = |public: Option<&str>| {
            let (parts, ()) = Request::builder().uri("/x").body(()).unwrap().into_parts();
            Origins::new(public, "127.0.0.1:3141".parse().unwrap()).link(&parts, "/simple/")
        };
        assert_eq!(link(None), "/simple/");
        assert_eq!(link(Some("https://public.test/")), "/simple/");
        assert_eq!(link(Some("https://public.test/a/b/")), "https://public.test/a/b/simple/");
    }

    #[test]
    fn a_host_that_is_none_or_hostile_is_not_repeated() {
        for host in [
            None,
            Some(&b""[..]),
            Some(b"a/../b"),
            Some(b"u@h.test"),
            Some(b"h.test\"<x>"),
            Some(b"\xff"),
            Some(b":80"),
        ] {
            assert_eq!(origin(None, "/x", host), "http://127.0.0.1:3141", "{host:?}");
        }
        assert_eq!(origin(None, "/x", Some(&[b'a'; 300])), "http://127.0.0.1:3141");
    }
}
