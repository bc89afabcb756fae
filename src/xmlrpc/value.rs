//! The values that XML-RPC carries.

use crate::model::Stamp;

/// A value of a call or an answer. Bulk answers are not built of these: see [`super::Encoder`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `<nil/>`.
    Nil,
    /// `<boolean>`.
    Bool(bool),
    /// `<i4>`, `<int>` and `<i8>`.
    Int(i64),
    /// A file's size in bytes: written as [`Value::Int`], but past 32 bits as `<i8>` to every caller, since a fault would
    /// hide the whole release (docs/wire.md section 2, rule 4). Never read.
    Size(i64),
    /// `<double>`.
    Double(f64),
    /// `<string>`, or text without a type.
    String(String),
    /// `<dateTime.iso8601>`, as its text.
    DateTime(String),
    /// `<base64>`, as its encoded text without white space.
    Base64(String),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<struct>`, its members in the order written.
    Struct(Vec<(String, Value)>),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number: an int, or a double with a whole value (aiohttp-xmlrpc sends those past 32 bits).
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::Int(n) | Self::Size(n) => Some(n),
            // Doubles are exact up to 2⁵³; past it a "whole value" says nothing.
            #[allow(clippy::cast_possible_truncation)]
            Self::Double(d) if d.fract() == 0.0 && d.abs() <= 9_007_199_254_740_992.0 => Some(d as i64),
            _ => None,
        }
    }

    /// The boolean, also from the ints 0 and 1.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(b) => Some(b),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A struct's member by name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value as JSON, for people: dates and base64 as text, members in order.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Nil => Json::Null,
            Self::Bool(b) => Json::from(*b),
            Self::Int(n) | Self::Size(n) => Json::from(*n),
            Self::Double(d) => Json::from(*d),
            Self::String(text) | Self::DateTime(text) | Self::Base64(text) => Json::from(text.as_str()),
            Self::Array(items) => items.iter().map(Self::to_json).collect(),
            Self::Struct(members) => {
                members.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<Stamp> for Value {
    fn from(stamp: Stamp) -> Self {
        Self::DateTime(stamp.xmlrpc())
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}
