//! Which package index it is, whatever the spelling of its address.

use std::fmt;

use url::{Host, Url};

/// What tells one upstream from another: host, port and path of its address, in one spelling.
///
/// The scheme, user, password, query and fragment are no part of it, nor are the default port of the scheme, slashes at
/// the end of the path, and a last `simple` or `+simple`: the same index is named with and without them. So a
/// move from http to https is none, and nothing secret that an address has in those places is in it. Two spellings of a
/// path that RFC 3986 calls equal (section 6.2.2: dot segments, `%7E` for `~`, `%3a` for `%3A`) are equal; a path
/// in other case is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamIdentity(String);

impl UpstreamIdentity {
    /// Of the index at an address; `None` if the address has no host.
    pub fn of(address: &Url) -> Option<Self> {
        let mut text = match address.host()? {
            // The URL parser has put it in lower case and in ASCII (IDNA). The dot of the DNS root says nothing more.
            Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            address @ (Host::Ipv4(_) | Host::Ipv6(_)) => address.to_string(),
        };
        // The parser drops the port that is the scheme's default.
        if let Some(port) = address.port() {
            text.extend([":", &port.to_string()]);
        }
        let path = address.path().trim_end_matches('/');
        let folder = path.strip_suffix("/simple").or_else(|| path.strip_suffix("/+simple")).unwrap_or(path);
        plain(folder.trim_end_matches('/'), &mut text);
        Some(Self(text))
    }

    /// As the journal keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the journal has kept of [`UpstreamIdentity::as_str`].
    pub fn kept(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for UpstreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds a path with each escape in one spelling: none for a character that needs none, else with capital digits.
fn plain(path: &str, text: &mut String) {
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        text.push_str(before);
        let mut byte = [0];
        let byte =
            escape.get(..2).filter(|digits| hex::decode_to_slice(digits, &mut byte).is_ok()).map(|_| byte[0]);
        match byte {
            Some(byte @ (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')) => {
                text.push(char::from(byte));
            }
            Some(byte) => text.extend(["%", &hex::encode_upper([byte])]),
            None => text.push('%'),
        }
        rest = if byte.is_some() { &escape[2..] } else { escape };
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(address: &str) -> String {
        UpstreamIdentity::of(&address.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn one_index_has_one_identity_in_every_spelling() {
        let spellings: [(&str, &[&str]); 6] = [
            (
                "index.test",
                &[
                    "https://index.test",
                    "http://index.test/",
                    "HTTPS://INDEX.test:443/",
                    "http://index.test:80/simple/",
                    "https://index.test/simple",
                    "https://index.test./simple//",
                    "https://index.test//",
                    "https://index.test/a/../simple/",
                    "https://index.test/%2e/simple/",
                    "https://%69ndex.test/",
                    "https://ｉｎｄｅｘ。test/",
                    "https://user:secret@index.test/simple/?token=secret#secret",
                ],
            ),
            (
                "xn--bcher-kva.test",
                &["https://bücher.test/", "https://BÜCHER.test.", "http://xn--BCHER-kva.test/"],
            ),
            (
                "index.test:8443/root/dev",
                &[
                    "https://index.test:8443/root/dev",
                    "http://index.test:8443/root/dev/+simple/",
                    "http://index.test:08443/root/dev/simple",
                    "http://index.test:8443/root/%64ev/",
                ],
            ),
            (
                "[2001:db8::1]:8080",
                &["http://[2001:DB8:0:0::1]:8080/simple/", "http://[2001:0db8::0001]:8080"],
            ),
            ("127.0.0.1", &["http://127.0.0.1/", "http://127.1/", "https://0x7f.0.0.1/simple/"]),
            (
                "index.test/~a/b%3Ac%25",
                &["http://index.test/~a/b%3ac%25/", "http://index.test/%7Ea/b%3Ac%25/simple"],
            ),
        ];
        for (same, addresses) in spellings {
            for address in addresses {
                assert_eq!(identity(address), same, "{address}");
            }
        }
    }

    #[test]
    fn other_hosts_ports_and_paths_are_other_indexes() {
        let addresses = [
            "https://index.test/",
            "https://index.test:8443/",
            "http://index.test:443/",
            "https://other.test/",
            "https://index.test.evil.test/",
            "https://index.test@evil.test/",
            "https://index.test/private/",
            "https://index.test/Private/",
            "https://index.test/private%2Fsimple/",
            "https://index.test/simple/simple/",
            "https://index.test/SIMPLE/",
            "https://index.test/notsimple/",
            "https://index.test/%zz/",
            "https://index.test/%+1/",
            "https://index.test/%01/",
            "http://[::1]/",
            "http://127.0.0.1/",
        ];
        let mut found = addresses.map(identity).to_vec();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), addresses.len(), "{found:?}");
    }

    #[test]
    fn a_path_that_only_looks_like_the_simple_index_is_another_folder() {
        // The relay would look for its simple index below it.
        assert_eq!(identity("https://index.test/%73imple/"), identity("https://index.test/simple/simple/"));
    }

    #[test]
    fn an_address_without_a_host_has_none() {
        assert_eq!(UpstreamIdentity::of(&"data:text/plain,a".parse().unwrap()), None);
    }
}
