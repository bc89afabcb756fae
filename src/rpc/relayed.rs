//! Answers that only upstream has: asked for once for all who wait, kept, and given out old while upstream is limited
//! or down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::answer::{Pieces, StreamError};
use super::arguments::Arguments;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc, RpcSettings};
use crate::journal::{AnswerKey, Journal, KeptAnswer, Packed};
use crate::metric;
use crate::revalidate::{
    Asked, Engine, Entry, Memory, Policy, Received, Source, Standing, Told, Unanswered, Wait,
};
use crate::upstream::{Upstream, UpstreamError};
use crate::xmlrpc::{Fault, Value};

/// The longest text that is asked upstream about. The longest classifier has 90 characters, the longest name of a user
/// 50; each question is remembered.
const LONGEST: usize = 256;
/// The most classifiers of one question. A release has some twenty.
const CLASSIFIERS: usize = 100;
/// What stands between texts in a key; no text that XML can carry has it.
const BETWEEN: char = '\0';
/// How long upstream is not asked the same again after it failed or was slow, unless it says so itself.
const PAUSE: Duration = Duration::from_secs(10);

/// Relayed answers by the rules that all kept things have.
pub(super) type Relayed = Engine<Calls>;

/// An answer, compressed.
#[derive(Debug, Clone)]
pub(super) struct Body {
    packed: Packed,
    /// Tells one answer from another, for what is rendered of it.
    stamp: u64,
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
    ) -> Result<Asked<Self>, UpstreamError> {
        let body = match self.upstream.pairs(key.method, &params(key)).await {
            Ok(body) => body,
            // A fault that refuses the question itself is upstream's answer to it; "removed" is none.
            Err(error) if matches!(error, UpstreamError::Fault(_)) && !error.no_calls() => return Err(error),
            Err(error) => {
                let pause = error.retry_after().unwrap_or(PAUSE);
                return Ok(Asked::Failed { error, pause });
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
        Ok(Asked::New(Received { entry: Entry::new(body, None, self.now()), stated: false, raw: () }))
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

/// The arguments of a question.
fn params(key: &AnswerKey) -> Vec<Value> {
    match key.method {
        "browse" => vec![key.argument.split(BETWEEN).collect()],
        _ => vec![Value::from(key.argument.as_str())],
    }
}

impl Rpc {
    pub(super) async fn user_packages(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let username = fits("username", arguments.text(0))?;
        let key = AnswerKey { method: "user_packages", argument: username.to_owned() };
        self.relayed(key, ask).await
    }

    pub(super) async fn browse(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let mut classifiers: Vec<&str> = arguments.list(0).iter().filter_map(Value::as_str).collect();
        // The same question in any order.
        classifiers.sort_unstable();
        classifiers.dedup();
        if classifiers.is_empty() {
            // Upstream's own answer (docs/wire.md section 8): no release has all of none.
            return Answer::value(&Value::Array(vec![]), ask.wide);
        }
        if classifiers.len() > CLASSIFIERS {
            let message = format!("at most {CLASSIFIERS} classifiers can be asked for at once");
            return Err(Fault::raised("ValueError", &message));
        }
        classifiers.iter().try_for_each(|classifier| fits("a classifier", classifier).map(|_| ()))?;
        let argument = classifiers.join(&BETWEEN.to_string());
        let key = AnswerKey { method: "browse", argument };
        self.relayed(key, ask).await
    }

    /// Upstream's answer to a question, as old as it may be.
    pub(super) async fn relayed(&self, key: AnswerKey, ask: Ask<'_>) -> Result<Answer, Fault> {
        let wait = Wait { slow_after: ask.deadline / 2, deadline: ask.deadline };
        let entry = self.0.relayed.current(&key, wait).await.map_err(|error| match error {
            Unanswered::Failed(error) if error.no_calls() && !matches!(error, UpstreamError::Fault(_)) => {
                let message = format!("the index upstream has no {}", key.method);
                Fault::raised("RuntimeError", &message)
            }
            Unanswered::Failed(error) => error.into(),
            Unanswered::Silent(silence) => Fault::unavailable(silence),
            Unanswered::Late => self.upstream_too_late(),
            Unanswered::Absent | Unanswered::BeforeRemoval(_) | Unanswered::Lost => Fault::internal(),
        })?;
        let subject = Subject::Relayed { key, stamp: entry.stamp };
        let body = entry.packed.clone();
        let key = Key { subject, head: None, wide: false };
        self.0.renderings.answer(key, ask.coder, move || unpacked(&body)).await
    }
}

/// A text that can be asked upstream about.
fn fits<'a>(name: &str, text: &'a str) -> Result<&'a str, Fault> {
    if text.chars().count() <= LONGEST {
        return Ok(text);
    }
    Err(Fault::raised("ValueError", &format!("{name} has more than {LONGEST} characters")))
}

fn unpacked(body: &Packed) -> Pieces {
    let pieces = body.pieces().map(|piece| {
        piece.map_err(|error| {
            // It was sound when it was packed or read.
            tracing::error!(%error, "a kept answer cannot be unpacked");
            StreamError::Lost
        })
    });
    stream::iter(pieces).boxed()
}
