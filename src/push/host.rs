//! `HOST[:PORT]`: how a mirror names itself, and which of them a master knows.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use url::Url;

use crate::model::{is_public, setting_by_text};

/// The longest name that DNS has.
const LONGEST: usize = 253;
/// Where plain HTTP is unless a port is named.
const HTTP: u16 = 80;

/// A host and a port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// A text that is no host with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no HOST or HOST:PORT")]
pub struct HostError;

/// Mirrors that a master pushes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<HostPort>);

impl HostPort {
    /// That of an `http` address, or of an `https` one without its port, which speaks no plain HTTP.
    pub fn of(url: &Url) -> Option<Self> {
        let port = if url.scheme() == "http" { url.port().unwrap_or(HTTP) } else { HTTP };
        let named: Self = url.host_str()?.parse().ok()?;
        Some(Self { port, ..named })
    }

    /// Without the port.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, which is 80 unless another is named.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, if it is an address.
    fn address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Whether an address is on this very host and port, by plain HTTP and without a user.
    pub fn has(&self, url: &Url) -> bool {
        url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && Self::of(url).as_ref() == Some(self)
    }
}

impl FromStr for HostPort {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        // A colon inside brackets belongs to the address.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => HTTP,
            Some(port) if digits(port) => port.parse().ok().filter(|port| *port != 0).ok_or(HostError)?,
            Some(_) => return Err(HostError),
        };
        if let Some(inside) = host.strip_prefix('[') {
            let six: Ipv6Addr = inside.strip_suffix(']').and_then(|six| six.parse().ok()).ok_or(HostError)?;
            return Ok(Self { host: format!("[{six}]"), port });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_label = |label: &str| !label.is_empty() && !label.starts_with('-');
        let well_formed = host.len() <= LONGEST && host.chars().all(plain) && host.split('.').all(is_label);
        if well_formed { Ok(Self { host: host.to_ascii_lowercase(), port }) } else { Err(HostError) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.port == HTTP { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl Hosts {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &HostPort> {
        self.0.iter()
    }

    /// Whether a mirror may ask under this name.
    pub fn name(&self, host: &HostPort) -> bool {
        self.0.contains(host)
    }

    /// Whether a file may be sent to an address: a public one, or one that is listed itself. That a listed name leads there is not
    /// enough, or whoever has the name could have the relay write to what stands beside it.
    pub fn may_reach(&self, at: SocketAddr) -> bool {
        let ip = at.ip().to_canonical();
        let is_it = |listed: &HostPort| {
            listed.port == at.port() && listed.address().map(|ip| ip.to_canonical()) == Some(ip)
        };
        is_public(ip) || self.0.iter().any(is_it)
    }
}

setting_by_text! {
    HostPort: "a host with or without a port, such as mirror.test:3141";
    Hosts: "hosts with or without a port and commas between them, such as mirror.test:3141, 10.0.0.6:3141";
}

impl FromStr for Hosts {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_is_the_same_in_any_case_and_with_the_port_that_it_has_anyway() {
        assert_eq!(host("Mirror.TEST"), host("mirror.test:80"));
        assert_ne!(host("mirror.test"), host("mirror.test:8080"));
        assert_eq!(host("[::0001]:81").to_string(), "[::1]:81");
        assert_eq!((host("[::1]").host(), host("a.test").port()), ("::1", 80));
        for odd in [
            "",
            ":80",
            "a.test:",
            "a.test:0",
            "a.test:65536",
            "a.test:+80",
            "a.test:80:80",
            "a/b",
            "u@a.test",
            "a b",
            "::1",
            "[::1",
            "[a]",
            "-a.test",
            "a..test",
            "é.test",
            "a.test\n",
            "a.test?x",
            &"a".repeat(254),
        ] {
            assert_eq!(odd.parse::<HostPort>(), Err(HostError), "{odd}");
        }
    }

    #[test]
    fn an_address_is_on_the_host_itself_or_not() {
        let has = |url: &str| host("mirror.test:81").has(&url.parse().unwrap());
        assert!(has("http://mirror.test:81/upload/1") && has("http://MIRROR.test:81/"));
        for other in [
            "http://mirror.test/",
            "https://mirror.test:81/",
            "http://other.test:81/",
            "http://u@mirror.test:81/",
            "http://:p@mirror.test:81/",
            "http://mirror.test.:81/",
            "ftp://mirror.test:81/",
        ] {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_reached_only_where_it_is_listed_itself() {
        let hosts: Hosts = "mirror.test:81, 10.0.0.6:81, [::1]:82".parse().unwrap();
        let may = |at: &str| hosts.may_reach(at.parse().unwrap());
        assert!(may("192.0.2.1:5") && may("10.0.0.6:81") && may("[::1]:82") && may("[::ffff:10.0.0.6]:81"));
        for private in [
            "10.0.0.6:82",
            "10.0.0.7:81",
            "127.0.0.1:81",
            "169.254.169.254:80",
            "[::1]:81",
            "[::ffff:127.0.0.1]:81",
        ] {
            assert!(!may(private), "{private}");
        }
        assert!(hosts.name(&host("MIRROR.test:81")) && !hosts.name(&host("mirror.test")));
        assert_eq!(hosts.to_string().parse::<Hosts>().unwrap(), hosts);
        assert!("mirror.test, http://a.test/".parse::<Hosts>().is_err());
    }

    #[test]
    fn a_public_address_by_https_is_reached_at_port_80() {
        let of = |url: &str| HostPort::of(&url.parse().unwrap()).unwrap().to_string();
        assert_eq!(of("https://relay.test:8443/x/"), "relay.test");
        assert_eq!(of("http://relay.test:8080/"), "relay.test:8080");
    }
}
