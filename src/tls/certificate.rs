//! A certificate with its key, read and checked.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::certificate::{CertificateInner, Rfc5280};
use x509_cert::der::Decode as _;

use super::TlsError;

/// The most bytes of a file: a chain of ten certificates has some 20 KB.
const MOST: u64 = 1 << 20;

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";

/// A certificate that can be shown, with its key.
#[derive(Debug)]
pub struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// The last second at which it is valid, in Unix seconds.
    pub expires: i64,
}

impl Certificate {
    /// Reads both files; `now` in Unix seconds. They have to belong together, and the certificate has to be valid now.
    pub fn read(certificate: &Path, key: &Path, now: i64) -> Result<Self, TlsError> {
        let (certificate, key) = (file(CERTIFICATE, certificate)?, file(KEY, key)?);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| not_pem(CERTIFICATE, "CERTIFICATE", &error))?;
        let first = chain.first().ok_or(TlsError::Lacks { setting: CERTIFICATE, block: "CERTIFICATE" })?;
        let expires = valid_until(first, now)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| not_pem(KEY, "PRIVATE KEY", &error))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
            Error::InvalidCertificate(error) => TlsError::NoCertificate(error.to_string()),
            error => TlsError::NoKey(error.to_string()),
        })?;
        Ok(Self { certified: Arc::new(certified), expires })
    }
}

/// The cryptography that upstream is asked with too.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

fn file(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { setting, error };
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(MOST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST { Err(TlsError::TooLarge(setting)) } else { Ok(bytes) }
}

fn not_pem(setting: &'static str, block: &'static str, error: &pem::Error) -> TlsError {
    match error {
        pem::Error::NoItemsFound => TlsError::Lacks { setting, block },
        // Their texts may have what stands in the file, such as a part of the key.
        _ => TlsError::Damaged(setting),
    }
}

fn valid_until(certificate: &CertificateDer<'_>, now: i64) -> Result<i64, TlsError> {
    let read = CertificateInner::<Rfc5280>::from_der(certificate);
    let read = read.map_err(|error| TlsError::NoCertificate(error.to_string()))?;
    let validity = read.tbs_certificate().validity();
    let unix =
        |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    let (begins, expires) = (unix(validity.not_before), unix(validity.not_after));
    if now > expires {
        return Err(TlsError::Expired(moment(expires)));
    }
    if now < begins {
        return Err(TlsError::Early(moment(begins)));
    }
    Ok(expires)
}

fn moment(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |time| time.to_string())
}
