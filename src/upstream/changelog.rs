//! Rows of upstream's changelog → events. What cannot be read is left out, and the rest goes on (promise 5).

use bytes::Bytes;

use super::client::ANSWER_LIMITS;
use super::{Skipped, Upstream, UpstreamError};
use crate::metric;
use crate::model::{Event, Serial, Stamp};
use crate::xmlrpc::{Value, decode_items, encode_call};

const CHANGELOG: &str = "changelog_since_serial";
const LAST_SERIAL: &str = "changelog_last_serial";

/// One answer of upstream's to "what happened since".
///
/// A row's serial says where the next question starts, so one that is wrong would hide all that comes below it:
/// [`ChangelogPart::cut`] leaves out what cannot be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChangelogPart {
    /// What could be read, in upstream's order.
    pub events: Vec<Event>,
    /// The highest serial of any row, also of one that was skipped; `None` if no row had one.
    pub last: Option<Serial>,
    /// The serials of rows that were skipped.
    pub skipped: Vec<Serial>,
    /// How many rows upstream sent.
    pub rows: usize,
}

impl ChangelogPart {
    /// Takes the rows up to `upto` out of the others, and tells which could be read.
    pub fn take_upto(&mut self, upto: Serial) -> Vec<Event> {
        let (taken, left) = std::mem::take(&mut self.events).into_iter().partition(|row| row.serial <= upto);
        self.events = left;
        self.skipped.retain(|&serial| serial > upto);
        self.last = self.last.filter(|&last| last > upto);
        taken
    }

    /// Leaves out the rows beyond `last`, the last serial that upstream can have given. Tells how many.
    pub fn cut(&mut self, last: Serial) -> usize {
        let before = self.events.len() + self.skipped.len();
        self.events.retain(|event| event.serial <= last);
        self.skipped.retain(|&serial| serial <= last);
        let left = self.events.iter().map(|event| event.serial).chain(self.skipped.iter().copied());
        self.last = left.max();
        before - self.events.len() - self.skipped.len()
    }
}

impl Upstream {
    /// The events after a serial, as many as upstream gives: at most 50,000 (docs/wire.md section 6). Rows without a
    /// name and rows of another shape are skipped, counted and logged; if there are rows but not one has a
    /// serial, the whole is an error.
    pub async fn changelog_since(&self, since: Serial) -> Result<ChangelogPart, UpstreamError> {
        let call = question(since)?;
        self.transport.check()?;
        self.transport.throttle.turn().await?;
        self.slice(call).await
    }

    /// The same when nobody else has anything to ask: for history that nobody waits for.
    pub async fn changelog_when_idle(&self, since: Serial) -> Result<ChangelogPart, UpstreamError> {
        let call = question(since)?;
        self.transport.throttle.idle_turn().await;
        self.slice(call).await
    }

    async fn slice(&self, call: Bytes) -> Result<ChangelogPart, UpstreamError> {
        let read = |answer: &[u8]| {
            let mut slice = Reading::default();
            let rows = decode_items(answer, ANSWER_LIMITS, |row| slice.row(row))?;
            Ok(rows.map(|rows| slice.finish(rows)))
        };
        self.send_call(call, read).await?
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
    /// Another shape, or a number that no client of XML-RPC could be told; with its name and serial as far as they could be
    /// read.
    Shapeless(Option<String>, Option<Serial>),
}

fn question(since: Serial) -> Result<Bytes, UpstreamError> {
    encode_call(CHANGELOG, &[Value::Int(since.0)])
        .map_err(|_| UpstreamError::Settings("a serial that XML-RPC has no word for"))
}

/// A slice while its rows come.
#[derive(Default)]
struct Reading {
    slice: ChangelogPart,
    nameless: u64,
    shapeless: u64,
    /// The first of them.
    named: Skipped,
}

impl Reading {
    /// Takes `[name, version|nil, timestamp, action, serial]` (docs/wire.md section 4), and whatever comes after it.
    fn row(&mut self, row: Value) {
        self.slice.rows += 1;
        let serial = match event(row) {
            Ok(event) => {
                let serial = event.serial;
                self.slice.events.push(event);
                serial
            }
            Err(Odd::Nameless(serial)) => {
                self.nameless += 1;
                self.slice.skipped.push(serial);
                self.named.entry("", &format!("serial {serial}"));
                serial
            }
            Err(Odd::Shapeless(name, serial)) => {
                self.shapeless += 1;
                let at = serial.map_or_else(|| "no serial".to_owned(), |serial| format!("serial {serial}"));
                self.named.entry(name.as_deref().unwrap_or(""), &at);
                let Some(serial) = serial else { return };
                self.slice.skipped.push(serial);
                serial
            }
        };
        self.slice.last = self.slice.last.max(Some(serial));
    }

    /// `array`: the answer was one.
    fn finish(self, array: bool) -> Result<ChangelogPart, UpstreamError> {
        let Self { slice, nameless, shapeless, named: Skipped { named, .. } } = self;
        if !array {
            return Err(odd("something other than an array"));
        }
        if nameless + shapeless > 0 {
            tracing::warn!(
                nameless,
                shapeless,
                ?named,
                "upstream's changelog has rows that are no events; skipped"
            );
            metrics::counter!(metric::UPSTREAM_SKIPPED_ROWS_TOTAL, "reason" => "nameless")
                .increment(nameless);
            metrics::counter!(metric::UPSTREAM_SKIPPED_ROWS_TOTAL, "reason" => "shape").increment(shapeless);
        }
        if slice.rows > 0 && slice.last.is_none() {
            return Err(odd("rows that cannot be read"));
        }
        Ok(slice)
    }
}

fn event(row: Value) -> Result<Event, Odd> {
    let Value::Array(mut cells) = row else { return Err(Odd::Shapeless(None, None)) };
    // There may be more one day.
    cells.truncate(5);
    let [name, version, time, action, serial] = match <[Value; 5]>::try_from(cells) {
        Ok(cells) => cells,
        Err(cells) => return Err(Odd::Shapeless(cells.into_iter().next().and_then(text), None)),
    };
    let nameless = matches!(name, Value::Nil);
    let name = text(name);
    let Some(serial) = int(&serial).map(Serial) else { return Err(Odd::Shapeless(name, None)) };
    let version = match version {
        Value::Nil => Some(None),
        version => text(version).map(|version| Some(version).filter(|version| !version.is_empty())),
    };
    let (Some(version), Some(time), Value::String(action)) = (version, moment(&time), action) else {
        return Err(Odd::Shapeless(name, Some(serial)));
    };
    match name {
        Some(name) if !name.is_empty() => Ok(Event { serial, name, version, time, action }),
        None if !nameless => Err(Odd::Shapeless(None, Some(serial))),
        Some(_) | None => Err(Odd::Nameless(serial)),
    }
}

/// A text, also of a name or version that looks like a number and came as one.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        // `1.0`, not `1`.
        Value::Double(number) => Some(format!("{number:?}")),
        _ => None,
    }
}

/// A serial or a time: not negative, and an `<int>`, whatever type it came as. One beyond that, among rows for a client
/// that reads no `<i8>`, would be a fault in the place of all of them.
fn int(value: &Value) -> Option<i64> {
    let digits = || value.as_str()?.trim().parse().ok();
    value.as_int().or_else(digits).filter(|int| (0..=i64::from(i32::MAX)).contains(int))
}

/// Unix seconds, or a date.
fn moment(value: &Value) -> Option<i64> {
    let date = match value {
        Value::DateTime(text) => Stamp::parse(text),
        Value::String(text) if int(value).is_none() => Stamp::parse(text),
        _ => None,
    };
    let seconds = date.map(Stamp::unix).filter(|seconds| (0..=i64::from(i32::MAX)).contains(seconds));
    seconds.or_else(|| int(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: Vec<Value>) -> Result<ChangelogPart, UpstreamError> {
        let mut reading = Reading::default();
        for row in rows {
            reading.row(row);
        }
        reading.finish(true)
    }

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
            row("b".into(), Value::Array(vec![]), 99),
            row(Value::Nil, Value::Nil, 5),
            row("".into(), Value::Nil, 4),
            row("c".into(), Value::Nil, 1 << 33),
            row("c".into(), Value::Nil, -7),
        ];
        let slice = read(rows).unwrap();
        let event =
            Event { serial: Serial(3), name: "a".into(), version: None, time: 7, action: "create".into() };
        let skipped = vec![Serial(99), Serial(5), Serial(4)];
        assert_eq!(slice, ChangelogPart { events: vec![event], last: Some(Serial(99)), skipped, rows: 8 });
    }

    #[test]
    fn rows_beyond_the_last_serial_that_can_be_are_left_out() {
        let rows = [3, 2_000_000_000, 5, 7]
            .map(|serial| row("a".into(), Value::Nil, serial))
            .into_iter()
            .chain([row(Value::Nil, Value::Nil, 6), row(Value::Nil, Value::Nil, 1_000_000_000)]);
        let mut slice = read(rows.collect()).unwrap();
        assert_eq!(slice.cut(Serial(6)), 3);
        let left: Vec<_> = slice.events.iter().map(|event| event.serial.0).collect();
        assert_eq!((left, slice.last), (vec![3, 5], Some(Serial(6))));
        assert_eq!((slice.cut(Serial(2)), slice.last), (3, None));
    }

    #[test]
    fn rows_with_more_members_and_with_other_types_are_events() {
        let cells = |cells: &[Value]| Value::Array(cells.to_vec());
        let (name, action) = (Value::from("a"), Value::from("create"));
        let rows = vec![
            cells(&[
                name.clone(),
                "1.0".into(),
                7.into(),
                action.clone(),
                1.into(),
                "more".into(),
                Value::Nil,
            ]),
            cells(&[name.clone(), "".into(), Value::Double(7.0), action.clone(), Value::Double(2.0)]),
            cells(&[2048.into(), Value::Double(1.0), "7".into(), action.clone(), "3".into()]),
            cells(&[
                name.clone(),
                1.into(),
                Value::DateTime("19700101T00:00:07".into()),
                action.clone(),
                4.into(),
            ]),
            cells(&[name.clone(), Value::Nil, "1970-01-01T00:00:07Z".into(), action.clone(), 5.into()]),
            cells(&[name, Value::Nil, Value::Double(7.5), action, 6.into()]),
        ];
        let slice = read(rows).unwrap();
        let told: Vec<_> = slice
            .events
            .iter()
            .map(|event| (event.serial.0, event.name.as_str(), event.version.as_deref(), event.time))
            .collect();
        let expected = [
            (1, "a", Some("1.0"), 7),
            (2, "a", None, 7),
            (3, "2048", Some("1.0"), 7),
            (4, "a", Some("1"), 7),
            (5, "a", None, 7),
        ];
        assert_eq!((told.as_slice(), slice.last), (&expected[..], Some(Serial(6))));
    }

    #[test]
    fn a_page_of_which_nothing_can_be_read_is_no_empty_page() {
        assert!(read(vec![Value::Nil]).is_err());
        assert!(Reading::default().finish(false).is_err());
        assert_eq!(read(vec![]).unwrap(), ChangelogPart::default());
    }
}
