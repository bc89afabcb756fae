//! TLS of the relay's own: its certificate, which is read again when it changes, and what a connection needs to be encrypted by it.

mod certificate;
mod error;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Clock, settings};
pub use certificate::Certificate;
pub use error::TlsError;
pub use server::{Certificates, acceptor, open};

settings! {
    /// Encrypted connections.
    #[derive(Debug, Clone)]
    pub struct TlsSettings in "tls" {
        /// The certificate, with those of the authorities between it and the one that clients know: a file in PEM form. With it
        /// and tls.key all listeners speak HTTPS but those with ?plain (see http.listen). Both are read again when they change.
        certificate: Option<PathBuf> = None,
        /// The certificate's private key: a file in PEM form.
        key: Option<PathBuf> = None,
        /// From one look at the two files to the next; SIGHUP has them looked at at once.
        interval: Duration = Duration::from_secs(10),
        /// Whether clients may speak HTTP/2 where they can.
        http2: bool = true,
        /// How long a client may take until its connection is encrypted.
        handshake_timeout: Duration = Duration::from_secs(10),
        /// Connections of one client that may be at that at the same time; further ones wait, within the same time.
        ///
        /// uv opens 50 at once. A signature takes up to a millisecond of a core.
        handshakes_at_once: usize as Count = 64,
        /// By which certificates expire.
        clock: Clock as Internal = Clock::system(),
    }
}
