//! `cheesewire call METHOD [ARG…]`: a small XML-RPC client that prints JSON.

use std::io::{ErrorKind, Write as _};

use clap::Args;
use url::Url;

use crate::model::redacted;
use crate::rpc::{Kind, METHODS};
use crate::upstream::{Upstream, UpstreamError, UpstreamSettings};
use crate::xmlrpc::{Fault, Value};

/// Call an XML-RPC method and print its answer as JSON.
///
/// Each ARG is a text where the method takes one, so that versions need no quotes. Elsewhere it is read as JSON
/// if it is JSON (5, true, null, a list, an object), else as a text; quote twice for a text that looks like
/// JSON, as '"5"'. A fault goes to standard error, with exit code 1.
#[derive(Debug, Args)]
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
    #[error("fault {}: {}", .0.code, .0.string)]
    Fault(Fault),
    /// The call did not work.
    #[error("{}: {error}", redacted(server.as_str()))]
    Server {
        /// Whom it was for.
        server: Url,
        /// What happened, in the words for an upstream: here the server is one.
        error: UpstreamError,
    },
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
    let server = base(args.server);
    let failed = |error| match error {
        UpstreamError::Fault(fault) => CallError::Fault(fault),
        error @ (UpstreamError::Absent(_)
        | UpstreamError::Status(_)
        | UpstreamError::Limited { .. }
        | UpstreamError::Unreachable(_)
        | UpstreamError::TimedOut
        | UpstreamError::TooLarge(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Unexpected(_)
        | UpstreamError::Refused(_)
        | UpstreamError::Settings(_)) => CallError::Server { server: server.clone(), error },
    };
    let upstream = Upstream::new(UpstreamSettings::new(server.clone())).map_err(failed)?;
    let answer = upstream.call(&args.method, &values).await.map_err(failed)?;
    match writeln!(std::io::stdout().lock(), "{:#}", answer.to_json()) {
        // `| head` has seen enough: that is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// The server's base: old configurations name the address of calls itself.
fn base(mut server: Url) -> Url {
    let path = server.path().trim_end_matches('/');
    if let Some(base) = ["/pypi", "/RPC2"].iter().find_map(|calls| path.strip_suffix(calls)) {
        let base = format!("{base}/");
        server.set_path(&base);
    }
    server
}

/// An argument: JSON if it is JSON, else a text. Where the method takes a text, only a quoted one is JSON:
/// `1.10` is a version there, and no number.
fn value(text: &str, kind: Option<Kind>) -> Option<Value> {
    match (serde_json::from_str(text), kind) {
        (Ok(serde_json::Value::String(quoted)), _) => Some(Value::String(quoted)),
        (Err(_), _) | (Ok(_), Some(Kind::Text)) => Some(Value::from(text)),
        (Ok(json), _) => from_json(json),
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
        let value = |text| value(text, None);
        assert_eq!(value("5"), Some(Value::Int(5)));
        assert_eq!(value("\"5\""), Some(Value::from("5")));
        assert_eq!(value("zope.interface"), Some(Value::from("zope.interface")));
        assert_eq!(value("1.0.1"), Some(Value::from("1.0.1")));
        assert_eq!(value("[\"a\", null]"), Some(Value::Array(vec![Value::from("a"), Value::Nil])));
        assert_eq!(value("18446744073709551615"), None);
    }

    #[test]
    fn where_a_method_takes_a_text_a_number_is_one() {
        for (text, expected) in [("1.10", "1.10"), ("2", "2"), ("true", "true"), ("\"2\"", "2")] {
            assert_eq!(value(text, Some(Kind::Text)), Some(Value::from(expected)), "{text}");
        }
        assert_eq!(value("2", Some(Kind::Int)), Some(Value::Int(2)));
    }

    #[test]
    fn the_address_of_calls_names_its_server() {
        for text in ["http://relay.test/a", "http://relay.test/a/pypi", "http://relay.test/a/RPC2/"] {
            let base = base(text.parse().unwrap());
            assert_eq!(base.as_str().trim_end_matches('/'), "http://relay.test/a", "{text}");
        }
    }
}
