//! Calls whose answers are pairs of texts, read and written again by our rules, without a tree of values: the list of
//! a common classifier has hundreds of thousands.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::client::ANSWER_LIMITS;
use super::{Upstream, UpstreamError};
use crate::metric;
use crate::xmlrpc::{Encoder, Value, decode_items, encode_call};

impl Upstream {
    /// Calls a method whose answer is an array of `[text, text]`, and gives the answer as a `methodResponse` of ours
    /// (docs/wire.md section 2). Nil is an empty text there. Rows of another shape are skipped, counted and logged; if
    /// there are rows but none that can be read, the whole is an error.
    pub async fn pairs(&self, method: &'static str, params: &[Value]) -> Result<Bytes, UpstreamError> {
        let call = encode_call(method, params)
            .map_err(|_| UpstreamError::Settings("a parameter that XML-RPC has no word for"))?;
        self.transport.check()?;
        self.transport.throttle.turn().await?;
        let read = move |answer: &[u8]| {
            let mut pairs = Pairs::new();
            let array = decode_items(answer, ANSWER_LIMITS, |row| pairs.row(&row))?;
            Ok(array.map(|array| pairs.finish(method, array)))
        };
        self.send_call(call, read).await?
    }

    /// Waits until upstream asks us to send no calls; not at all if it has.
    pub async fn silenced(&self) {
        self.transport.throttle.hushed().await;
    }

    /// The time that a call takes of what upstream may be asked.
    pub fn pace(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.transport.settings.calls_per_second)
    }

    /// Waits until upstream has asked us to send no calls up to `moment` at least, and tells for how long from now. Never ends
    /// if it does not.
    pub async fn silent_at(&self, moment: Instant) -> Duration {
        self.transport.throttle.silent_at(moment).await
    }

    /// For how long upstream has asked us to send no calls; zero if it has not.
    pub fn silence(&self) -> Duration {
        self.transport.throttle.silence()
    }
}

/// An answer while its rows come.
struct Pairs {
    encoder: Encoder,
    good: u64,
    odd: u64,
}

impl Pairs {
    fn new() -> Self {
        // Texts need no wide numbers.
        let mut encoder = Encoder::new(false);
        encoder.open_response();
        encoder.open_array();
        Self { encoder, good: 0, odd: 0 }
    }

    fn row(&mut self, row: &Value) {
        let text = |cell: &'_ Value| match cell {
            Value::String(text) => Some(text.clone()),
            Value::Nil => Some(String::new()),
            _ => None,
        };
        let pair = match row.as_array() {
            Some([first, second]) => text(first).zip(text(second)),
            Some(_) | None => None,
        };
        let Some((first, second)) = pair else {
            self.odd += 1;
            return;
        };
        self.good += 1;
        self.encoder.open_array();
        self.encoder.string(&first);
        self.encoder.string(&second);
        self.encoder.close_array();
    }

    /// `array`: the answer was one.
    fn finish(self, method: &'static str, array: bool) -> Result<Bytes, UpstreamError> {
        let Self { mut encoder, good, odd } = self;
        if !array {
            return Err(UpstreamError::Unexpected(format!("something other than an array to {method}")));
        }
        if odd > 0 {
            tracing::warn!(method, odd, "upstream's answer has rows that are no pairs of texts; skipped");
            metrics::counter!(metric::UPSTREAM_SKIPPED_ROWS_TOTAL, "reason" => "pair").increment(odd);
            if good == 0 {
                return Err(UpstreamError::Unexpected(format!("rows that cannot be read to {method}")));
            }
        }
        encoder.close_array();
        encoder.close_response();
        Ok(encoder.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmlrpc::decode_response;

    fn read(rows: &[Value], array: bool) -> Result<Value, UpstreamError> {
        let mut pairs = Pairs::new();
        for row in rows {
            pairs.row(row);
        }
        pairs.finish("browse", array).map(|bytes| decode_response(&bytes, ANSWER_LIMITS).unwrap().unwrap())
    }

    #[test]
    fn odd_rows_are_skipped_and_nil_is_an_empty_text() {
        let pair = |first: Value, second: Value| Value::Array(vec![first, second]);
        let rows = [
            pair("a".into(), Value::Nil),
            pair("b".into(), 5.into()),
            Value::from("x"),
            pair("c".into(), "1".into()),
        ];
        assert_eq!(
            read(&rows, true),
            Ok(Value::from_iter([Value::from_iter(["a", ""]), Value::from_iter(["c", "1"])]))
        );
        assert_eq!(read(&[], true), Ok(Value::Array(vec![])));
    }

    #[test]
    fn an_answer_of_which_nothing_can_be_read_is_no_empty_answer() {
        assert!(read(&[Value::Nil], true).is_err());
        assert!(read(&[], false).is_err());
    }
}
