//! Settings that are read again while the relay runs: which of them are taken up, and which need a restart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::tasks::Tasks;
use crate::config::{Config, ConfigError, LogSettings, Values};
use crate::http::Limits;
use crate::relay::PrefetchSettings;

/// Settings that are taken up, by their keys or the beginnings of those.
const LIVE: [&str; 4] = ["clients.", "log.access", "log.filter", "prefetch."];
/// One of these: what is remembered of wrong tokens has that size too.
const NOT_LIVE: &str = "clients.remembered";

/// What orders a relay gets while it runs.
pub struct Orders {
    /// Changes at each order to read certificate, tokens and settings again.
    pub hangups: watch::Receiver<u64>,
    /// Where the settings come from; `None`: they stay.
    pub settings: Option<Settings>,
}

/// Reads all settings as they are now. Blocks.
pub type Reread = Arc<dyn Fn() -> Result<(Config, Values), ConfigError> + Send + Sync>;

/// Has the log go by other settings; the error says why it does not.
pub type SetLog = Box<dyn Fn(&LogSettings) -> Result<(), String> + Send + Sync>;

/// Where settings come from, and where those go that this module does not know.
pub struct Settings {
    /// The values that the relay was started with.
    pub values: Values,
    /// Reads them again.
    pub reread: Reread,
    /// For those of the log.
    pub set_log: SetLog,
}

impl Orders {
    /// Nobody gives orders.
    pub fn none() -> Self {
        Self { hangups: watch::channel(0).1, settings: None }
    }
}

/// What takes settings up. Clones are one.
#[derive(Clone)]
pub(super) struct Reloading(Arc<Inner>);

struct Inner {
    limits: Limits,
    prefetch: watch::Sender<PrefetchSettings>,
    told: Mutex<Told>,
}

/// What `/readyz` tells.
#[derive(Debug, Default)]
struct Told {
    /// Why the settings as they are now are not used.
    complaint: Option<String>,
    /// Those that have other values now than the relay goes by.
    need_restart: Vec<&'static str>,
}

impl Reloading {
    pub(super) fn new(limits: Limits, prefetch: watch::Sender<PrefetchSettings>) -> Self {
        Self(Arc::new(Inner { limits, prefetch, told: Mutex::default() }))
    }

    /// Reads settings again at each order.
    pub(super) fn keep(&self, kept: &Tasks, orders: Orders) {
        let Orders { hangups, settings } = orders;
        let Some(settings) = settings else { return };
        let (reloading, settings) = (self.clone(), Arc::new(settings));
        // The values that the relay goes by.
        let current = Arc::new(Mutex::new(settings.values.clone()));
        kept.keep("settings", move |stop| {
            let (reloading, settings, current) = (reloading.clone(), settings.clone(), current.clone());
            let mut hangups = hangups.clone();
            let reading = async move {
                // There are none any more once the process ends.
                while hangups.changed().await.is_ok() {
                    let reread = settings.reread.clone();
                    // It fails only while the runtime ends.
                    let Ok(read) = spawn_blocking(move || reread()).await else { break };
                    reloading.take(
                        read,
                        &settings,
                        &mut current.lock().unwrap_or_else(PoisonError::into_inner),
                    );
                }
                std::future::pending::<()>().await;
            };
            async move {
                stop.run_until_cancelled(reading).await;
            }
        });
    }

    /// For `/readyz`.
    pub(super) fn state(&self) -> Value {
        let told = self.told();
        json!({ "complaint": told.complaint, "need_restart": told.need_restart })
    }

    /// Takes up what was read, if it is right.
    fn take(&self, read: Result<(Config, Values), ConfigError>, settings: &Settings, current: &mut Values) {
        let (mut config, values) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(reason = %error, "the settings cannot be used: those of before stay");
                let complaint = "the settings as they are now cannot be used; the log says why";
                self.told().complaint = Some(complaint.to_owned());
                return;
            }
        };
        let changed = current.changed(&values);
        let (live, mut need_restart): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| is_live(key));
        let mut taken = Vec::new();
        let begins = |section: &str| live.iter().any(|key| key.starts_with(section));
        if begins("clients.") {
            // The one that is not taken up; it may be set to nothing meanwhile.
            config.http.clients.remembered = self.0.limits.remembered();
            self.0.limits.replace(&config.http.clients);
        }
        if begins("prefetch.") {
            self.0.prefetch.send_replace(config.prefetch);
        }
        let logged = if begins("log.") { (settings.set_log)(&config.log) } else { Ok(()) };
        for key in live {
            if key.starts_with("log.") && logged.is_err() {
                need_restart.push(key);
            } else {
                current.take(key, &values);
                taken.push(key);
            }
        }
        if let Err(reason) = logged {
            tracing::warn!(reason, "the log goes on by the settings of before");
        }
        tracing::info!(
            taken = taken.join(", "),
            need_restart = need_restart.join(", "),
            "the settings were read again"
        );
        *self.told() = Told { complaint: None, need_restart };
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Whole values only.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_live(key: &str) -> bool {
    key != NOT_LIVE && LIVE.iter().any(|live| key.starts_with(live))
}
