//! Addresses and networks of proxies that are trusted to say who came to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::setting_by_text;

/// Trusted proxies. As a text: addresses and networks with commas between, such as `127.0.0.1, 10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether none is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of them.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

setting_by_text! {
    Proxies: "addresses and networks with commas between, such as 127.0.0.1, 10.0.0.0/8";
}

impl FromStr for Proxies {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let network = |word: &str| match word.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => word.parse().map(canonical),
        };
        words.map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// Clients that IPv4 brought are compared as such, so a network of mapped addresses is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: Ipv6Net| {
        let address = network.addr().to_ipv4_mapped()?;
        Ipv4Net::new(address, network.prefix_len().checked_sub(96)?).ok()
    };
    match network {
        IpNet::V6(six) => mapped(six).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read_and_written_back() {
        let proxies: Proxies = "127.0.0.1, 10.0.0.0/8,2001:db8::/32, ::ffff:192.0.2.0/120".parse().unwrap();
        for (address, trusted) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.9.8.7", true),
            ("::ffff:10.9.8.7", true),
            ("2001:db8::1", true),
            ("192.0.2.9", true),
            ("::1", false),
        ] {
            assert_eq!(proxies.trust(address.parse().unwrap()), trusted, "{address}");
        }
        assert_eq!(proxies.to_string().parse::<Proxies>().unwrap(), proxies);
        assert_eq!("".parse::<Proxies>().unwrap(), Proxies::default());
        assert!("10.0.0.0/33".parse::<Proxies>().is_err() && "proxy.test".parse::<Proxies>().is_err());
    }
}
