//! Odd members of JSON answers.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::odd::{Odd, Oddity};

/// Marks what is not JSON's own text until the answer is written. No answer has this character, which JSON escapes.
const MARK: char = '\u{1}';
const MARK_WRITTEN: &str = "\\u0001";

/// The answer with all that done to its members, in this order; `None` for what is not JSON. Afterwards it may be none.
pub(super) fn edit(oddities: &[Oddity], body: &[u8]) -> Option<Bytes> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let mut raw = Vec::new();
    for Oddity { what, only } in oddities {
        let (Odd::Member { at, .. } | Odd::Missing { at } | Odd::Repeated { at }) = what else { continue };
        let path: Vec<&str> = at.split('.').collect();
        walk(&mut answer, &path, only.as_deref(), &mut |parent, name| change(what, parent, name, &mut raw));
    }
    let mut text = answer.to_string();
    for (n, raw) in raw.iter().enumerate() {
        text = text.replacen(&format!("\"{MARK_WRITTEN}{n}{MARK_WRITTEN}\""), raw, 1);
    }
    // The second of two members of one name.
    Some(text.replace(&format!("{MARK_WRITTEN}\":"), "\":").into())
}

/// Goes to each member that a path leads to, and hands it over with the struct that has it or may have it.
fn walk(
    at: &mut Value,
    path: &[&str],
    only: Option<&str>,
    change: &mut impl FnMut(&mut Map<String, Value>, &str),
) {
    match (path, at) {
        ([name], Value::Object(parent)) if *name != "*" => change(parent, name),
        (["*"], Value::Object(parent)) => {
            let names: Vec<String> = parent.keys().cloned().collect();
            for name in &names {
                change(parent, name);
            }
        }
        (["*", rest @ ..], Value::Array(items)) => {
            let wanted = |item: &&mut Value| only.is_none_or(|only| item.to_string().contains(only));
            items.iter_mut().filter(wanted).for_each(|item| walk(item, rest, only, change));
        }
        (["*", rest @ ..], Value::Object(members)) => {
            members.values_mut().for_each(|member| walk(member, rest, only, change));
        }
        ([name, rest @ ..], Value::Object(members)) => {
            if let Some(member) = members.get_mut(*name) {
                walk(member, rest, only, change);
            }
        }
        _ => {}
    }
}

fn change(what: &Odd, parent: &mut Map<String, Value>, name: &str, raw: &mut Vec<String>) {
    match what {
        Odd::Member { raw: text, .. } => {
            let before = parent.get(name).unwrap_or(&Value::Null).to_string();
            let mark = format!("{MARK}{}{MARK}", raw.len());
            raw.push(text.replace("{}", &before));
            parent.insert(name.to_owned(), Value::String(mark));
        }
        Odd::Missing { .. } => {
            parent.shift_remove(name);
        }
        Odd::Repeated { .. } => {
            if let Some(place) = parent.keys().position(|key| key == name) {
                let value = parent[name].clone();
                parent.shift_insert(place + 1, format!("{name}{MARK}"), value);
            }
        }
        Odd::Text { .. }
        | Odd::Bom
        | Odd::ContentType(_)
        | Odd::NoValidator
        | Odd::Row { .. }
        | Odd::ShortRow { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(what: &Odd, only: Option<&str>) -> String {
        let page = r#"{"files":[{"filename":"a-1","size":3},{"filename":"a-2","size":4}],"meta":{"v":"1.4"},"versions":["1"]}"#;
        let oddity = Oddity { what: what.clone(), only: only.map(str::to_owned) };
        String::from_utf8(edit(&[oddity], page.as_bytes()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn members_are_changed_where_the_path_leads_and_nowhere_else() {
        let member = |at: &str, raw: &str| Odd::Member { at: at.to_owned(), raw: raw.to_owned() };
        let all = |files: &str| format!(r#"{{"files":{files},"meta":{{"v":"1.4"}},"versions":["1"]}}"#);
        assert_eq!(
            edited(&member("files.*.size", "\"{}\""), None),
            all(r#"[{"filename":"a-1","size":"3"},{"filename":"a-2","size":"4"}]"#)
        );
        assert_eq!(
            edited(&member("files.*.size", "NaN"), Some("a-2")),
            all(r#"[{"filename":"a-1","size":3},{"filename":"a-2","size":NaN}]"#)
        );
        assert_eq!(
            edited(&member("files.*.x", r#""\ud800""#), Some("a-1")),
            all(r#"[{"filename":"a-1","size":3,"x":"\ud800"},{"filename":"a-2","size":4}]"#)
        );
        let repeated = Odd::Repeated { at: "files.*.size".to_owned() };
        assert_eq!(
            edited(&repeated, Some("a-1")),
            all(r#"[{"filename":"a-1","size":3,"size":3},{"filename":"a-2","size":4}]"#)
        );
        let missing = Odd::Missing { at: "versions".to_owned() };
        assert!(edited(&missing, None).ends_with(r#""meta":{"v":"1.4"}}"#));
        assert!(edited(&member("meta.*", "{}1"), None).contains(r#"{"v":"1.4"1}"#));
        assert_eq!(edit(&[Oddity { what: missing, only: None }], b"<html>"), None);
    }
}
