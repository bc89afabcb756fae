//! Rows of upstream's changelog → events. What cannot be read is left out, and the rest goes on (promise 5).

use tokio::task::spawn_blocking;

use super::{Upstream, UpstreamError};
use crate::model::{Event, Serial};
use crate::xmlrpc::Value;

const CHANGELOG: &str = "changelog_since_serial";
const LAST_SERIAL: &str = "changelog_last_serial";

/// One answer of upstream's to "what happened since".
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// What could be read, in upstream's order.
    pub events: Vec<Event>,
    /// The highest serial of any row, also of one without a name; `None` if there were no rows.
    pub last: Option<Serial>,
    /// How many rows upstream sent.
    pub rows: usize,
}

impl Upstream {
    /// The events after a serial, as many as upstream gives: at most 50,000 (WIRE.md section 6). Rows without a
    /// name and rows of another shape are skipped, counted and logged; if there are rows but not one has a
    /// serial, the whole is an error.
    pub async fn changelog_since(&self, since: Serial) -> Result<Slice, UpstreamError> {
        let answer = self.call(CHANGELOG, &[Value::Int(since.0)]).await?;
        // 50,000 rows take some 20 ms.
        spawn_blocking(move || Slice::read(answer))
            .await
            .unwrap_or_else(|_| Err(odd("rows that stopped their reader")))
    }

    /// The serial of upstream's newest event.
    pub async fn changelog_last_serial(&self) -> Result<Serial, UpstreamError> {
        let answer = self.call(LAST_SERIAL, &[]).await?;
        let wrong = || UpstreamError::Unexpected(format!("something other than an int to {LAST_SERIAL}"));
        answer.as_int().map(Serial).ok_or_else(wrong)
    }
}

fn odd(seen: &str) -> UpstreamError {
    UpstreamError::Unexpected(format!("{seen} to {CHANGELOG}"))
}

/// A row that is no event.
enum Odd {
    /// It has a serial, but its name is nil or empty.
    Nameless(Serial),
    /// Another shape.
    Shapeless,
}

impl Slice {
    /// Reads `[[name, version|nil, timestamp, action, serial] …]` (WIRE.md section 4).
    fn read(answer: Value) -> Result<Self, UpstreamError> {
        let Value::Array(rows) = answer else { return Err(odd("something other than an array")) };
        let mut slice = Self { rows: rows.len(), ..Self::default() };
        let (mut nameless, mut shapeless) = (0_u64, 0_u64);
        for row in rows {
            let serial = match event(row) {
                Ok(event) => {
                    let serial = event.serial;
                    slice.events.push(event);
                    serial
                }
                Err(Odd::Nameless(serial)) => {
                    nameless += 1;
                    serial
                }
                Err(Odd::Shapeless) => {
                    shapeless += 1;
                    continue;
                }
            };
            slice.last = slice.last.max(Some(serial));
        }
        if nameless + shapeless > 0 {
            tracing::warn!(nameless, shapeless, "upstream's changelog has rows that are no events; skipped");
            metrics::counter!("cheesewire_upstream_skipped_rows_total", "reason" => "nameless")
                .increment(nameless);
            metrics::counter!("cheesewire_upstream_skipped_rows_total", "reason" => "shape")
                .increment(shapeless);
        }
        if slice.rows > 0 && slice.last.is_none() {
            return Err(odd("rows that cannot be read"));
        }
        Ok(slice)
    }
}

fn event(row: Value) -> Result<Event, Odd> {
    let Value::Array(cells) = row else { return Err(Odd::Shapeless) };
    let Ok([name, version, time, action, serial]) = <[Value; 5]>::try_from(cells) else {
        return Err(Odd::Shapeless);
    };
    let (Some(time), Value::String(action), Some(serial)) = (time.as_int(), action, serial.as_int()) else {
        return Err(Odd::Shapeless);
    };
    let serial = Serial(serial);
    let version = match version {
        Value::Nil => None,
        Value::String(version) => Some(version),
        _ => return Err(Odd::Shapeless),
    };
    match name {
        Value::String(name) if !name.is_empty() => Ok(Event { serial, name, version, time, action }),
        Value::String(_) | Value::Nil => Err(Odd::Nameless(serial)),
        _ => Err(Odd::Shapeless),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: Value, version: Value, serial: i64) -> Value {
        Value::Array(vec![name, version, 7.into(), "create".into(), serial.into()])
    }

    #[test]
    fn odd_rows_are_skipped_and_the_cursor_moves_on() {
        let short = Value::Array(vec!["a".into(), Value::Nil]);
        let rows = vec![
            row("a".into(), Value::Nil, 3),
            short,
            Value::Nil,
            row("b".into(), 1.into(), 99),
            row(Value::Nil, Value::Nil, 5),
            row("".into(), Value::Nil, 4),
        ];
        let slice = Slice::read(Value::Array(rows)).unwrap();
        let event =
            Event { serial: Serial(3), name: "a".into(), version: None, time: 7, action: "create".into() };
        assert_eq!(slice, Slice { events: vec![event], last: Some(Serial(5)), rows: 6 });
    }

    #[test]
    fn a_page_of_which_nothing_can_be_read_is_no_empty_page() {
        assert!(Slice::read(Value::Array(vec![Value::Nil])).is_err());
        assert!(Slice::read(Value::Nil).is_err());
        assert_eq!(Slice::read(Value::Array(vec![])).unwrap(), Slice::default());
    }
}
