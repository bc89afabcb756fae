//! Odd rows of a changelog.

use bytes::Bytes;
use serde_json::Value as Json;

use crate::xmlrpc::{Limits, Value, decode_response, encode_response};

use super::odd::Odd;

/// The answer with that done to its rows; `None` for what has none.
pub(super) fn edit(what: &Odd, only: Option<&str>, body: &[u8]) -> Option<Bytes> {
    let Ok(Ok(Value::Array(mut rows))) = decode_response(body, Limits { depth: 64 }) else { return None };
    for row in &mut rows {
        let Value::Array(columns) = row else { return None };
        let has =
            |only: &str| columns.iter().any(|column| column.as_str().is_some_and(|text| text.contains(only)));
        if !only.is_none_or(has) {
            continue;
        }
        match what {
            Odd::Row { column, value } if *column < columns.len() => columns[*column] = from_json(value),
            Odd::Row { value, .. } => columns.push(from_json(value)),
            Odd::ShortRow { columns: left } => columns.truncate(*left),
            Odd::Member { .. }
            | Odd::Missing { .. }
            | Odd::Repeated { .. }
            | Odd::Text { .. }
            | Odd::Bom
            | Odd::ContentType(_)
            | Odd::NoValidator => {}
        }
    }
    encode_response(&Value::Array(rows), true).ok()
}

fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().map_or(Value::Nil, Value::Double), Value::Int)
        }
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(members) => {
            Value::Struct(members.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
        }
    }
}
