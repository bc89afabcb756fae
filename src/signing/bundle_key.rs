//! The Ed25519 keys of bundles (RFC 8032, in PEM by RFC 8410): the private one, and the public one that importers are given.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::{Document, SecretDocument};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::file;

/// What stands before the 32 bytes of a private key in PKCS #8 (RFC 8410 section 7).
const PRIVATE: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const PRIVATE_LABEL: &str = "PRIVATE KEY";
/// What stands before the 32 bytes of a public key (RFC 8410 section 4).
const PUBLIC: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Bytes of either key.
const BYTES: usize = 32;
/// A file of a key has some hundred bytes.
const LONGEST: u64 = 16 << 10;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum BundleKeyError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is another thing.
    #[error(
        "{} is no private Ed25519 key in PEM's PKCS #8 form; put back the file as it was, or remove it to have another key made, \
         whose public part importers then have to be given",
        .0.display()
    )]
    NotPrivate(PathBuf),
    /// The same of a public key.
    #[error("{} is no public Ed25519 key in PEM; it is what `cheesewire bundle key` prints where bundles are made", .0.display())]
    NotPublic(PathBuf),
    /// The system gives no random numbers.
    #[error("no key can be made: {0}")]
    Random(getrandom::Error),
}

/// A private key.
pub struct BundleKey(Ed25519KeyPair);

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicBundleKey([u8; BYTES]);

impl BundleKey {
    /// The key of a data folder, made if there is none yet.
    pub fn of(folder: &Path) -> Result<Self, BundleKeyError> {
        let path = folder.join(file::BUNDLE_NAME);
        let failed = |source| BundleKeyError::File { path: path.clone(), source };
        let read = || file::read(folder, file::BUNDLE_NAME).map_err(failed);
        let mut kept = read()?;
        if kept.is_none() {
            // If another process was first, its key is the key.
            file::write(folder, file::BUNDLE_NAME, &generate()?).map_err(failed)?;
            kept = read()?;
        }
        let text = kept.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Self::read(&text).ok_or(BundleKeyError::NotPrivate(path))
    }

    fn read(pem: &str) -> Option<Self> {
        let (label, document) = SecretDocument::from_pem(pem.trim_start()).ok()?;
        let seed = document.as_bytes().strip_prefix(&PRIVATE).filter(|_| label == PRIVATE_LABEL)?;
        // OpenSSL writes just this form, which states no public key that could be another's.
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// The signature of a text.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(text).as_ref());
        signature
    }

    /// What importers are to be given.
    pub fn public(&self) -> PublicBundleKey {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicBundleKey(bytes)
    }
}

impl fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BundleKey")
    }
}

impl fmt::Debug for PublicBundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicBundleKey({})", hex::encode(self.0))
    }
}

impl PublicBundleKey {
    /// Reads the file in which the key is, in PEM.
    pub fn of_file(path: &Path) -> Result<Self, BundleKeyError> {
        let failed = |source| BundleKeyError::File { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, LONGEST), &mut text).map_err(failed)?;
        Self::read(&text).ok_or_else(|| BundleKeyError::NotPublic(path.to_owned()))
    }

    fn read(pem: &str) -> Option<Self> {
        let (label, document) = Document::from_pem(pem.trim_start()).ok()?;
        let bytes = document.as_bytes().strip_prefix(&PUBLIC).filter(|_| label == PUBLIC_LABEL)?;
        bytes.try_into().ok().map(Self)
    }

    /// The key in PEM, as OpenSSL writes it too.
    pub fn pem(&self) -> String {
        pem(PUBLIC_LABEL, &[&PUBLIC[..], &self.0].concat())
    }

    /// Whether that is the signature of a text by this key.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(text, signature).is_ok()
    }
}

/// A new private key in PEM.
fn generate() -> Result<String, BundleKeyError> {
    let mut der = [&PRIVATE[..], &[0; BYTES]].concat();
    getrandom::fill(&mut der[PRIVATE.len()..]).map_err(BundleKeyError::Random)?;
    Ok(pem(PRIVATE_LABEL, &der))
}

/// Either key's DER is short enough for one line of PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSL wrote them: `openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`.
    const PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINN0okvqA5UiMHKNgTW3LUrxu84a0fdlqwSWp+/e0MQo\n\
                               -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_made_once_and_only_its_own_signatures_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let key = BundleKey::of(folder.path()).unwrap();
        let again = BundleKey::of(folder.path()).unwrap();
        assert_eq!(key.public(), again.public());
        let signature = key.sign(b"text");
        assert!(again.public().verifies(b"text", &signature));
        assert!(!key.public().verifies(b"texts", &signature));
        assert!(!key.public().verifies(b"text", &signature[..63]));
        let other = BundleKey::of(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(!other.public().verifies(b"text", &signature));
    }

    #[test]
    fn a_public_key_comes_back_out_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (key, path) = (BundleKey::of(folder.path()).unwrap().public(), folder.path().join("public.pem"));
        std::fs::write(&path, key.pem()).unwrap();
        assert_eq!(PublicBundleKey::of_file(&path).unwrap(), key);
        assert!(BundleKey::read(PRIVATE_PEM).is_some());
    }

    #[test]
    fn what_is_no_key_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join(file::BUNDLE_NAME);
        let dsa = include_str!("../../tests/legacy/serverkey.pem");
        for text in ["", "none", dsa, &PRIVATE_PEM[..80], &PRIVATE_PEM.replace("PRIVATE", "PUBLIC")] {
            std::fs::write(&private, text).unwrap();
            assert!(matches!(BundleKey::of(folder.path()), Err(BundleKeyError::NotPrivate(_))), "{text}");
            assert_eq!(std::fs::read_to_string(&private).unwrap(), text);
            assert!(
                matches!(PublicBundleKey::of_file(&private), Err(BundleKeyError::NotPublic(_))),
                "{text}"
            );
        }
        std::fs::write(&private, PRIVATE_PEM).unwrap();
        assert!(matches!(PublicBundleKey::of_file(&private), Err(BundleKeyError::NotPublic(_))));
    }
}
