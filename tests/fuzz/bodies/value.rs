//! Values of every kind out of a fuzzer's bytes, ours and dxr's.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cheesewire::xmlrpc::Value;

/// A value that nests no deeper than `depth`. Texts have no character that XML 1.0 forbids, since those are
/// dropped; members of a struct have different names in order, since dxr keeps them so.
pub fn any(data: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let kinds = if depth == 0 { 7 } else { 9 };
    Ok(match data.int_in_range(1..=kinds)? {
        1 => Value::Nil,
        2 => Value::Bool(data.arbitrary()?),
        3 => Value::Int(data.arbitrary()?),
        4 => Value::Double(Some(data.arbitrary()?).filter(|d: &f64| d.is_finite()).unwrap_or(0.5)),
        5 => Value::String(text(data)?),
        6 => Value::DateTime(time(data)?),
        7 => Value::Base64(STANDARD.encode(data.arbitrary::<Vec<u8>>()?)),
        8 => {
            let length = data.int_in_range(0..=8)?;
            Value::Array((0..length).map(|_| any(data, depth - 1)).collect::<Result<_>>()?)
        }
        _ => {
            let length = data.int_in_range(0..=8)?;
            let members = (0..length).map(|_| Ok((name(data)?, any(data, depth - 1)?)));
            let members: BTreeMap<_, _> = members.collect::<Result<_>>()?;
            Value::Struct(members.into_iter().collect())
        }
    })
}

fn text(data: &mut Unstructured<'_>) -> Result<String> {
    let forbidden =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    let mut text: String = data.arbitrary()?;
    text.retain(|c| !forbidden(c));
    Ok(text)
}

/// Not blank: dxr reads a blank name as a missing one, and no answer has any.
fn name(data: &mut Unstructured<'_>) -> Result<String> {
    Ok(Some(text(data)?).filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "name".to_owned()))
}

fn time(data: &mut Unstructured<'_>) -> Result<String> {
    let (year, month, day) =
        (data.int_in_range(1970..=2999)?, data.int_in_range(1..=12)?, data.int_in_range(1..=28)?);
    let (hour, minute, second) =
        (data.int_in_range(0..=23)?, data.int_in_range(0..=59)?, data.int_in_range(0..=59)?);
    Ok(format!("{year:04}{month:02}{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// The same for dxr.
pub fn foreign(value: &Value) -> dxr::Value {
    match value {
        Value::Nil => dxr::Value::Nil,
        Value::Bool(b) => dxr::Value::Boolean(*b),
        Value::Int(n) | Value::Size(n) => i32::try_from(*n).map_or(dxr::Value::Long(*n), dxr::Value::Integer),
        Value::Double(d) => dxr::Value::Double(*d),
        Value::String(text) => dxr::Value::String(text.clone()),
        Value::DateTime(text) => dxr::Value::DateTime(text.parse().expect("a time")),
        Value::Base64(text) => dxr::Value::Base64(STANDARD.decode(text).expect("base64")),
        Value::Array(items) => dxr::Value::Array(items.iter().map(foreign).collect()),
        Value::Struct(members) => {
            dxr::Value::Struct(members.iter().map(|(name, value)| (name.clone(), foreign(value))).collect())
        }
    }
}

/// A number in it needs 64 bits.
pub fn is_wide(value: &Value) -> bool {
    holds(value, &|value| matches!(value, Value::Int(n) if i32::try_from(*n).is_err()), &|_| false)
}

/// A text in it has a carriage return.
pub fn has_return(value: &Value) -> bool {
    let returns = |text: &str| text.contains('\r');
    holds(value, &|value| matches!(value, Value::String(text) if returns(text)), &returns)
}

fn holds(value: &Value, wanted: &impl Fn(&Value) -> bool, named: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, wanted, named)),
        Value::Struct(members) => {
            members.iter().any(|(name, member)| named(name) || holds(member, wanted, named))
        }
        other => wanted(other),
    }
}
