//! What `/readyz` tells: whether the relay should get requests, why not, and how following upstream goes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::tasks::Tasks;
use super::watching::Watching;
use crate::config::Config;
use crate::follow::FollowStatus;
use crate::http::Readiness;
use crate::journal::Journal;
use crate::push::Mirror;
use crate::stats::Stats;

/// The name of the task that follows upstream.
pub(super) const FOLLOWING: &str = "follow";

/// What is looked at.
#[derive(Clone)]
pub(super) struct State {
    pub(super) journal: Journal,
    pub(super) stats: Stats,
    pub(super) followed: watch::Receiver<FollowStatus>,
    pub(super) tasks: Tasks,
    /// Files that another relay is asked for.
    pub(super) mirror: Option<Mirror>,
    pub(super) watching: Watching,
    /// Whether upstream is polled at all.
    pub(super) polled: bool,
    /// Whether there is no upstream, and bundles are imported.
    pub(super) imported: bool,
    /// How long a journal may take no writes before the relay is not ready any more.
    pub(super) unwritten: Duration,
}

impl State {
    pub(super) fn new(
        journal: Journal,
        stats: Stats,
        followed: watch::Receiver<FollowStatus>,
        tasks: Tasks,
        mirror: Option<Mirror>,
        watching: Watching,
        config: &Config,
    ) -> Self {
        Self {
            journal,
            stats,
            followed,
            tasks,
            mirror,
            watching,
            polled: config.follow.enabled,
            imported: config.upstream.bundled,
            unwritten: config.follow.head_lifetime,
        }
    }

    /// An upstream that is down does not make the relay unready: what is kept is served.
    pub(super) async fn readiness(self) -> Readiness {
        let failed = self.tasks.failed();
        let ended = failed.get(FOLLOWING).is_some_and(|task| task.down);
        let mut unready = Vec::new();
        if ended {
            unready
                .push("following upstream has ended by a fault of the relay's; it is begun again".to_owned());
        }
        let readable = self.journal.check_read().await;
        if let Err(error) = &readable {
            unready.push(format!("the journal cannot be read: {}", error.reason()));
        }
        let health = self.journal.health();
        if health.damaged {
            unready.push("the journal is damaged; the log says what to do".to_owned());
        }
        let unwritten = health.unwritten.as_ref().map(|unwritten| unwritten.since.elapsed());
        if unwritten.is_some_and(|since| since >= self.unwritten) {
            unready.push("the journal cannot be written for longer than follow.head_lifetime".to_owned());
        }
        if self.watching.is_expired() {
            unready.push("the TLS certificate has expired; renew it".to_owned());
        }
        let tasks: serde_json::Map<String, Value> = failed
            .iter()
            .map(|(name, task)| ((*name).to_owned(), json!({"failures": task.times, "down": task.down})))
            .collect();
        if self.imported && self.journal.position().is_none() {
            unready.push(
                "nothing was imported yet (upstream.url = bundle): stop it, and run cheesewire bundle import"
                    .to_owned(),
            );
        }
        let following = match (ended, self.imported, self.polled) {
            (true, ..) => "ended",
            (false, true, _) => "bundle",
            (false, false, true) => "polling",
            (false, false, false) => "disabled",
        };
        let mut state = self.upstream();
        state["following"] = following.into();
        state["journal"] = json!({
            "readable": readable.is_ok(),
            "damaged": health.damaged,
            "writable": unwritten.is_none(),
            "seconds_unwritable": unwritten.map(|since| since.as_secs()),
            "last_write_error": health.unwritten.map(|unwritten| unwritten.reason),
        });
        if let Some((wanted, last_error)) = self.mirror.as_ref().map(Mirror::waiting) {
            state["push"] = json!({"wanted": wanted, "last_error": last_error});
        }
        state["tls"] = self.watching.tls();
        state["tokens"] = self.watching.tokens();
        state["settings"] = self.watching.settings();
        state["statistics"] = self.statistics();
        state["failed_tasks"] = tasks.into();
        Readiness { unready, state }
    }

    /// Counts that cannot be written make nothing unready: files are served, and the counts wait.
    fn statistics(&self) -> Value {
        let state = self.stats.state();
        json!({
            "enabled": self.stats.is_enabled(),
            "seconds_since_commit": state.last_commit.map(|at| at.elapsed().as_secs()),
            "uncommitted": state.uncommitted,
            "last_write_error": state.write_error,
            "oldest_unsealed_day": state.oldest_unsealed.map(|day| day.to_string()),
            "last_seal_error": state.seal_error,
        })
    }

    fn upstream(&self) -> Value {
        let status = self.followed.borrow();
        let as_of = self.journal.as_of();
        let age = |as_of: i64| u64::try_from(self.journal.clock().unix().saturating_sub(as_of)).unwrap_or(0);
        let since = if self.imported {
            // An import counts as hearing upstream, at the moment that the exporter did.
            as_of.map(age)
        } else {
            status.last_success.map(|at| at.elapsed().as_secs())
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "last_serial": self.journal.last_serial(),
            "upstream": {
                "last_serial": self.journal.upstream_serial(),
                "seconds_since_success": since,
                "as_of": as_of,
                "failures": status.failures,
                "last_error": status.last_error,
                "behind": status.upstream_behind,
                "unbelieved": status.unbelieved,
                "restored": status.restored.map(|restored| json!({
                    "to": restored.to,
                    "last_serial_then": restored.head,
                    "noticed": restored.at,
                })),
                "listings": status.listings,
                "untold": status.untold,
            },
            "history": {
                "missing_serials": status.history_missing,
                "last_error": status.history_error,
            },
        })
    }
}
