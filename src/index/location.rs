//! Where upstream's files and provenances are with us (docs/wire.md section 7).

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use crate::model::FilePath;

/// What a path in an address must not have as it is.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A file's path as it stands in an address.
pub(super) fn encoded(path: &FilePath) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(path.as_str(), PATH)
}

/// A file's address with `.metadata` after its path (PEP 658).
pub(super) fn metadata_url(url: &Url) -> Url {
    let mut sibling = url.clone();
    sibling.set_path(&format!("{}.metadata", url.path()));
    sibling
}

/// The part of a provenance's address that we keep: `/integrity/NAME/VERSION/FILE/provenance`.
pub(super) fn provenance_path(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let at = url.path().find("/integrity/")?;
    let path = &url.path()[at..];
    let whole = path.ends_with("/provenance") && path.split('/').count() == 6;
    whole.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_provenances_are_kept() {
        let url = "https://index.test/integrity/a/1.0/a-1.0.zip/provenance";
        assert_eq!(provenance_path(url).as_deref(), Some("/integrity/a/1.0/a-1.0.zip/provenance"));
        for other in [
            "/a/provenance",
            "/integrity/a/provenance",
            "/integrity/a/1.0/a-1.0.zip",
            "/integrity/a/1/b/c/provenance",
        ] {
            assert_eq!(provenance_path(&format!("https://index.test{other}")), None, "{other}");
        }
    }
}
