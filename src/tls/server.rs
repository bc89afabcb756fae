//! What connections are encrypted by, as long as the relay runs.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::certificate::provider;
use super::{Certificate, TlsError, TlsSettings};
use crate::watched::Watched;

/// The certificate in use.
pub type Certificates = Watched<Certificate>;

/// Shows whatever certificate is in use at the moment, by whatever name the relay is asked.
#[derive(Debug)]
struct Current(Arc<Certificates>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().certified.clone())
    }
}

/// Reads the certificate that the settings name, if they name one.
pub fn open(settings: &TlsSettings) -> Result<Option<Arc<Certificates>>, TlsError> {
    let TlsSettings { certificate: Some(certificate), key: Some(key), clock, .. } = settings.clone() else {
        return Ok(None);
    };
    let files = vec![certificate.clone(), key.clone()];
    let read = move || Certificate::read(&certificate, &key, clock.unix());
    Ok(Some(Arc::new(Watched::open("the TLS certificate", files, read)?)))
}

/// What encrypts connections: TLS 1.2 and 1.3. Clients come back without a new signature by tickets that nobody has to keep; what
/// those are encrypted with stands in memory only, and changes every six hours.
pub fn acceptor(settings: &TlsSettings, certificates: Arc<Certificates>) -> Result<TlsAcceptor, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(setup)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Current(certificates)));
    config.ticketer = Ticketer::new().map_err(setup)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let protocols: &[&[u8]] = if settings.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
