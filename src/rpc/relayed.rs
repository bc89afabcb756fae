//! Answers that only upstream has: asked for once for all who wait, kept, and given out old while upstream is limited
//! or down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::RpcSettings;
use crate::journal::{AnswerKey, Journal, KeptAnswer, Packed};
use crate::metric;
use crate::revalidate::{Engine, Entry, Memory, Policy, Received, Revalidation, Source, Standing, Told};
use crate::upstream::{Upstream, UpstreamError};
use crate::xmlrpc::Value;

/// The list of classifiers, which is no call: upstream has it at an address of its own.
pub(super) const CLASSIFIERS: &str = "list_classifiers";
/// What stands between texts in a key; no text that XML can carry has it.
pub(super) const BETWEEN: char = '\0';
/// How long upstream is not asked the same again after it failed or was slow, unless it says so itself.
const PAUSE: Duration = Duration::from_secs(10);

/// Relayed answers by the rules that all kept things have.
pub(super) type Relayed = Engine<Calls>;

/// An answer, compressed.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) packed: Packed,
    /// Tells one answer from another, for what is rendered of it.
    pub(super) stamp: u64,
}

impl Body {
    fn new(packed: Packed) -> Self {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        Self { packed, stamp: STAMPS.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Answers that the journal keeps and upstream has.
pub(super) struct Calls {
    upstream: Upstream,
    journal: Journal,
}

/// An engine for calls.
pub(super) fn engine(upstream: Upstream, journal: Journal, settings: &RpcSettings) -> Relayed {
    let policy = Policy {
        max_age: settings.relayed_max_age,
        stale_if_error: settings.relayed_stale,
        failure_pause: PAUSE,
        ..Policy::default()
    };
    let memory = Memory::<Calls>::new(settings.relayed_bytes, |key: &AnswerKey, entry| {
        let weight = key.argument.len() + entry.packed.packed().len() + size_of::<Entry<Body>>();
        u32::try_from(weight).unwrap_or(u32::MAX)
    });
    Engine::new(Calls { upstream, journal }, policy, memory)
}

impl Source for Calls {
    type Key = AnswerKey;
    type Value = Body;
    type Raw = ();
    type Error = UpstreamError;

    fn now(&self) -> i64 {
        self.journal.clock().unix()
    }

    async fn ask(
        &self,
        key: &AnswerKey,
        known: Option<&Entry<Body>>,
        _standing: Standing,
    ) -> Result<Revalidation<Self>, UpstreamError> {
        let answered = match key.method {
            CLASSIFIERS => self.classifiers().await,
            method => self.upstream.pairs(method, &params(key)).await,
        };
        let body = match answered {
            Ok(body) => body,
            // A fault that refuses the question itself is upstream's answer to it; "removed" is none.
            Err(error) if matches!(error, UpstreamError::Fault(_)) && !error.no_calls() => return Err(error),
            Err(error) => {
                let pause = error.retry_after().unwrap_or(PAUSE);
                return Ok(Revalidation::Failed { error, pause });
            }
        };
        let lost = |_| UpstreamError::Unexpected("an answer that stopped its reader".to_owned());
        let packed = spawn_blocking(move || Packed::pack(&body)).await.map_err(lost)?;
        // Writing into memory does not fail.
        let packed = packed.map_err(|error| UpstreamError::Unexpected(error.to_string()))?;
        // The same as before is rendered already.
        let body = match known {
            Some(known) if known.packed == packed => Body::clone(known),
            Some(_) | None => Body::new(packed),
        };
        Ok(Revalidation::New(Received { entry: Entry::new(body, None, self.now()), stated: false, raw: () }))
    }

    /// A store that cannot keep stops keeping, not serving.
    async fn load(&self, key: &AnswerKey) -> Result<Option<Entry<Body>>, UpstreamError> {
        let kept = self.journal.answer(key).await.unwrap_or_else(|error| {
            tracing::error!(method = key.method, %error, "a kept answer cannot be read");
            None
        });
        Ok(kept.map(|KeptAnswer { body, checked }| Entry::new(Body::new(body), None, checked)))
    }

    async fn keep(&self, key: &AnswerKey, entry: &Entry<Body>, (): &()) {
        let answer = KeptAnswer { body: entry.packed.clone(), checked: entry.checked };
        if let Err(error) = self.journal.keep_answer(key, &answer).await {
            tracing::error!(method = key.method, %error, "an answer cannot be kept");
        }
    }

    fn tell(&self, key: &AnswerKey, told: Told<'_, UpstreamError>) {
        match told {
            Told::Stale(error, age) => {
                tracing::warn!(method = key.method, %error, age, "upstream fails: a kept answer goes out");
                metrics::counter!(metric::RPC_STALE_TOTAL, "method" => key.method).increment(1);
            }
            Told::Hit | Told::Renewed | Told::Slow | Told::Late | Told::Behind(_) => {}
        }
    }

    async fn silent_at(&self, until: Instant) -> Duration {
        self.upstream.silent_at(until).await
    }
}

impl Calls {
    /// Upstream's list, or where it has none that of known documents.
    async fn classifiers(&self) -> Result<Bytes, UpstreamError> {
        match self.upstream.classifiers().await {
            Ok(list) => Ok(list.into()),
            Err(UpstreamError::Absent(_) | UpstreamError::Unexpected(_) | UpstreamError::Status(_)) => {
                let known = self.journal.classifiers().await;
                let known = known.map_err(|error| UpstreamError::Unexpected(error.to_string()))?;
                Ok(known.into_iter().fold(String::new(), |text, line| text + &line + "\n").into())
            }
            Err(error) => Err(error),
        }
    }
}

/// The arguments of a question.
fn params(key: &AnswerKey) -> Vec<Value> {
    match key.method {
        "browse" => vec![key.argument.split(BETWEEN).collect()],
        _ => vec![Value::from(key.argument.as_str())],
    }
}
