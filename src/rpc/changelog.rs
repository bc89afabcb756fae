//! Questions about the changelog, answered from the journal (WIRE.md section 6).

use futures_util::StreamExt as _;

use super::answer::{self, Pieces, StreamError, written};
use super::arguments::Arguments;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc, rows};
use crate::journal::{Changed, Found, SinceTime, Slice, Unsure, Want};
use crate::model::Serial;
use crate::xmlrpc::{Fault, Value};

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
        let limit = self.limit(arguments.int(2))?;
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
            Slice::Times { .. } => journal.last_serial(),
        };
        let key = Key { subject: Subject::Slice { slice, serials }, head, wide };
        let make = move || rows::events(&journal, slice, serials, wide);
        self.0.renderings.answer(key, ask.coder, make).await
    }

    pub(super) async fn changed_packages(&self, arguments: &Arguments) -> Result<Answer, Fault> {
        self.changed(arguments, false).await
    }

    pub(super) async fn updated_releases(&self, arguments: &Arguments) -> Result<Answer, Fault> {
        self.changed(arguments, true).await
    }

    async fn changed(&self, arguments: &Arguments, releases: bool) -> Result<Answer, Fault> {
        let since = arguments.int(0).unwrap_or(0);
        let (most, times) = (self.0.settings.changed_rows, self.0.settings.times);
        loop {
            match self.0.journal.changed_since(since, releases, most, times).await? {
                Changed::Rows(chunks) => return Answer::streamed(changes(chunks, releases)).await,
                Changed::TooMany => {
                    let message = format!(
                        "more than {most} events happened since; ask for less, or use changelog_page"
                    );
                    return Err(Fault::raised("ValueError", &message));
                }
                Changed::NotCovered(wanted) => wanted.done().await?,
            }
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
