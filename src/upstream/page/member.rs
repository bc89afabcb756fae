//! Members that may be of any type: what they mean all the same.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::text::{repaired, tree};
use super::weight::members;
use crate::model::{Algorithm, Digest, Serial};

/// A member as upstream wrote it.
pub(in crate::upstream) type Raw = Box<RawValue>;

/// Reads a part of a document, repaired if it cannot be read as it stands.
pub(in crate::upstream) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let once = serde_json::from_str(text).ok();
    once.or_else(|| repaired(text.as_bytes()).and_then(|text| serde_json::from_slice(&text).ok()))
}

/// The members of an object; none if it is none, or if they would take too much memory.
pub(in crate::upstream) fn read_members(text: &str) -> Option<BTreeMap<String, Raw>> {
    if members(text) > MOST { None } else { read(text) }
}

/// The most memory that a member takes as a tree of values: a file's digests take two KB.
const MOST: usize = 1 << 20;

/// The same as a tree of values; none if it would take too much memory.
pub(in crate::upstream) fn value(text: &str) -> Option<Value> {
    let once = tree(text.as_bytes(), MOST).ok();
    once.or_else(|| repaired(text.as_bytes()).and_then(|text| tree(&text, MOST).ok()))
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A whole number that is not negative: `12`, `12.0`, `"12"`.
pub fn whole_number(value: &Value) -> Option<u64> {
    /// Beyond it a float does not tell one number from the next.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float =
                number.as_f64().filter(|float| (0.0..EXACT).contains(float) && float.fract() == 0.0)?;
            // Exactly: it has no fraction, and is within 2⁵³.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A serial that can be one, as a number or as its digits. What can be none counts as not stated.
pub fn serial_member(value: &Value) -> Option<Serial> {
    whole_number(value).and_then(|serial| i64::try_from(serial).ok()).and_then(Serial::stated)
}

/// A flag: `true`, `"true"`, `1`, and their opposites.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.is_empty() || text.eq_ignore_ascii_case("false") => Some(false),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            Some(_) | None => None,
        },
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What is stated of a file's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// Digests by algorithm, in lower case.
    pub hashes: BTreeMap<String, String>,
    /// Something was left out.
    pub odd: bool,
    /// All that is stated cannot be a digest: no bytes are right, and none may pass unchecked.
    pub unmatchable: bool,
}

/// Digests by algorithm, while they are read.
#[derive(Debug, Default)]
pub(super) struct Digests {
    found: BTreeMap<String, String>,
    wrong: bool,
    odd: bool,
}

impl Digests {
    /// Takes what is stated for an algorithm.
    pub(super) fn insert(&mut self, algorithm: &str, digest: &str) {
        let digits = digest.trim();
        if digits.is_empty() {
            // None is stated.
        } else if Algorithm::parse(algorithm).is_none() {
            self.found.insert(algorithm.to_ascii_lowercase(), digits.to_owned());
        } else if let Some(digest) = Digest::parse(algorithm, digits) {
            self.found.insert(digest.algorithm().name().to_owned(), digest.digits());
        } else {
            self.wrong = true;
        }
    }

    /// All of them.
    pub(super) fn finish(self) -> Stated {
        let Self { found, wrong, odd } = self;
        Stated { unmatchable: wrong && found.is_empty(), hashes: found, odd: odd || wrong }
    }
}

/// What a member that should have digests states. Null and empty texts state none; what is of another type is left out.
pub(super) fn digests(value: &Value) -> Digests {
    let mut digests = Digests::default();
    match value {
        Value::Object(stated) => {
            for (algorithm, digest) in stated {
                match digest {
                    Value::String(digest) => digests.insert(algorithm, digest),
                    Value::Null => {}
                    Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        digests.odd = true;
                    }
                }
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => digests.odd = true,
    }
    digests
}

/// What a member that should have digests states of a file's bytes.
pub fn stated(value: &Value) -> Stated {
    digests(value).finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_flags_of_any_type_are_understood() {
        for (value, number) in [
            (json!(12), Some(12)),
            (json!(12.0), Some(12)),
            (json!("12"), Some(12)),
            (json!(-1), None),
            (json!(1.5), None),
            (json!(1e300), None),
            (json!("x"), None),
            (json!([1]), None),
        ] {
            assert_eq!(whole_number(&value), number, "{value}");
        }
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!("True"), Some(true)),
            (json!(1), Some(true)),
            (json!(0), Some(false)),
            (json!("false"), Some(false)),
            (json!("perhaps"), None),
            (json!(7), None),
            (json!({}), None),
        ] {
            assert_eq!(flag(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_member_of_too_many_values_says_nothing() {
        let list = |count: usize| format!("[{}[]]", "[],".repeat(count - 1));
        let object = |members: usize| format!("{{{}\"z\":0}}", "\"a\":0,".repeat(members));
        assert!(read_members(&object(100)).is_some() && read_members(&object(MOST / 96)).is_none());
        assert!(value(&list(100)).is_some() && value(&list(MOST / size_of::<Value>() + 1)).is_none());
    }

    #[test]
    fn a_serial_beyond_what_clients_can_be_told_is_none() {
        for (value, serial) in [
            (json!(i32::MAX), Some(Serial::MOST)),
            (json!("7"), Some(Serial(7))),
            (json!(1_i64 << 31), None),
            (json!("9007199254740992"), None),
            (json!(-1), None),
            (json!(null), None),
        ] {
            assert_eq!(serial_member(&value), serial, "{value}");
        }
    }

    #[test]
    fn digests_are_told_in_lower_case_and_a_wrong_one_is_known_unless_another_is_right() {
        let (upper, lower) = ("AB".repeat(32), "ab".repeat(32));
        let told = |pairs: &[(&str, &str)], odd| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Stated { hashes: pairs.collect(), odd, unmatchable: false }
        };
        let mixed = json!({"SHA256": upper, "blake3": "X", "md5": null, "sha1": ""});
        assert_eq!(stated(&mixed), told(&[("blake3", "X"), ("sha256", &lower)], false));
        assert_eq!(stated(&json!(null)), told(&[], false));
        assert_eq!(stated(&json!("sha256")), told(&[], true));
        assert_eq!(stated(&json!({"sha256": 5})), told(&[], true));
        assert_eq!(stated(&json!({"sha256": lower, "md5": "00"})), told(&[("sha256", &lower)], true));
        for wrong in [json!({"sha256": "ab"}), json!({"md5": "z".repeat(32)})] {
            assert_eq!(
                stated(&wrong),
                Stated { odd: true, unmatchable: true, ..Stated::default() },
                "{wrong}"
            );
        }
    }
}
