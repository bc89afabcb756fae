//! What methods answer, as types (docs/wire.md sections 5 and 6).

use dxr::{DateTime, Error, TryFromValue, Value};

use crate::model::{Event, Serial};

/// A whole number of any width: serials are `<int>`, a large file's size is `<i8>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole(pub i64);

impl TryFromValue for Whole {
    fn try_from_value(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Long(long) => Ok(Self(*long)),
            other => i32::try_from_value(other).map(|int| Self(i64::from(int))),
        }
    }
}

impl TryFromValue for Serial {
    fn try_from_value(value: &Value) -> Result<Self, Error> {
        Whole::try_from_value(value).map(|Whole(serial)| Self(serial))
    }
}

/// From `[name, version or nil, time, action, serial]`; what may follow one day is not looked at.
impl TryFromValue for Event {
    fn try_from_value(value: &Value) -> Result<Self, Error> {
        let Value::Array(row) = value else { return Err(Error::wrong_type("a value", "an event")) };
        let [name, version, time, action, serial, ..] = row.as_slice() else {
            return Err(Error::parameter_mismatch(row.len(), 5));
        };
        Ok(Self {
            serial: TryFromValue::try_from_value(serial)?,
            name: TryFromValue::try_from_value(name)?,
            version: TryFromValue::try_from_value(version)?,
            time: Whole::try_from_value(time)?.0,
            action: TryFromValue::try_from_value(action)?,
        })
    }
}

/// A file of a release, as `release_urls` tells. What upstream does not state is `""`.
#[derive(Debug, Clone, PartialEq, TryFromValue)]
pub struct ReleaseUrl {
    /// The file's name.
    pub filename: String,
    /// `sdist`, `bdist_wheel` …
    pub packagetype: String,
    /// The wheel's Python tag; `source` for an sdist.
    pub python_version: String,
    /// Bytes; -1 if upstream does not state them.
    pub size: Whole,
    /// In hexadecimal digits.
    pub md5_digest: String,
    /// In hexadecimal digits.
    pub sha256_digest: String,
    /// Both of them.
    pub digests: Digests,
    /// Always false: signatures are not kept any more.
    pub has_sig: bool,
    /// In UTC, whole seconds.
    pub upload_time: DateTime,
    /// The same with fractions of a second, as upstream states it.
    pub upload_time_iso_8601: String,
    /// The uploader's comment.
    pub comment_text: String,
    /// -1: downloads are not counted.
    pub downloads: Whole,
    /// The file's path below `/packages/`.
    pub path: String,
    /// Where the relay has it.
    pub url: String,
}

/// Digests in hexadecimal digits; `""` if upstream does not state one.
#[derive(Debug, Clone, PartialEq, Eq, TryFromValue)]
pub struct Digests {
    /// MD5.
    pub md5: String,
    /// SHA-256.
    pub sha256: String,
}

/// The metadata of a release, as `release_data` tells. What upstream does not state is `""` or empty. Members that have said
/// nothing for years are left out; [`Client::call`](super::Client::call) gives them.
#[derive(Debug, Clone, PartialEq, Eq, TryFromValue)]
pub struct ReleaseData {
    /// The project's name in its registered spelling.
    pub name: String,
    /// The version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// The long description, in whatever markup it is.
    pub description: String,
    /// The home page's address.
    pub home_page: String,
    /// Where the release is to be had besides; `UNKNOWN` if nothing says so.
    pub download_url: String,
    /// The project's page on the index.
    pub package_url: String,
    /// The release's page on the index.
    pub release_url: String,
    /// The documentation's address.
    pub docs_url: String,
    /// Where faults are reported.
    pub bugtrack_url: String,
    /// `Label, URL` of each declared link.
    pub project_url: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// And the address.
    pub author_email: String,
    /// Who keeps it.
    pub maintainer: String,
    /// And the address.
    pub maintainer_email: String,
    /// The licence's name or text.
    pub license: String,
    /// Words to find it by.
    pub keywords: String,
    /// Where it runs.
    pub platform: String,
    /// Trove classifiers.
    pub classifiers: Vec<String>,
    /// Which Python it needs, such as `>=3.9`.
    pub requires_python: String,
    /// What it needs besides Python packages.
    pub requires_external: Vec<String>,
    /// Which distributions it needs.
    pub requires_dist: Vec<String>,
    /// Which it stands for.
    pub provides_dist: Vec<String>,
    /// Which it replaces.
    pub obsoletes_dist: Vec<String>,
}
