//! The keys of a data folder, and signatures by them.
//!
//! Pages are signed for mirrors of PyPI's first days (PEP 381, docs/wire.md section 9) with one DSA key a data folder, made once
//! and for good: mirrors keep the public part, and another key makes all signatures that they have wrong. Bundles are signed with an
//! Ed25519 key (RFC 8032), made when the first one is; importers were given its public part.

mod bundle_key;
mod file;
mod key;
mod signer;

pub use bundle_key::{BundleKey, BundleKeyError, PublicBundleKey};
pub use file::{BUNDLE_NAME as BUNDLE_KEY_FILE, NAME as KEY_FILE, copy as copy_key};
pub use signer::{Signer, SigningSettings, Unsigned};
