//! What a wheel or sdist is made of.

use crate::model::Sha256;

use super::super::info::Info;
use super::digests;
use super::metadata;

/// A member that is made by offset, with the digests that `fixtures/` states of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    /// Its length in bytes.
    pub(crate) len: u32,
    /// Its CRC-32.
    pub(crate) crc32: u32,
    /// Its SHA-256.
    pub(crate) sha256: Sha256,
    /// Of the whole wheel, so that nobody has to read 64 MB at start.
    pub(crate) wheel: super::Digests,
}

/// A release, ready to be packed.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    /// The registered spelling.
    pub(crate) name: &'a str,
    /// The version.
    pub(crate) version: &'a str,
    /// Its metadata.
    pub(crate) info: &'a Info,
    /// The wheel has a console script of the project's name.
    pub(crate) script: bool,
    /// The wheel has this member too.
    pub(crate) bulk: Option<&'a Bulk>,
}

impl Recipe<'_> {
    pub(super) fn module(&self) -> String {
        module(self.name)
    }

    pub(super) fn stem(&self) -> String {
        stem(self.name, self.version)
    }

    /// The module's only source file.
    pub(super) fn source(&self) -> String {
        let (name, version) = (self.name, self.version);
        format!(
            "\"\"\"{name}, a project of the sandbox.\"\"\"\n\n__version__ = \"{version}\"\n\n\n\
             def main():\n    print(\"{name} {version}\")\n"
        )
    }

    /// `entry_points.txt`, if the release has a console script.
    pub(super) fn entry_points(&self) -> Option<String> {
        let module = self.module();
        self.script.then(|| format!("[console_scripts]\n{} = {module}:main\n", module.replace('_', "-")))
    }

    /// `METADATA` and `PKG-INFO`.
    pub(super) fn metadata(&self) -> String {
        metadata::text(self.name, self.version, self.info)
    }
}

/// The name in file names and of the module: normal form, with `_`.
fn module(name: &str) -> String {
    let mut module = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if module.ends_with('_') => {}
            '-' | '_' | '.' => module.push('_'),
            _ => module.push(c.to_ascii_lowercase()),
        }
    }
    module
}

/// `NAME-VERSION`, as file names have it (PEP 427 escapes the version's `-`).
pub(crate) fn stem(name: &str, version: &str) -> String {
    format!("{}-{}", module(name), version.replace('-', "_"))
}

/// A row of `RECORD`.
pub(super) fn record(name: &str, digest: Sha256, len: u64) -> String {
    use base64::Engine as _;
    let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.0);
    format!("{name},sha256={digest},{len}\n")
}

/// A row of `RECORD` for bytes in memory.
pub(super) fn record_of(name: &str, data: &[u8]) -> String {
    record(name, digests::sha256(data), data.len() as u64)
}
