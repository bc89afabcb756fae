//! Faults on demand: what goes wrong, where, and how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Odd, Route, Serials};

/// As many faults at once; a script that adds them in a loop would slow every request.
const ARMED: usize = 1_000;

/// A fault. Requests that match are let through `skip` times, then hit `times` times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only this kind of request.
    #[serde(default)]
    pub route: Option<Route>,
    /// Only paths that contain this; a call's path is `/pypi METHOD`.
    #[serde(default)]
    pub path: Option<String>,
    /// As many matching requests are let through first.
    #[serde(default)]
    pub skip: u64,
    /// As many are hit then; for ever if not stated.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens to them.
    pub effect: Effect,
}

/// What goes wrong. Several faults may hit one request; the first that answers decides the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The answer waits, or until all faults are cleared.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// Another answer with a short text: 500, 503, 404, 410 …
    Status {
        /// The status.
        code: u16,
    },
    /// Another answer: HTML where JSON belongs, a redirect, an XML-RPC fault.
    Answer {
        /// The status.
        status: u16,
        /// Header fields.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The connection closes after this many bytes of the body, exactly.
    Cut {
        /// Bytes that still arrive.
        at: u64,
    },
    /// The bit-wise opposite of the body's byte at this offset, counted in what is sent.
    WrongByte {
        /// The offset.
        at: u64,
    },
    /// The body comes in pieces.
    Drip {
        /// Bytes of a piece.
        bytes: usize,
        /// Milliseconds before each.
        every_millis: u64,
    },
    /// Pages, documents and the listing are as old as the journal was this many serials ago, and so
    /// says their serial header.
    Stale {
        /// Serials.
        behind: i64,
    },
    /// Other serials than the true ones.
    Serials {
        /// Which.
        state: Serials,
    },
    /// An odd answer.
    Odd {
        /// What is odd about it.
        what: Odd,
        /// Only in those files, projects or rows that contain this text.
        #[serde(default)]
        only: Option<String>,
    },
    /// The connection closes before any answer.
    Reset,
    /// The body, and the length in its header, are longer by so many zero bytes than the index says.
    Longer {
        /// Bytes.
        by: u64,
    },
    /// The body, and the length in its header, are shorter than the index says.
    Shorter {
        /// Bytes.
        by: u64,
    },
}

impl Fault {
    /// A fault on a kind of request, for ever.
    pub fn on(route: Route, effect: Effect) -> Self {
        Self { route: Some(route), path: None, skip: 0, times: None, effect }
    }

    /// Only paths that contain `text`.
    #[must_use]
    pub fn path(mut self, text: impl Into<String>) -> Self {
        self.path = Some(text.into());
        self
    }

    /// After `skip` matching requests.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Whether it hits this request; counts it.
    fn hits(&mut self, route: Route, path: &str) -> bool {
        let matches = self.route.is_none_or(|wanted| wanted == route)
            && self.path.as_deref().is_none_or(|text| path.contains(text));
        if !matches || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }
}

/// The faults that are armed.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Mutex<Vec<Fault>>,
    /// How often all were cleared.
    cleared: watch::Sender<u64>,
}

/// There are as many faults as allowed.
#[derive(Debug, thiserror::Error)]
#[error("{ARMED} faults are armed; clear them first")]
pub struct TooManyFaults;

impl Faults {
    /// Arms a fault.
    pub fn add(&self, fault: Fault) -> Result<(), TooManyFaults> {
        let mut armed = self.armed();
        if armed.len() >= ARMED {
            return Err(TooManyFaults);
        }
        armed.push(fault);
        Ok(())
    }

    /// The faults that can still hit, with what is left of their counts.
    pub fn list(&self) -> Vec<Fault> {
        self.armed().clone()
    }

    /// Disarms all. Answers that wait because of one go out now.
    pub fn clear(&self) {
        self.armed().clear();
        self.cleared.send_modify(|times| *times += 1);
    }

    /// Waits for so long, or until the faults are cleared.
    pub(super) async fn delay(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let mut cleared = self.cleared.subscribe();
        // The sender is ours: it does not go while we wait.
        let _ = tokio::time::timeout(time, cleared.changed()).await;
    }

    /// What hits a request.
    pub(super) fn take(&self, route: Route, path: &str) -> Vec<Effect> {
        let mut armed = self.armed();
        let hit = armed.iter_mut().filter_map(|fault| fault.hits(route, path).then(|| fault.effect.clone()));
        let hit = hit.collect();
        armed.retain(|fault| fault.times != Some(0));
        hit
    }

    fn armed(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_delay_ends_when_the_faults_are_cleared() {
        let faults = Faults::default();
        let begun = tokio::time::Instant::now();
        faults.delay(Duration::from_secs(7)).await;
        assert_eq!(begun.elapsed().as_secs(), 7);
        let mut waiting = std::pin::pin!(faults.delay(Duration::from_hours(1)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        faults.clear();
        waiting.await;
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[test]
    fn a_counted_fault_skips_hits_and_is_gone() {
        let faults = Faults::default();
        faults.add(Fault::on(Route::File, Effect::Reset).path("x").after(1).times(2)).unwrap();
        let hit = |path| !faults.take(Route::File, path).is_empty();
        assert!(!hit("/packages/y"));
        assert_eq!([hit("/x"), hit("/x"), hit("/x"), hit("/x")], [false, true, true, false]);
        assert_eq!(faults.list(), []);
    }
}
