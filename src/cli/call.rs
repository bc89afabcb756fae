//! `cheesewire call METHOD [ARG…]`: a small XML-RPC client that prints JSON.

use std::io::{ErrorKind, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value as Json;
use url::Url;

use crate::client::{Client, ClientError, Reason, Value};
use crate::rpc::{Kind, METHODS};

const EXAMPLES: &str = "\
Examples:
  cheesewire call changelog_last_serial
  cheesewire call package_releases six true
  cheesewire call --server http://relay.test:3141/ changelog_since_serial 1000";

/// Call an XML-RPC method and print its answer as JSON.
///
/// Each ARG is a text where the method takes one, so that versions need no quotes. Elsewhere it is read as JSON
/// if it is JSON (5, true, null, a list, an object), else as a text; quote twice for a text that looks like
/// JSON, as '"5"'. A fault goes to standard error, with exit code 1.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CallArgs {
    /// The server; calls go to `pypi` below it, which may be written out.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3141/")]
    server: Url,
    /// The method's name, such as changelog_last_serial.
    method: String,
    /// Its arguments.
    args: Vec<String>,
}

/// Why there is no answer to print.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// An argument that XML-RPC has no word for.
    #[error("argument {0}: a number past 64 bits; quote it to send it as a text")]
    Argument(usize),
    /// The answer is a fault.
    #[error("fault {code}: {words}")]
    Fault {
        /// `faultCode`.
        code: i32,
        /// `faultString`.
        words: String,
    },
    /// There is no answer.
    #[error(transparent)]
    Relay(ClientError),
    /// Standard output takes nothing.
    #[error("the answer can't be printed: {0}")]
    Print(#[from] std::io::Error),
}

/// Calls, and prints what is answered.
pub async fn run(args: CallArgs) -> Result<(), CallError> {
    let kinds = METHODS.iter().find(|method| method.name == args.method).map_or(&[][..], |m| m.params);
    let values = args.args.iter().enumerate().map(|(at, text)| {
        value(text, kinds.get(at).map(|param| param.kind)).ok_or(CallError::Argument(at + 1))
    });
    let values: Vec<Value> = values.collect::<Result<_, _>>()?;
    let failed = |error: ClientError| match error.reason {
        Reason::Fault { code, words } => CallError::Fault { code, words },
        Reason::Status { .. }
        | Reason::Unreachable(_)
        | Reason::TimedOut
        | Reason::Broken(_)
        | Reason::TooLarge(_)
        | Reason::Unexpected(_)
        | Reason::Unusable(_) => CallError::Relay(error),
    };
    let relay = Client::new(args.server.as_str()).map_err(failed)?;
    let answer: Value = relay.call(&args.method, values).await.map_err(failed)?;
    match writeln!(std::io::stdout().lock(), "{:#}", json(&answer)) {
        // `| head` has seen enough: that is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// An argument: JSON if it is JSON, else a text. Where the method takes a text, only a quoted one is JSON:
/// `1.10` is a version there, and no number.
fn value(text: &str, kind: Option<Kind>) -> Option<Value> {
    match (serde_json::from_str(text), kind) {
        (Ok(Json::String(quoted)), _) => Some(Value::String(quoted)),
        (Err(_), _) | (Ok(_), Some(Kind::Text)) => Some(Value::String(text.to_owned())),
        (Ok(json), _) => from_json(json),
    }
}

fn from_json(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Boolean(b),
        Json::Number(n) => match n.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Value::Long(whole), Value::Integer),
            None if n.is_f64() => Value::Double(n.as_f64()?),
            None => return None,
        },
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Array(items.into_iter().map(from_json).collect::<Option<_>>()?),
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, member)| Some((name, from_json(member)?)));
            Value::Struct(members.collect::<Option<_>>()?)
        }
    })
}

/// An answer for people: dates and base64 as text, members by name.
fn json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(b) => Json::from(*b),
        Value::Integer(n) => Json::from(*n),
        Value::Long(n) => Json::from(*n),
        Value::Double(d) => Json::from(*d),
        Value::String(text) => Json::from(text.as_str()),
        Value::DateTime(time) => Json::from(time.to_string()),
        Value::Base64(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Struct(members) => members.iter().map(|(name, member)| (name.clone(), json(member))).collect(),
        // One that a later dxr has.
        other => Json::from(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_json_or_texts() {
        let value = |text| value(text, None);
        assert_eq!(value("5"), Some(Value::Integer(5)));
        assert_eq!(value("\"5\""), Some(Value::String("5".to_owned())));
        assert_eq!(value("zope.interface"), Some(Value::String("zope.interface".to_owned())));
        assert_eq!(value("1.0.1"), Some(Value::String("1.0.1".to_owned())));
        assert_eq!(
            value("[\"a\", null]"),
            Some(Value::Array(vec![Value::String("a".to_owned()), Value::Nil]))
        );
        assert_eq!(value("18446744073709551615"), None);
    }

    #[test]
    fn where_a_method_takes_a_text_a_number_is_one() {
        for (text, expected) in [("1.10", "1.10"), ("2", "2"), ("true", "true"), ("\"2\"", "2")] {
            assert_eq!(value(text, Some(Kind::Text)), Some(Value::String(expected.to_owned())), "{text}");
        }
        assert_eq!(value("2", Some(Kind::Int)), Some(Value::Integer(2)));
    }

    #[test]
    fn every_kind_of_value_is_printed_as_json() {
        for (text, value) in [
            ("null", Value::Nil),
            ("true", Value::Boolean(true)),
            ("-5", Value::Integer(-5)),
            ("4294967296", Value::Long(1 << 32)),
            ("0.5", Value::Double(0.5)),
            ("\"20260131T23:59:59\"", Value::DateTime("20260131T23:59:59".parse().unwrap())),
            ("\"AP8=\"", Value::Base64(vec![0, 255])),
            ("[\"a\",{\"b\":1}]", from_json(serde_json::json!(["a", {"b": 1}])).unwrap()),
        ] {
            assert_eq!(json(&value).to_string(), text);
        }
    }
}
