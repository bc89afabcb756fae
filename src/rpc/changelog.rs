//! Questions about the changelog, answered from the journal (docs/wire.md section 6).
//!
//! `changelog` with a limit is for those who loop on the last time: the comparison is strict, and an answer is cut where
//! the time changes. Without one it is for those who ask once a run, with the moment of their last question, as are
//! `changed_packages` and `updated_releases`: they get everything since, in one piece.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::answer::{self, Pieces, StreamError, written};
use super::arguments::Arguments;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc, rows};
use crate::journal::{Bounds, Found, SinceTime, Slice, Uncut, Unsure, Want};
use crate::model::Serial;
use crate::xmlrpc::{Fault, Value};

/// What a question by time leaves of its deadline for the answer when it waits for upstream.
const TO_ANSWER: Duration = Duration::from_secs(1);

impl Rpc {
    pub(super) async fn changelog_last_serial(&self) -> Result<Value, Fault> {
        loop {
            match self.0.journal.current_last_serial() {
                Ok(serial) => return Ok(Value::Int(serial.0)),
                Err(wanted) => wanted.done().await?,
            }
        }
    }

    pub(super) async fn changelog_since_serial(
        &self,
        arguments: &Arguments,
        ask: Ask<'_>,
    ) -> Result<Answer, Fault> {
        // Nothing precedes the first event, so a negative serial asks for all, as it does upstream.
        let since = Serial(arguments.int(0).unwrap_or(0).max(0));
        let limit = self.limit(arguments.int(1))?;
        loop {
            match self.0.journal.slice_after(since, limit).await? {
                Found::Slice(slice) => return self.slice(slice, true, ask).await,
                Found::Nothing => return Answer::value(&Value::Array(vec![]), ask.wide),
                Found::NotCovered(wanted) => wanted.done().await?,
            }
        }
    }

    pub(super) async fn changelog(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let since = arguments.int(0).unwrap_or(0);
        let serials = arguments.flag(1);
        let Some(limit) = arguments.int(2) else {
            let slice = self.uncut(since, ("rpc.uncut_rows", self.0.settings.uncut_rows), ask).await?;
            let Some(slice) = slice else { return Answer::value(&Value::Array(vec![]), ask.wide) };
            // Not kept: hardly two clients ask with the same second, and it may have 270 MB.
            return Answer::streamed(rows::events(&self.0.journal, Slice::Uncut(slice), serials, ask.wide))
                .await;
        };
        let limit = self.limit(Some(limit))?;
        loop {
            match self.0.journal.slice_since(since, limit, self.0.settings.times).await? {
                SinceTime::Slice(slice) => return self.slice(slice, serials, ask).await,
                SinceTime::Nothing => return Answer::value(&Value::Array(vec![]), ask.wide),
                SinceTime::TooFull => {
                    let most = self.0.settings.times.second_rows;
                    let message = format!(
                        "more than {most} events have the same timestamp, which cannot be cut; use changelog_page"
                    );
                    return Err(Fault::raised("ValueError", &message));
                }
                SinceTime::Unsure(unsure) => self.sure(unsure).await?,
            }
        }
    }

    /// Waits until a question by time is worth asking again.
    async fn sure(&self, unsure: Unsure) -> Result<(), Fault> {
        match unsure {
            Unsure::NotCovered(wanted) => wanted.done().await?,
            Unsure::Settling { wait, head } => {
                tokio::time::sleep(wait).await;
                self.0.journal.want(Want::Since(head)).done().await?;
            }
        }
        Ok(())
    }

    async fn slice(&self, slice: Slice, serials: bool, ask: Ask<'_>) -> Result<Answer, Fault> {
        let (journal, wide) = (self.0.journal.clone(), ask.wide);
        // By serial a slice is the same for ever; by time an event that upstream adds late may join it.
        let head = match slice {
            Slice::Serials { .. } => None,
            Slice::Times { .. } | Slice::Uncut(_) => journal.last_serial(),
        };
        let key = Key { subject: Subject::Slice { slice, serials }, head, wide };
        let make = move || rows::events(&journal, slice, serials, wide);
        self.0.renderings.answer(key, ask.coder, make).await
    }

    pub(super) async fn changed_packages(
        &self,
        arguments: &Arguments,
        ask: Ask<'_>,
    ) -> Result<Answer, Fault> {
        self.changed(arguments, false, ask).await
    }

    pub(super) async fn updated_releases(
        &self,
        arguments: &Arguments,
        ask: Ask<'_>,
    ) -> Result<Answer, Fault> {
        self.changed(arguments, true, ask).await
    }

    async fn changed(&self, arguments: &Arguments, releases: bool, ask: Ask<'_>) -> Result<Answer, Fault> {
        let since = arguments.int(0).unwrap_or(0);
        let most = ("rpc.changed_rows", self.0.settings.changed_rows);
        let slice = self.uncut(since, most, ask).await?;
        let Some(slice) = slice else { return Answer::value(&Value::Array(vec![]), ask.wide) };
        Answer::streamed(changes(self.0.journal.changed(slice, releases), releases)).await
    }

    /// All events of a question by time without a limit, at most as many as a setting says; `None` if nothing happened.
    async fn uncut(
        &self,
        since: i64,
        (setting, most): (&str, usize),
        ask: Ask<'_>,
    ) -> Result<Option<Bounds>, Fault> {
        self.have_polled(ask).await;
        loop {
            match self.0.journal.uncut(since, most, self.0.settings.times).await? {
                Uncut::Events(events) => return Ok(Some(events)),
                Uncut::Nothing => return Ok(None),
                Uncut::TooMany => {
                    let message = format!(
                        "more than {most} events happened since, which {setting} allows; ask for a later time, or use \
                         changelog_page"
                    );
                    return Err(Fault::raised("ValueError", &message));
                }
                Uncut::NotHeard(retry) => {
                    let retry = retry.unwrap_or(self.0.settings.deadline).max(self.0.upstream.silence());
                    return Err(Fault::unavailable(retry));
                }
                Uncut::NotCovered(wanted) => wanted.done().await?,
            }
        }
    }

    /// Waits until upstream was polled just now, or until there is only so much time left as an answer takes; not at all
    /// while upstream wants silence.
    async fn have_polled(&self, ask: Ask<'_>) {
        let Rpc(inner) = self;
        let polled = inner.journal.polls().recent(inner.settings.poll_age);
        let polled = tokio::time::timeout(ask.deadline.saturating_sub(TO_ANSWER), polled);
        tokio::select! {
            biased;
            () = inner.upstream.silenced() => {}
            _ = polled => {}
        }
    }

    /// Our own parameter: how many rows at most.
    pub(super) fn limit(&self, given: Option<i64>) -> Result<usize, Fault> {
        let most = self.0.settings.changelog_rows;
        let Some(given) = given else { return Ok(most) };
        let limit = usize::try_from(given).ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Fault::raised("ValueError", &format!("limit must be from 1 to {most}")))
    }
}

/// An array of names, or of `[name, version]`.
fn changes(chunks: crate::journal::Chunks<(String, Option<String>)>, releases: bool) -> Pieces {
    let mut encoder = answer::encoder(false);
    encoder.open_response();
    encoder.open_array();
    written(encoder, chunks, move |mut chunks, mut encoder| async move {
        let Some(chunk) = chunks.next().await.transpose().map_err(StreamError::from)? else {
            encoder.close_array();
            encoder.close_response();
            return Ok((encoder, None));
        };
        for (name, version) in &chunk {
            if releases {
                encoder.open_array();
                encoder.string(name);
                encoder.string(version.as_deref().unwrap_or(""));
                encoder.close_array();
            } else {
                encoder.string(name);
            }
        }
        Ok((encoder, Some(chunks)))
    })
}
