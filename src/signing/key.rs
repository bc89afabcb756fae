//! The key itself: how it is made, written, read and used.

use dsa::signature::SignatureEncoding as _;
use dsa::{Components, KeySize, SigningKey};
use getrandom::SysRng;
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use sha1::Sha1;

/// p of 2048 bits and q of 256: what the old `tools/keygen` made for p.
const SIZE: KeySize = KeySize::DSA_2048_256;

/// A private key.
#[derive(Debug)]
pub(super) struct Key(SigningKey);

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("it is no DSA key in PEM's PKCS #8 form: {0}")]
    Read(String),
    #[error("it cannot be written: {0}")]
    Write(String),
    #[error("the signature cannot be made: {0}")]
    Sign(dsa::signature::Error),
}

impl Key {
    /// Makes one. Takes seconds: not on a thread that others wait for.
    pub(super) fn generate() -> Result<Self, KeyError> {
        let components = Components::try_generate_from_rng_with_key_size(&mut SysRng, SIZE);
        let components = components.map_err(KeyError::Random)?;
        let key = SigningKey::try_generate_from_rng_with_components(&mut SysRng, components);
        key.map(Self).map_err(KeyError::Random)
    }

    /// Reads what [`Self::private_pem`] wrote, or OpenSSL.
    pub(super) fn read(pem: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|error| KeyError::Read(error.to_string()))
    }

    /// The private part, as `-----BEGIN PRIVATE KEY-----`.
    pub(super) fn private_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Write(error.to_string()))?;
        Ok(pem.as_str().to_owned())
    }

    /// The public part, as `-----BEGIN PUBLIC KEY-----`.
    pub(super) fn public_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        pem.map_err(|error| KeyError::Write(error.to_string()))
    }

    /// The signature of what has that SHA-1, in DER: always the same one (RFC 6979).
    pub(super) fn sign(&self, sha1: &[u8; 20]) -> Result<Box<[u8]>, KeyError> {
        let signature = self.0.sign_prehashed_rfc6979::<Sha1>(sha1).map_err(KeyError::Sign)?;
        Ok(signature.to_bytes())
    }
}
