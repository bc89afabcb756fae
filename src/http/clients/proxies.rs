//! Addresses and networks of proxies that are trusted to say who came to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Trusted proxies. As a text: addresses and networks with commas between, such as `127.0.0.1, 10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether an address is one of them.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Proxies {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let network = |word: &str| match word.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => word.parse(),
        };
        words.map(network).collect::<Result<_, _>>().map(Self)
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
        let proxies: Proxies = "127.0.0.1, 10.0.0.0/8,2001:db8::/32".parse().unwrap();
        for (address, trusted) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.9.8.7", true),
            ("::ffff:10.9.8.7", true),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(proxies.trust(address.parse().unwrap()), trusted, "{address}");
        }
        assert_eq!(proxies.to_string().parse::<Proxies>().unwrap(), proxies);
        assert_eq!("".parse::<Proxies>().unwrap(), Proxies::default());
        assert!("10.0.0.0/33".parse::<Proxies>().is_err() && "proxy.test".parse::<Proxies>().is_err());
    }
}
