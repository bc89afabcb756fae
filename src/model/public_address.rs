//! Which IP addresses belong to the public internet.
//!
//! By IANA's registries of special-purpose addresses (iana-ipv4-special-registry, iana-ipv6-special-registry; RFC 6890).
//! Blocks are refused whole, also where the registry makes a few of their addresses reachable: no package index is there.
//! Addresses for documentation count as public: no machine has one to protect, and networks whose gateway answers for all names
//! give them out for public hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not public, with the length of their prefix.
const SPECIAL: [([u8; 4], u32); 13] = [
    // "This network".
    ([0, 0, 0, 0], 8),
    // Private.
    ([10, 0, 0, 0], 8),
    // Shared by the customers of a provider (RFC 6598); some clouds have their metadata here.
    ([100, 64, 0, 0], 10),
    // Loopback.
    ([127, 0, 0, 0], 8),
    // Azure's virtual address for metadata and health, in a block that is public otherwise.
    ([168, 63, 129, 16], 32),
    // Link-local; the metadata of most clouds is at 169.254.169.254.
    ([169, 254, 0, 0], 16),
    // Private.
    ([172, 16, 0, 0], 12),
    // IETF protocol assignments.
    ([192, 0, 0, 0], 24),
    // Relays of 6to4, deprecated.
    ([192, 88, 99, 0], 24),
    // Private.
    ([192, 168, 0, 0], 16),
    // Benchmarks.
    ([198, 18, 0, 0], 15),
    // Multicast.
    ([224, 0, 0, 0], 4),
    // Reserved, and broadcast.
    ([240, 0, 0, 0], 4),
];

/// Whether an address belongs to the public internet. An IPv6 address that carries IPv4 ones (mapped, NAT64, 6to4, Teredo)
/// does only if they do: a packet to it may end there.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |&(network, prefix): &([u8; 4], u32)| {
        (address.to_bits() ^ Ipv4Addr::from(network).to_bits()).leading_zeros() >= prefix
    };
    !SPECIAL.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let four =
        |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // Mapped. NAT64: where a network has IPv6 alone, every IPv4 host has such an address (64:ff9b:1::/48 is for local use).
        // 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => four(high, low),
        // Teredo: the server's address, and the client's inverted.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            four(high, low) && four(!client_high, !client_low)
        }
        // IETF protocol assignments.
        [0x2001, 0..0x200, ..] => false,
        // All that is assigned to the internet. The rest is loopback, unspecified, IPv4-compatible, link-local, unique local
        // (fd00:ec2::254 is a cloud's metadata), site-local, multicast, or nobody's yet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for open in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.2.1",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.100.7",
            "203.0.113.7",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:db8::1",
            "2606:4700::1111",
            "2a04:4e42::223",
            "3ffe:ffff::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
            "2001:0:101:101::fefe:fefe",
        ] {
            assert!(public(open), "{open}");
        }
        for closed in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.5",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!public(closed), "{closed}");
            let four: Ipv4Addr = closed.parse().unwrap();
            let [a, b, c, d] = four.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for carrier in [
                format!("::ffff:{closed}"),
                format!("::{closed}"),
                format!("64:ff9b::{closed}"),
                format!("2002:{high:x}:{low:x}::1"),
                format!("2001:0:{high:x}:{low:x}::fefe:fefe"),
                format!("2001:0:101:101::{:x}:{:x}", !high, !low),
            ] {
                assert!(!public(&carrier), "{carrier}");
            }
        }
        for closed in [
            "::",
            "::1",
            "::1.1.1.1",
            "64:ff9b:1::101:101",
            "64:ff9b::1:101:101",
            "100::1",
            "2001:2::1",
            "2001:10::1",
            "2001:1ff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ffff::1",
        ] {
            assert!(!public(closed), "{closed}");
        }
    }
}
