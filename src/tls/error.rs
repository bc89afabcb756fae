//! What can be wrong with a certificate and its key.

use std::io;

/// Why a certificate and its key cannot be used. Names settings, never a path: whoever asks for `/readyz` may read it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} cannot be read: {error}; the relay's user needs leave to read it")]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A file is larger than any certificate or key.
    #[error("{0} has more than a MiB: it is no certificate or key")]
    TooLarge(&'static str),
    /// A file ends within a block, or is no PEM.
    #[error("{0} is damaged or half-written: a block of PEM does not end; write it beside and rename it")]
    Damaged(&'static str),
    /// There is no such block in the file.
    #[error("{setting} has no block -----BEGIN {block}-----: give it in PEM form")]
    Lacks {
        /// The setting that names the file.
        setting: &'static str,
        /// What is looked for.
        block: &'static str,
    },
    /// The certificate cannot be read.
    #[error("tls.certificate is no certificate that can be used: {0}")]
    NoCertificate(String),
    /// The key cannot be used.
    #[error(
        "tls.key is no key that can be used (RSA, ECDSA P-256 or P-384, or Ed25519, without a password): {0}"
    )]
    NoKey(String),
    /// The two belong to different pairs.
    #[error(
        "tls.key is not the key of the first certificate in tls.certificate: put both files of one pair there"
    )]
    Mismatch,
    /// It is not valid any more.
    #[error("tls.certificate expired at {0}: renew it")]
    Expired(String),
    /// It is not valid yet.
    #[error("tls.certificate is valid from {0} on only: look at this machine's clock, or take an older one")]
    Early(String),
    /// The cryptography refuses to work.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}
