//! Questions about the changelog, answered from the journal (WIRE.md section 6).

use super::answer::{Frame, Rows};
use super::arguments::Arguments;
use super::{Answer, Rpc};
use crate::journal::Since;
use crate::model::{Event, Serial};
use crate::xmlrpc::{Encoder, Fault, TooWide, Value};

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
        wide: bool,
    ) -> Result<Answer, Fault> {
        // Nothing precedes the first event, so a negative serial asks for all, as it does upstream.
        let since = Serial(arguments.int(0).unwrap_or(0).max(0));
        let limit = limit(arguments.int(1), self.0.settings.changelog_rows)?;
        loop {
            match self.0.journal.since_serial(since, limit).await? {
                Since::Events(chunks) => return Rows::new(chunks, wide, Frame::Array, event).answer().await,
                Since::NotCovered(wanted) => wanted.done().await?,
            }
        }
    }
}

/// Our own parameter: how many events at most.
fn limit(given: Option<i64>, most: usize) -> Result<usize, Fault> {
    let Some(given) = given else { return Ok(most) };
    let limit = usize::try_from(given).ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| Fault::raised("ValueError", &format!("limit must be from 1 to {most}")))
}

/// `[name, version or nil, timestamp, action, serial]`.
fn event(encoder: &mut Encoder, event: &Event) -> Result<(), TooWide> {
    encoder.open_array();
    encoder.string(&event.name);
    match &event.version {
        Some(version) => encoder.string(version),
        None => encoder.nil(),
    }
    encoder.int(event.time)?;
    encoder.string(&event.action);
    encoder.int(event.serial.0)?;
    encoder.close_array();
    Ok(())
}
