//! The methods that only upstream can answer.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::answer::{Pieces, StreamError};
use super::arguments::Arguments;
use super::relayed::BETWEEN;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc};
use crate::journal::{AnswerKey, Packed};
use crate::revalidate::{Unanswered, Wait};
use crate::upstream::UpstreamError;
use crate::xmlrpc::{Fault, Value};

/// The longest text that is asked upstream about. The longest classifier has 90 characters, the longest name of a user
/// 50; each question is remembered.
const LONGEST: usize = 256;
/// The most classifiers of one question. A release has some twenty.
const CLASSIFIERS: usize = 100;
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
