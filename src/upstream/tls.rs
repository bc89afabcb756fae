//! Which certificates an encrypted upstream may show.

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;

use super::UpstreamError;

/// What all clients use: the system's certificate authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. They are some
/// hundred files, so they are read once for all clients.
pub(super) fn config() -> Result<ClientConfig, UpstreamError> {
    // An error says that the process has a provider already: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = ClientConfig::with_platform_verifier().map_err(|_| {
        UpstreamError::Settings(
            "no certificate authorities: install the system's (ca-certificates), or name a file of them in SSL_CERT_FILE",
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
