//! What a bundle says of itself, at its beginning and at its end. Both are signed.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};

use crate::journal::PartClaims;
use crate::model::{Serial, Sha256, UpstreamIdentity};

/// The newest form of a bundle.
pub(super) const FORM: u32 = 1;
/// The members of the archive, in their order; package files are between the journal and the end.
pub(super) const HEAD: &str = "bundle.json";
pub(super) const HEAD_SIGNATURE: &str = "bundle.sig";
pub(super) const JOURNAL: &str = "journal.sqlite3.gz";
/// What the names of package files begin with.
pub(super) const FILES: &str = "files/";
pub(super) const END: &str = "end.json";
pub(super) const END_SIGNATURE: &str = "end.sig";
/// What is signed begins with one of these, so that no signature says something else elsewhere.
pub(super) const HEAD_CONTEXT: &[u8] = b"cheesewire bundle: head\n";
pub(super) const END_CONTEXT: &[u8] = b"cheesewire bundle: end\n";

/// What it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) form: u32,
    /// The version of the program that made it.
    pub(super) program: String,
    /// Whose packages it tells of.
    pub(super) upstream: String,
    /// Unix seconds of when it was begun.
    pub(super) taken: i64,
    /// Unix seconds of when upstream was heard last.
    pub(super) as_of: Option<i64>,
    /// It has the events after this serial; without one all that were known.
    pub(super) since: Option<i64>,
    /// The last serial that was known.
    pub(super) last_serial: i64,
    pub(super) journal: Packed,
    /// It has package files.
    pub(super) files: bool,
}

/// The journal's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packed {
    /// As it lies in the bundle.
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Text,
    /// Unpacked.
    pub(super) unpacked_bytes: u64,
    pub(super) unpacked_sha256: Sha256Text,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The digest of what it says at its beginning: no end is another bundle's.
    pub(super) head: Sha256Text,
    /// Package files, and their bytes.
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Over a line for each of them, with its digest and its length.
    pub(super) sha256: Sha256Text,
}

/// A digest in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sha256Text(String);

impl Sha256Text {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::from(<[u8; 32]>::from(Hasher::digest(bytes)))
    }
}

impl From<[u8; 32]> for Sha256Text {
    fn from(digest: [u8; 32]) -> Self {
        Self(hex::encode(digest))
    }
}

impl Head {
    pub(super) fn claims(&self) -> PartClaims {
        PartClaims {
            upstream: UpstreamIdentity::kept(self.upstream.clone()),
            since: self.since.map(Serial),
            last_serial: Serial(self.last_serial),
            taken: self.taken,
        }
    }
}

/// What is told of package files one after another, for the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    files: u64,
    bytes: u64,
    hasher: Hasher,
    last: Option<Sha256>,
}

impl Tally {
    /// Counts a file; false if it does not come after the one before.
    pub(super) fn add(&mut self, sha256: Sha256, size: u64) -> bool {
        let ascends = self.last.is_none_or(|last| last.0 < sha256.0);
        self.last = Some(sha256);
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.hasher.update(format!("{sha256} {size}\n"));
        ascends
    }

    /// The end of a bundle that began with this text.
    pub(super) fn end(self, head: &[u8]) -> End {
        let sha256 = Sha256Text::from(<[u8; 32]>::from(self.hasher.finalize()));
        End { head: Sha256Text::of(head), files: self.files, bytes: self.bytes, sha256 }
    }
}
