//! Certificates that a test makes, and clients that trust them.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use reqwest::{Client, redirect};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A day: year, month, day.
pub type Day = (i32, u8, u8);

/// Whom a test's clients trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    der: CertificateDer<'static>,
}

/// The names of the files of a pair in a folder.
pub const CERTIFICATE: &str = "certificate.pem";
pub const KEY: &str = "key.pem";

/// The settings that name a folder's pair.
pub fn settings(folder: &Path) -> [String; 2] {
    [("certificate", CERTIFICATE), ("key", KEY)]
        .map(|(setting, file)| format!("tls.{setting}={}", folder.join(file).display()))
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a test's authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A pair for this machine, valid as long as anything.
    pub fn pair(&self) -> Pair {
        self.pair_valid((2000, 1, 1), (2999, 1, 1))
    }

    /// One that is valid from one day to another.
    pub fn pair_valid(&self, from: Day, to: Day) -> Pair {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let der = certificate.der().clone();
        Pair { certificate: certificate.pem(), key: key.serialize_pem(), der }
    }

    /// What a client speaks that trusts nobody else, with these protocols (ALPN).
    fn trust(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// An HTTP client, which keeps its connections.
    pub fn client(&self, protocols: &[&str]) -> Client {
        let builder = Client::builder().use_preconfigured_tls(self.trust(protocols));
        builder.redirect(redirect::Policy::none()).no_gzip().no_proxy().build().unwrap()
    }

    /// An encrypted connection to a relay, from an address of this machine.
    pub async fn connect(&self, url: &str, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.encrypt(super::connect(&url.replace("https:", "http:")).await, protocols).await
    }

    /// The same over a connection that there is.
    pub async fn encrypt(&self, stream: TcpStream, protocols: &[&str]) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(self.trust(protocols))).connect(name, stream).await.unwrap()
    }

    /// Whether it is this pair's certificate that a relay shows to who comes now.
    pub async fn is_shown(&self, pair: &Pair, url: &str) -> bool {
        let stream = self.connect(url, &[]).await;
        stream.get_ref().1.peer_certificates().unwrap()[0] == pair.der
    }
}

impl Pair {
    /// Puts both files into a folder, each as a whole, one after the other.
    pub fn put(&self, folder: &Path) {
        put(folder, CERTIFICATE, &self.certificate);
        put(folder, KEY, &self.key);
    }
}

/// Puts a file in the place of another one.
pub fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}
