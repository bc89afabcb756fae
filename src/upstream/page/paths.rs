//! Where files are upstream and with us.

use std::collections::BTreeMap;

use url::Url;

use super::model::CoreMetadata;
use crate::model::{Digest, FilePath, FilePaths, NamedBy, ProjectName, paths_of};

/// Where a file is with us, and its metadata as it can be advertised there: not if that would be too long a name. None if
/// the file has no address.
pub(super) fn located(
    url: &Url,
    (project, page): (&ProjectName, &Url),
    (hashes, unmatchable): (&BTreeMap<String, String>, bool),
    core_metadata: CoreMetadata,
) -> Option<(FilePaths, CoreMetadata)> {
    let file = if unmatchable { None } else { strongest(hashes) };
    let metadata = match &core_metadata {
        CoreMetadata::Yes(hashes) => strongest(hashes),
        CoreMetadata::No => None,
    };
    let paths = paths_of(url, &NamedBy { project, page, digests: [file, metadata] })?;
    let core_metadata = metadata_path(&paths.path).map_or(CoreMetadata::No, |_| core_metadata);
    Some((paths, core_metadata))
}

/// The strongest of stated digests.
pub fn strongest(hashes: &BTreeMap<String, String>) -> Option<Digest> {
    Digest::strongest(hashes.iter().map(|(name, digits)| (name.as_str(), digits.as_str())))
}

/// `.metadata` beside a file; `None` if that would be too long a name: then it is not advertised either.
pub fn metadata_path(path: &FilePath) -> Option<FilePath> {
    FilePath::parse(&format!("{path}.metadata")).ok()
}

/// Writes letters, digits, `-`, `_` and `~` of the path as themselves, as pip does: with and without an escape it is the
/// same address (RFC 3986, section 6.2.2.2), and not every server knows that.
pub(super) fn unescape(url: &mut Url) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    let mut parts = url.path().split('%');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|&byte| plain(byte)) {
            Some(byte) => path.extend(std::iter::once(char::from(byte)).chain(part[2..].chars())),
            None => path.extend(std::iter::once('%').chain(part.chars())),
        }
    }
    url.set_path(&path);
}
