//! Answers that only upstream has: asked for once for all who wait, kept, and given out old while upstream is limited
//! or down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::answer::{Pieces, StreamError};
use super::arguments::Arguments;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc};
use crate::journal::{AnswerKey, KeptAnswer, Packed};
use crate::memo::{FillError, Memo};
use crate::metric;
use crate::model::{is_near, is_younger};
use crate::upstream::UpstreamError;
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

/// Ten years.
const FOR_EVER: Duration = Duration::from_hours(24 * 3652);

/// What is kept in memory of the journal's answers.
pub(super) type Relayed = Memo<AnswerKey, Arc<Held>, UpstreamError>;

/// An answer in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    answer: KeptAnswer,
    /// Tells one answer from another, for what is rendered of it.
    stamp: u64,
    /// Since when, in Unix seconds, and how long it is believed although it is old: upstream failed, or is slow.
    settled: Option<(i64, Duration)>,
}

impl Held {
    fn new(answer: KeptAnswer) -> Self {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        Self { answer, stamp: STAMPS.fetch_add(1, Ordering::Relaxed), settled: None }
    }

    /// The same, believed for a while from `now` on.
    fn settled(&self, now: i64, pause: Duration) -> Self {
        Self { settled: Some((now, pause)), ..self.clone() }
    }

    fn is_settled(&self, now: i64) -> bool {
        self.settled.is_some_and(|(since, pause)| is_younger(since, now, pause))
    }
}

/// The memory of answers; `bytes`: the most that they may weigh.
pub(super) fn memory(bytes: u64) -> Relayed {
    Memo::new(bytes, |key: &AnswerKey, held: &Arc<Held>| {
        let weight = key.argument.len() + held.answer.body.packed().len() + size_of::<Held>();
        u32::try_from(weight).unwrap_or(u32::MAX)
    })
}

impl Rpc {
    pub(super) async fn user_packages(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let username = fits("username", arguments.text(0))?;
        let key = AnswerKey { method: "user_packages", argument: username.to_owned() };
        self.relayed(key, vec![Value::from(username)], ask).await
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
        self.relayed(key, vec![classifiers.into_iter().collect()], ask).await
    }

    /// Upstream's answer to a question, as old as it may be.
    pub(super) async fn relayed(
        &self,
        key: AnswerKey,
        params: Vec<Value>,
        ask: Ask<'_>,
    ) -> Result<Answer, Fault> {
        let held = self.held(&key, params, ask.deadline).await?;
        let subject = Subject::Relayed { key, stamp: held.stamp };
        let body = held.answer.body.clone();
        let key = Key { subject, head: None, wide: false };
        self.0.renderings.answer(key, ask.coder, move || unpacked(&body)).await
    }

    /// An answer within `deadline`, or half of it if there is an old one that may go out instead.
    async fn held(
        &self,
        key: &AnswerKey,
        params: Vec<Value>,
        deadline: Duration,
    ) -> Result<Arc<Held>, Fault> {
        let kept = self.kept(key).await;
        if let Some(held) = kept.as_ref().filter(|held| self.is_current(held)) {
            return Ok(held.clone());
        }
        let old = kept.filter(|held| self.is_usable(held));
        let patience = if old.is_some() { deadline / 2 } else { deadline };
        let now = Instant::now();
        // No end is one that is too far away.
        let until = now.checked_add(patience).unwrap_or(now + FOR_EVER);
        let renewal = self.0.relayed.fill(key, self.clone().renew(key.clone(), params, old.clone()));
        let renewed = tokio::select! {
            biased;
            // What is known to fail is said at once, and not begun.
            silence = self.0.upstream.silent_at(until) => Err(silence),
            renewed = renewal => Ok(renewed),
            () = sleep_until(until), if old.is_some() => Err(Duration::ZERO),
        };
        let renewed = match (renewed, &old) {
            (Ok(renewed), _) => renewed,
            (Err(silence), Some(held)) => return Ok(self.settle(key, held, silence.max(PAUSE)).await),
            (Err(silence), None) => return Err(Fault::unavailable(silence)),
        };
        renewed.map_err(|error| match error {
            FillError::Failed(error) if error.no_calls() && !matches!(error, UpstreamError::Fault(_)) => {
                let message = format!("the index upstream has no {}", key.method);
                Fault::raised("RuntimeError", &message)
            }
            FillError::Failed(error) => error.into(),
            FillError::Lost => Fault::internal(),
        })
    }

    /// Believes an old answer for a while: upstream is limited, or its renewal is slow, goes on, and will replace it.
    async fn settle(&self, key: &AnswerKey, old: &Held, pause: Duration) -> Arc<Held> {
        // It may have ended this moment.
        if let Some(held) = self.0.relayed.get(key).await.filter(|held| self.is_current(held)) {
            return held;
        }
        let settled = Arc::new(old.settled(self.now(), pause));
        self.0.relayed.put(key, settled.clone()).await;
        settled
    }

    fn is_current(&self, held: &Held) -> bool {
        let now = self.now();
        is_younger(held.answer.checked, now, self.0.settings.relayed_max_age)
            || held.is_settled(now) && self.is_usable(held)
    }

    /// It may go out while upstream fails or is slow.
    fn is_usable(&self, held: &Held) -> bool {
        is_near(held.answer.checked, self.now(), self.0.settings.relayed_stale)
    }

    /// Unix seconds by the journal's clock.
    fn now(&self) -> i64 {
        self.0.journal.clock().unix()
    }

    /// What is kept, in memory or in the journal.
    async fn kept(&self, key: &AnswerKey) -> Option<Arc<Held>> {
        if let Some(held) = self.0.relayed.get(key).await {
            return Some(held);
        }
        // A store that cannot keep stops keeping, not serving.
        let kept = self.0.journal.answer(key).await.inspect_err(|error| {
            tracing::error!(method = key.method, %error, "a kept answer cannot be read");
        });
        let held = Arc::new(Held::new(kept.ok().flatten()?));
        self.0.relayed.put(key, held.clone()).await;
        Some(held)
    }

    /// Asks upstream. `old` goes out again if upstream cannot answer.
    async fn renew(
        self,
        key: AnswerKey,
        params: Vec<Value>,
        old: Option<Arc<Held>>,
    ) -> Result<Arc<Held>, UpstreamError> {
        // Who was slow to look found what another's renewal has replaced meanwhile.
        if let Some(held) = self.0.relayed.get(&key).await.filter(|held| self.is_current(held)) {
            return Ok(held);
        }
        let error = match self.0.upstream.pairs(key.method, &params).await {
            Ok(body) => return self.keep(&key, body, old).await,
            Err(error) => error,
        };
        // A fault that refuses the question itself is upstream's answer to it; "removed" is none.
        let refused = matches!(error, UpstreamError::Fault(_)) && !error.no_calls();
        let Some(held) = old.filter(|_| !refused) else { return Err(error) };
        tracing::warn!(method = key.method, %error, "upstream fails: a kept answer goes out");
        metrics::counter!(metric::RPC_STALE_TOTAL, "method" => key.method).increment(1);
        let pause = error.retry_after().map_or(PAUSE, |retry| retry.max(PAUSE));
        Ok(Arc::new(held.settled(self.now(), pause)))
    }

    async fn keep(
        &self,
        key: &AnswerKey,
        body: Bytes,
        old: Option<Arc<Held>>,
    ) -> Result<Arc<Held>, UpstreamError> {
        let lost = |_| UpstreamError::Unexpected("an answer that stopped its reader".to_owned());
        let packed = spawn_blocking(move || Packed::pack(&body)).await.map_err(lost)?;
        // Writing into memory does not fail.
        let body = packed.map_err(|error| UpstreamError::Unexpected(error.to_string()))?;
        let answer = KeptAnswer { body, checked: self.now() };
        if let Err(error) = self.0.journal.keep_answer(key, &answer).await {
            tracing::error!(method = key.method, %error, "an answer cannot be kept");
        }
        // The same as before is rendered already.
        Ok(Arc::new(match old.filter(|old| old.answer.body == answer.body) {
            Some(old) => Held { answer, stamp: old.stamp, settled: None },
            None => Held::new(answer),
        }))
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
