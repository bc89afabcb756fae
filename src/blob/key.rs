//! What an entry is found by.

use crate::model::Sha256;

/// A digest, and the size if the index states one: an entry whose length contradicts it is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The digest of the content.
    pub sha256: Sha256,
    /// The size in bytes; `None` where nobody states it (`.metadata` siblings, PEP 503 pages).
    pub size: Option<u64>,
}
