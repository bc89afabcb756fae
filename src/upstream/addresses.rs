//! Where things are upstream.

use std::sync::OnceLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::header::HeaderValue;
use url::Url;

use super::UpstreamError;
use crate::model::ProjectName;

/// What a version must not bring into a path as it is.
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'\\');

/// The addresses of one index, and the credentials that its user gave with it.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Where the simple index may be, likeliest first: one address, or `simple/` below the given one and that itself.
    candidates: Vec<Url>,
    /// Which of them it is, once that is known; it stays so.
    found: OnceLock<Url>,
    base: Url,
    /// What Basic authentication sends; marked so that it is never printed.
    authorization: Option<HeaderValue>,
}

impl Addresses {
    /// From the address as the user gave it. One that ends in `simple` or `+simple` is the simple index, and its parent the
    /// base of the rest. Of another one an answer has to tell whether the simple index is `simple/` below it, as nearly
    /// everywhere, or whether projects lie directly below it; `simple` tells it in advance.
    pub(super) fn new(given: &Url, simple: Option<&Url>) -> Result<Self, UpstreamError> {
        let authorization = authorization(given)?;
        let plain = folder(given)?;
        let join =
            |rest: &str| plain.join(rest).map_err(|_| UpstreamError::Settings("an address without folders"));
        let names_simple = plain.path().ends_with("/simple/") || plain.path().ends_with("/+simple/");
        let base = if names_simple { join("../")? } else { plain.clone() };
        let candidates = match simple {
            Some(simple) => vec![folder(simple)?],
            None if names_simple => vec![plain],
            None => vec![join("simple/")?, plain],
        };
        let found = OnceLock::new();
        if let [only] = &candidates[..] {
            // It is empty.
            let _ = found.set(only.clone());
        }
        Ok(Self { candidates, found, base, authorization })
    }

    /// What is below it, and below it only: documents of the JSON API, and calls.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The simple index, which is the listing of all projects; `None` as long as it is not known where it is.
    pub(super) fn simple(&self) -> Option<&Url> {
        self.found.get()
    }

    /// Where it may be, likeliest first.
    pub(super) fn candidates(&self) -> &[Url] {
        &self.candidates
    }

    /// Where it is, or where it is likeliest.
    pub(super) fn likely_simple(&self) -> &Url {
        self.simple().or(self.candidates.first()).unwrap_or(&self.base)
    }

    /// The simple index was seen there. Who came first is right.
    pub(super) fn note_simple(&self, simple: &Url) {
        if self.found.set(simple.clone()).is_ok() {
            tracing::info!(path = simple.path(), "found where upstream's simple index is");
        }
    }

    /// A project's page below a simple index; always with its final `/` (docs/wire.md section 8).
    pub(super) fn page(simple: &Url, name: &ProjectName) -> Url {
        below(simple, &format!("{name}/"))
    }

    /// A JSON document of a project or of one release.
    pub(super) fn json(&self, name: &ProjectName, version: Option<&str>) -> Url {
        match version {
            None => below(&self.base, &format!("pypi/{name}/json")),
            Some(version) => {
                let version = utf8_percent_encode(version, SEGMENT);
                below(&self.base, &format!("pypi/{name}/{version}/json"))
            }
        }
    }

    /// Where XML-RPC calls go.
    pub(super) fn calls(&self) -> Url {
        below(&self.base, "pypi")
    }

    /// `Authorization`, if the index has credentials and `url` is on its own scheme, host and port; others must not see them.
    pub(super) fn authorization(&self, url: &Url) -> Option<&HeaderValue> {
        self.authorization.as_ref().filter(|_| url.origin() == self.base.origin())
    }
}

/// An address as a folder, without what is only for us.
fn folder(given: &Url) -> Result<Url, UpstreamError> {
    if !matches!(given.scheme(), "http" | "https") || given.host().is_none() {
        return Err(UpstreamError::Settings("the address of an index starts with http:// or https://"));
    }
    let mut plain = given.clone();
    plain.set_query(None);
    plain.set_fragment(None);
    // Both succeed: the address has a host.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    if !plain.path().ends_with('/') {
        plain.set_path(&format!("{}/", plain.path()));
    }
    Ok(plain)
}

fn below(folder: &Url, rest: &str) -> Url {
    let mut url = folder.clone();
    url.set_path(&format!("{}{rest}", folder.path()));
    url
}

fn authorization(given: &Url) -> Result<Option<HeaderValue>, UpstreamError> {
    if given.username().is_empty() && given.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| UpstreamError::Settings("user or password that are not UTF-8"))
    };
    let (user, password) = (decoded(given.username())?, decoded(given.password().unwrap_or_default())?);
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            .map_err(|_| UpstreamError::Settings("a user or password that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Addresses {
        Addresses::new(&text.parse().unwrap(), None).unwrap()
    }

    fn candidates(found: &Addresses) -> Vec<&str> {
        found.candidates().iter().map(Url::as_str).collect()
    }

    #[test]
    fn an_address_that_ends_in_simple_is_the_simple_index() {
        let name = ProjectName::parse("a.b").unwrap();
        for text in ["https://index.test/simple", "https://index.test/simple/"] {
            let found = addresses(text);
            assert_eq!(found.simple().map(Url::as_str), Some("https://index.test/simple/"), "{text}");
            assert_eq!(found.calls().as_str(), "https://index.test/pypi", "{text}");
        }
        let devpi = addresses("https://index.test/root/pypi/+simple");
        let page = Addresses::page(devpi.simple().unwrap(), &name);
        assert_eq!(page.as_str(), "https://index.test/root/pypi/+simple/a-b/");
        assert_eq!(devpi.json(&name, None).as_str(), "https://index.test/root/pypi/pypi/a-b/json");
    }

    #[test]
    fn of_another_address_it_has_to_be_found_out_and_stays_so() {
        for text in ["https://index.test/whl", "https://user:pw@index.test/whl/?x#y"] {
            let found = addresses(text);
            assert_eq!(
                candidates(&found),
                ["https://index.test/whl/simple/", "https://index.test/whl/"],
                "{text}"
            );
            assert_eq!(
                (found.simple(), found.calls().as_str()),
                (None, "https://index.test/whl/pypi"),
                "{text}"
            );
            found.note_simple(&found.candidates()[1].clone());
            found.note_simple(&found.candidates()[0].clone());
            assert_eq!(found.simple().map(Url::as_str), Some("https://index.test/whl/"));
        }
        let told = "https://index.test/lists".parse().unwrap();
        let found = Addresses::new(&"https://index.test/api/".parse().unwrap(), Some(&told)).unwrap();
        assert_eq!(found.simple().map(Url::as_str), Some("https://index.test/lists/"));
        assert_eq!(found.calls().as_str(), "https://index.test/api/pypi");
    }

    #[test]
    fn a_version_cannot_leave_its_segment() {
        let found = addresses("https://index.test/");
        let name = ProjectName::parse("a").unwrap();
        let url = found.json(&name, Some("1/../../x?y#z"));
        assert_eq!(url.as_str(), "https://index.test/pypi/a/1%2F..%2F..%2Fx%3Fy%23z/json");
    }

    #[test]
    fn credentials_go_to_their_own_host_only_and_appear_nowhere() {
        let found = addresses("https://user:p%40ss@index.test/simple/");
        assert!(!format!("{found:?}").contains("@ss"), "{found:?}");
        assert!(!format!("{found:?}").contains("Basic"), "{found:?}");
        assert_eq!(found.authorization(&found.calls()).unwrap(), "Basic dXNlcjpwQHNz");
        for foreign in ["https://files.test/x", "http://index.test/x"] {
            assert!(found.authorization(&foreign.parse().unwrap()).is_none(), "{foreign}");
        }
        let page = Addresses::page(found.simple().unwrap(), &ProjectName::parse("a").unwrap());
        assert!(!page.as_str().contains("user"));
    }
}
