//! The key that pages are signed with for mirrors of PyPI's first days (PEP 381, docs/wire.md section 9).
//!
//! One DSA key a data folder, made once and for good: mirrors keep the public part, and another key makes all signatures
//! that they have wrong.

mod file;
mod key;
mod signer;

pub use file::{NAME as KEY_FILE, copy as copy_key};
pub use signer::{Signer, SigningSettings, Unsigned};
