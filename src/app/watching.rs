//! What is read again when it changes, or when it is ordered: the certificate and the tokens, and the settings when ordered.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::reloading::{Orders, Reloading};
use super::tasks::Tasks;
use crate::config::Config;
use crate::http::Guard;
use crate::metric;
use crate::model::Clock;
use crate::tls::{self, Certificates, TlsError, TlsSettings};
use crate::tokens::{self, TokenError, TokenFile, Tokens};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The certificate, or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The tokens.
    #[error("{}: {error}", path.display())]
    Tokens {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        error: TokenError,
    },
}

/// The files, as they are in use.
#[derive(Clone)]
pub(super) struct Watching {
    certificates: Option<Arc<Certificates>>,
    tokens: Arc<TokenFile>,
    guard: Guard,
    settings: Reloading,
    clock: Clock,
}

impl Watching {
    /// Reads them for the first time. `settings`: what takes other settings up.
    pub(super) fn open(config: &Config, settings: Reloading) -> Result<Self, FileError> {
        let certificates = tls::open(&config.tls)?;
        let tokens = tokens::open(&config.auth, &config.data)
            .map_err(|error| FileError::Tokens { path: config.auth.file(&config.data), error })?;
        let guard = Guard::new(&config.auth, config.http.clients.remembered);
        guard.take(Option::as_ref(&tokens.current()));
        Ok(Self { certificates, tokens, guard, settings, clock: config.tls.clock.clone() })
    }

    /// Goes by the tokens in use.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What encrypts connections by the certificate in use, if there is one.
    pub(super) fn encryption(
        &self,
        settings: &TlsSettings,
    ) -> Result<Option<(TlsAcceptor, TlsSettings)>, FileError> {
        let Some(certificates) = self.certificates.clone() else { return Ok(None) };
        Ok(Some((tls::acceptor(settings, certificates)?, settings.clone())))
    }

    /// Has them read again when they change, and at each of `orders`.
    pub(super) fn keep(&self, kept: &Tasks, config: &Config, orders: Orders) {
        // Until the year 285,616,414 a double still counts by one.
        #[allow(clippy::cast_precision_loss)]
        let shown = |expires: i64| metrics::gauge!(metric::TLS_CERTIFICATE_EXPIRES).set(expires as f64);
        if let Some(certificates) = self.certificates.clone() {
            shown(certificates.current().expires);
            let (interval, orders) = (config.tls.interval, orders.hangups.clone());
            kept.keep("certificate", move |stop| {
                let taken = move |certificate: Arc<tls::Certificate>| shown(certificate.expires);
                let watching = certificates.clone().keep_current(interval, orders.clone(), taken);
                async move {
                    stop.run_until_cancelled(watching).await;
                }
            });
        }
        let (interval, hangups) = (config.auth.interval, orders.hangups.clone());
        self.settings.keep(kept, orders);
        let (tokens, guard) = (self.tokens.clone(), self.guard.clone());
        kept.keep("tokens", move |stop| {
            let guard = guard.clone();
            let taken = move |tokens: Arc<Option<Tokens>>| guard.take(Option::as_ref(&tokens));
            let watching = tokens.clone().keep_current(interval, hangups.clone(), taken);
            async move {
                stop.run_until_cancelled(watching).await;
            }
        });
    }

    /// The certificate that clients are shown is not valid any more: none of them gets in.
    pub(super) fn is_expired(&self) -> bool {
        self.certificates.as_ref().is_some_and(|one| one.current().expires < self.clock.unix())
    }

    /// For `/readyz`, the certificate. A complaint is of the files as they are now: what was read before is in use.
    pub(super) fn tls(&self) -> Value {
        let told = self.certificates.as_ref().map(|certificates| {
            let left = certificates.current().expires.saturating_sub(self.clock.unix());
            json!({ "seconds_until_expiry": left, "complaint": certificates.complaint() })
        });
        told.into()
    }

    /// The settings, likewise, and what needs a restart.
    pub(super) fn settings(&self) -> Value {
        self.settings.state()
    }

    /// The tokens, likewise.
    pub(super) fn tokens(&self) -> Value {
        json!({ "required": self.guard.is_closed(), "complaint": self.tokens.complaint() })
    }
}
