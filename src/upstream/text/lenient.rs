//! A JSON document as a tree of values, of which a part that cannot be read costs only itself.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::Skipped;
use super::{MEMBER, over, repaired, tree};

/// How deep a part is looked for that cannot be read: a document's files are objects in a list in an object in it.
const DEPTH: usize = 5;

/// Reads a document whose tree takes at most `most` bytes in memory. A member that breaks a limit of the reader (nesting, a
/// number that no float holds) becomes null; what is no JSON at all, or would take more, is an error that says where, never
/// what.
pub fn lenient_json(body: &[u8], most: usize, skipped: &mut Skipped) -> serde_json::Result<Value> {
    let error = match tree(body, most) {
        Ok(value) => return Ok(value),
        Err(error) if error.is_data() => return Err(error),
        Err(error) => error,
    };
    let repaired = repaired(body);
    let body = repaired.as_deref().unwrap_or(body);
    match tree(body, most) {
        Err(error) if error.is_data() => return Err(error),
        Ok(value) => return Ok(value),
        Err(_) => {}
    }
    // Its syntax is right if this is.
    let Ok(raw) = serde_json::from_slice::<&RawValue>(body) else { return Err(error) };
    if at_most(body) > most {
        return Err(over(most));
    }
    Ok(piecewise("", raw.get(), DEPTH, skipped))
}

/// At most how many bytes a text takes as a tree: each value but the first has a comma, a colon or a bracket before it.
fn at_most(text: &[u8]) -> usize {
    let values = text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[')).count() + 1;
    text.len() + values * (size_of::<Value>() + size_of::<String>() + MEMBER)
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
        (lenient_json(text.as_bytes(), usize::MAX, &mut skipped).ok(), skipped)
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
    fn a_document_that_would_take_too_much_memory_is_refused_also_if_it_is_odd() {
        const MOST: usize = 100_000;
        let read = |text: &str| lenient_json(text.as_bytes(), MOST, &mut Skipped::default());
        let text = |before: &str, count: usize| format!("{{{before}\"x\":[{}0]}}", "[],".repeat(count));
        // As it is, repaired, and piece by piece.
        for before in ["", "\"y\":NaN,", "\"y\":1e999,"] {
            assert!(read(&text(before, 100)).is_ok(), "{before}");
            let error = read(&text(before, 10_000)).unwrap_err();
            assert!(error.is_data() && error.to_string().contains("more than 100000 bytes"), "{error}");
        }
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
