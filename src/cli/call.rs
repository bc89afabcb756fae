//! `cheesewire call METHOD [ARG…]`: a small XML-RPC client that prints JSON.

use std::io::Write as _;

use clap::Args;
use url::Url;

use crate::upstream::{Upstream, UpstreamError, UpstreamSettings};
use crate::xmlrpc::Value;

/// Call an XML-RPC method and print its answer as JSON.
///
/// Each ARG is read as JSON if it is JSON (5, true, null, ["a"], {"name": "x"}), else as a text; quote
/// twice for a text that looks like JSON: '"5"'. A fault goes to standard error, with exit code 1.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The server; calls go to `pypi` below it.
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
    /// The call did not work, or was answered with a fault.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Standard output takes nothing.
    #[error("the answer can't be printed: {0}")]
    Print(#[from] std::io::Error),
}

/// Calls, and prints what is answered.
pub async fn run(args: CallArgs) -> Result<(), CallError> {
    let values =
        args.args.iter().enumerate().map(|(at, text)| value(text).ok_or(CallError::Argument(at + 1)));
    let values: Vec<Value> = values.collect::<Result<_, _>>()?;
    let server = Upstream::new(UpstreamSettings::new(args.server))?;
    let answer = server.call(&args.method, &values).await?;
    writeln!(std::io::stdout().lock(), "{:#}", answer.to_json())?;
    Ok(())
}

/// An argument: JSON if it is JSON, else a text.
fn value(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(json) => from_json(json),
        Err(_) => Some(Value::from(text)),
    }
}

fn from_json(json: serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => match n.as_i64() {
            Some(whole) => Value::Int(whole),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_json_or_texts() {
        assert_eq!(value("5"), Some(Value::Int(5)));
        assert_eq!(value("\"5\""), Some(Value::from("5")));
        assert_eq!(value("zope.interface"), Some(Value::from("zope.interface")));
        assert_eq!(value("1.0.1"), Some(Value::from("1.0.1")));
        assert_eq!(value("[\"a\", null]"), Some(Value::Array(vec![Value::from("a"), Value::Nil])));
        assert_eq!(value("18446744073709551615"), None);
    }
}
