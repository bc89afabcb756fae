//! `upstream.url`: which index it is, also if only the local pip knows.

use url::Url;

use super::reader::Reader;
use super::{ConfigError, pip};
use crate::model::{Setting, redacted, settings};
use crate::upstream::UpstreamSettings;

/// What stands in place of an upstream that was not given, until that is complained about.
const UNSET: &str = "http://unset.invalid/";

settings! {
    /// Which index it is.
    struct AddressSettings in "upstream" {
        /// The package index that this relay serves: its address, or that of its /simple/ or of whatever its projects lie
        /// directly below, or pip for the index that the local pip is set to. User and password in it become Basic
        /// authentication.
        url: Option<Address> = None,
    }
}

/// How the index is named.
#[derive(Debug, Clone)]
enum Address {
    /// The one that the local pip is set to.
    Pip,
    /// This one.
    Url(Url),
}

impl Setting for Address {
    const EXPECTED: &'static str = "an address such as http://index.test/ (or https), or pip";
    fn read(text: &str) -> Option<Self> {
        if text == "pip" { Some(Self::Pip) } else { Url::read(text).map(Self::Url) }
    }
    fn write(&self) -> String {
        match self {
            Self::Pip => "pip".to_owned(),
            Self::Url(url) => url.write(),
        }
    }
}

/// The defaults for the index that is named; also tells whether one was.
pub(super) fn read(reader: &mut Reader) -> Result<(UpstreamSettings, bool), ConfigError> {
    let complaints = reader.complaints();
    let mut address = AddressSettings::default();
    address.visit(reader);
    // A bad address was given too: it has its complaint already.
    let given = address.url.is_some() || reader.complaints() > complaints;
    let text = match address.url {
        None => UNSET.to_owned(),
        Some(Address::Pip) => pip::index()?,
        Some(Address::Url(url)) => url.into(),
    };
    let base = Url::read(&text).ok_or_else(|| {
        ConfigError::one(format!("upstream.url = {}: expected {}", redacted(&text), Url::EXPECTED))
    })?;
    Ok((UpstreamSettings::new(base), given))
}
