//! The three digests that the JSON API states of a file.

use blake2::Blake2b;
use blake2::digest::consts::U32;
use md5::Md5;
use serde::Deserialize;
use sha2::Digest as _;

use crate::model::Sha256;

use super::Content;

/// A file's digests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// BLAKE2b with 256 bits, 64 hexadecimal digits; the file's path is made of it.
    pub blake2b_256: String,
    /// MD5, 32 hexadecimal digits.
    pub md5: String,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Digests {
    pub(super) fn of(content: &Content) -> Self {
        let (mut blake2b, mut md5, mut sha256) = (Blake2b::<U32>::new(), Md5::new(), sha2::Sha256::new());
        let mut at = 0;
        loop {
            let piece = content.read(at, 1 << 20);
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            blake2b.update(&piece);
            md5.update(&piece);
            sha256.update(&piece);
        }
        Self {
            blake2b_256: hex::encode(blake2b.finalize()),
            md5: hex::encode(md5.finalize()),
            sha256: sha256_of_hash(sha256),
        }
    }

    /// Upstream's path of a file: `aa/bb/` and the other 60 digits, then the name.
    pub(super) fn path(&self, filename: &str) -> String {
        let (first, rest) = self.blake2b_256.split_at(2);
        let (second, rest) = rest.split_at(2);
        format!("{first}/{second}/{rest}/{filename}")
    }
}

/// SHA-256 of what is in memory.
pub(super) fn sha256(bytes: &[u8]) -> Sha256 {
    sha256_of_hash(sha2::Sha256::new_with_prefix(bytes))
}

fn sha256_of_hash(hash: sha2::Sha256) -> Sha256 {
    Sha256(hash.finalize().into())
}
