//! `upstream.url`: which index it is, also if only the local pip knows.

use std::net::IpAddr;

use url::Url;

use super::reader::Reader;
use super::{ConfigError, pip};
use crate::model::{Setting, redacted, settings};
use crate::upstream::UpstreamSettings;

/// What stands in place of an upstream that was not given, until that is complained about.
const UNSET: &str = "http://unset.invalid/";
/// What stands in place of an upstream that there is none of. Nothing is ever sent there.
const BUNDLE: &str = "http://bundle.invalid/";

settings! {
    /// Which index it is.
    struct AddressSettings in "upstream" {
        /// The package index that this relay serves: its address, or that of its /simple/ or of whatever its projects lie
        /// directly below, or pip for the index that the local pip is set to, or bundle for none: then the relay answers from what
        /// was imported with cheesewire bundle import, and asks nobody. User and password in it become Basic authentication. Without
        /// a scheme it is https, on this machine itself http.
        url: Option<Address> = None,
    }
}

/// How the index is named.
#[derive(Debug, Clone)]
enum Address {
    /// The one that the local pip is set to.
    Pip,
    /// There is none: what it has is imported.
    Bundle,
    /// This one.
    Url(Url),
}

impl Setting for Address {
    const EXPECTED: &'static str = "an address such as https://index.test/ (or http), pip, or bundle";
    fn read(text: &str) -> Option<Self> {
        if text == "pip" {
            return Some(Self::Pip);
        }
        if text == "bundle" {
            return Some(Self::Bundle);
        }
        let spelled = with_scheme(text);
        Url::read(spelled.as_deref().unwrap_or(text)).map(Self::Url)
    }
    fn write(&self) -> String {
        match self {
            Self::Pip => "pip".to_owned(),
            Self::Bundle => "bundle".to_owned(),
            Self::Url(url) => url.write(),
        }
    }
}

/// An address as people write it, `index.test/simple/` or `127.0.0.1:8080`. A single word is none: it may be a mistyped `pip`. Nor
/// is one with a password: where that goes is said in full.
fn with_scheme(text: &str) -> Option<String> {
    let host = text.split('/').next().filter(|_| !text.contains("://") && !text.contains('@'))?;
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let literal = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_here = name == "localhost" || literal.is_some_and(|address| address.is_loopback());
    let is_host = is_here || literal.is_some() || name.contains('.');
    is_host.then(|| format!("{}://{text}", if is_here { "http" } else { "https" }))
}

/// The defaults for the index that is named; also tells whether one was.
pub(super) fn read(reader: &mut Reader) -> Result<(UpstreamSettings, bool), ConfigError> {
    let complaints = reader.complaints();
    let mut address = AddressSettings::default();
    address.visit(reader);
    // A bad address was given too: it has its complaint already.
    let given = address.url.is_some() || reader.complaints() > complaints;
    let bundled = matches!(address.url, Some(Address::Bundle));
    let text = match address.url {
        None => UNSET.to_owned(),
        Some(Address::Bundle) => BUNDLE.to_owned(),
        Some(Address::Pip) => pip::index()?,
        Some(Address::Url(url)) => url.into(),
    };
    let base = Url::read(&text).ok_or_else(|| {
        ConfigError::one(format!("upstream.url = {}: expected {}", redacted(&text), Url::EXPECTED))
    })?;
    Ok((UpstreamSettings { bundled, ..UpstreamSettings::new(base) }, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_understood_without_its_scheme_and_a_word_is_not_taken_for_one() {
        for (text, url) in [
            ("index.test", "https://index.test/"),
            ("index.test:8080/simple/", "https://index.test:8080/simple/"),
            ("localhost:8080", "http://localhost:8080/"),
            ("127.0.0.1:8080/root/pypi", "http://127.0.0.1:8080/root/pypi"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("192.0.2.7", "https://192.0.2.7/"),
            ("http://index.test/", "http://index.test/"),
        ] {
            let Some(Address::Url(read)) = Address::read(text) else { panic!("{text}") };
            assert_eq!(read, Url::parse(url).unwrap(), "{text}");
        }
        assert!(matches!(Address::read("pip"), Some(Address::Pip)));
        assert!(matches!(Address::read("bundle"), Some(Address::Bundle)));
        for text in [
            "",
            "pipp",
            "index",
            "/simple/",
            "ftp://index.test/",
            "file:///srv",
            "index.test?x",
            "a b.test",
            "user:secret@index.test",
        ] {
            assert!(Address::read(text).is_none(), "{text}");
        }
    }
}
