//! Hosts and networks that links of the index may lead to although they are not public: `upstream.allowed_hosts`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::model::setting_by_text;

/// A list of hosts, each with or without a port, and of networks. As a text: `files.corp.test, 10.0.0.6:8080,
/// [fd00::6]:8080, 10.1.0.0/16`. A host without a port stands for all its ports. An address or network counts also for
/// names that lead there; a name counts wherever it leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Allowed>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Network(IpNet),
    Host(Host, Option<u16>),
}

/// A text that is neither a host nor a network.
#[derive(Debug, thiserror::Error)]
#[error("neither a host, with or without a port, nor a network")]
pub struct AllowedHostsError;

impl AllowedHosts {
    /// Whether the host and port of a link are listed as such.
    pub(super) fn names(&self, url: &Url) -> bool {
        let (Some(host), Some(at)) = (url.host(), url.port_or_known_default()) else { return false };
        self.0.iter().any(|allowed| match allowed {
            Allowed::Host(named, port) => *named == host && port.is_none_or(|port| port == at),
            Allowed::Network(_) => false,
        })
    }

    /// Whether an address is in a listed network.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|allowed| match allowed {
            Allowed::Network(network) => network.contains(&address),
            Allowed::Host(..) => false,
        })
    }
}

setting_by_text! {
    AllowedHosts: "hosts and networks with commas between, such as files.corp.test, 10.0.0.6:8080, 10.1.0.0/16";
}

impl FromStr for AllowedHosts {
    type Err = AllowedHostsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(Allowed::read).collect::<Option<_>>().map(Self).ok_or(AllowedHostsError)
    }
}

impl Allowed {
    fn read(word: &str) -> Option<Self> {
        if let Ok(address) = word.parse::<IpAddr>() {
            return Some(Self::Network(IpNet::from(address.to_canonical())));
        }
        if word.contains('/') {
            return word.parse().ok().map(Self::Network);
        }
        // It would be read as a name of its own, and match nothing.
        if word.contains('*') {
            return None;
        }
        // A colon inside brackets belongs to the address.
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            Some(_) | None => (word, None),
        };
        Some(Self::Host(Host::parse(host).ok()?, port))
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(host, None) => host.fmt(f),
            Self::Host(host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_networks_are_read_and_written_back() {
        let text = "Files.corp.test, 10.0.0.6:8080,[fd00::6]:81, [fd00::7], 10.1.0.0/16, 10.2.0.1, fd01::/32, a.test:80";
        let list: AllowedHosts = text.parse().unwrap();
        assert_eq!(list.to_string().parse::<AllowedHosts>().unwrap(), list);
        let names = |url: &str| list.names(&url.parse().unwrap());
        for listed in [
            "http://files.corp.test/",
            "https://files.CORP.test:8443/x",
            "http://10.0.0.6:8080/",
            "http://[fd00::6]:81/",
            "https://[fd00::7]:9/",
            "http://a.test/",
        ] {
            assert!(names(listed), "{listed}");
        }
        for other in [
            "http://corp.test/",
            "http://x.files.corp.test/",
            "http://10.0.0.6/",
            "http://[fd00::6]/",
            "https://a.test/",
            "http://10.1.0.1/",
        ] {
            assert!(!names(other), "{other}");
        }
        let contain = |address: &str| list.contain(address.parse().unwrap());
        assert!(
            contain("10.1.2.3") && contain("::ffff:10.1.2.3") && contain("10.2.0.1") && contain("fd01::1")
        );
        assert!(!contain("10.2.0.2") && !contain("10.0.0.6") && !contain("fd02::1"));
        assert_eq!("".parse::<AllowedHosts>().unwrap(), AllowedHosts::default());
        for bad in
            ["http://a.test/", "a b", "a.test:x", "a.test:99999", "10.0.0.0/33", "a.test/8", "*", "*.a.test"]
        {
            assert!(bad.parse::<AllowedHosts>().is_err(), "{bad}");
        }
    }
}
