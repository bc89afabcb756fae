//! The address at which a client knows us: absolute links lead back there.

use std::net::SocketAddr;

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

/// The longest host that is repeated in an answer: the longest name that DNS has, and a port.
const MAX_HOST: usize = 259;

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
        Self { public: public.map(|url| url.trim_end_matches('/').to_owned()), listen }
    }

    /// `http://host:port`, without a final `/`.
    pub(super) fn of(&self, request: &Parts) -> String {
        if let Some(public) = &self.public {
            return public.clone();
        }
        // A target in absolute form outdoes `Host` (RFC 9112, section 3.2.2).
        let authority = request.uri.authority().map(Authority::as_str);
        let host = || request.headers.get(HOST).and_then(|value| value.to_str().ok());
        match authority.or_else(host).filter(|host| is_host(host)) {
            Some(host) => format!("http://{host}"),
            None => format!("http://{}", self.listen),
        }
    }
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
