//! A JSON document as a tree of values, of which a part that cannot be read costs only itself.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::page::Skipped;
use super::repaired;

/// How deep a part is looked for that cannot be read: a document's files are objects in a list in an object in it.
const DEPTH: usize = 5;

/// Reads a document. A member that breaks a limit of the reader (nesting, a number that no float holds) becomes null; what
/// is no JSON at all is an error that says where, never what.
pub fn lenient_json(body: &[u8], skipped: &mut Skipped) -> serde_json::Result<Value> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let repaired = repaired(body);
    let body = repaired.as_deref().unwrap_or(body);
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    // Its syntax is right if this is.
    let raw = serde_json::from_slice::<&RawValue>(body).map_err(|_| error)?;
    Ok(piecewise("", raw.get(), DEPTH, skipped))
}

fn piecewise(name: &str, text: &str, depth: usize, skipped: &mut Skipped) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if depth > 0 {
        if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            let values = members.into_iter().map(|(key, raw)| {
                let value = piecewise(&key, raw.get(), depth - 1, skipped);
                (key, value)
            });
            return Value::Object(values.collect::<Map<_, _>>());
        }
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
            return items.into_iter().map(|raw| piecewise(name, raw.get(), depth - 1, skipped)).collect();
        }
    }
    skipped.member("", name);
    Value::Null
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Option<Value>, Skipped) {
        let mut skipped = Skipped::default();
        (lenient_json(text.as_bytes(), &mut skipped).ok(), skipped)
    }

    #[test]
    fn a_member_that_cannot_be_read_costs_itself() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let text = format!(
            r#"{{"info":{{"name":"a","x":{deep},"y":1e999}},"urls":[{{"size":1e999,"url":"u"}}],"z":1}}"#
        );
        let (value, skipped) = read(&text);
        let expected = json!({"info": {"name": "a", "x": [[[null]]], "y": null}, "urls": [{"size": null, "url": "u"}], "z": 1});
        assert_eq!(value, Some(expected));
        assert_eq!(
            (skipped.members, &skipped.named[..]),
            (3, &["x".to_owned(), "y".to_owned(), "size".to_owned()][..])
        );
    }

    #[test]
    fn lax_writers_are_read_and_what_is_cut_is_not() {
        assert_eq!(read(r#"{"a":NaN,"b":"\ud800"}"#).0, Some(json!({"a": null, "b": "\u{fffd}"})));
        assert_eq!(read(r#"{"a":1,"a":2}"#).0, Some(json!({"a": 2})));
        for cut in [r#"{"a":NaN"#, r#"{"a":[1"#, r#"{"a":"x"#, "", r#"{"a":1}}"#] {
            assert_eq!(read(cut).0, None, "{cut}");
        }
    }
}
