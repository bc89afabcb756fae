//! Hostile input against a whole relay over real sockets: each is answered or cut within its limit, and other clients
//! do not notice.

mod bodies;
mod calls;
mod crowd;
mod memory;
mod multicalls;
mod requests;
mod slow;

use cheesewire::sandbox::Sandbox;
use cheesewire::xmlrpc::{Limits, Value, decode_response};

use crate::support::{Relay, call, exchange, post_request, sandbox};

/// A call that is sound.
const CALL: &str =
    "<?xml version='1.0'?><methodCall><methodName>changelog_last_serial</methodName></methodCall>";
const XML: &str = "Content-Type: text/xml\r\n";
const NOT_WELL_FORMED: &str = "-32700 parse error; not well formed";
const NO_METHOD: &str = "-32601 server error; requested method not found";

/// A relay under attack.
struct Victim {
    sandbox: Sandbox,
    relay: Relay,
}

impl Victim {
    async fn start(settings: &[&str]) -> Self {
        let sandbox = sandbox().await;
        let relay = Relay::start(&sandbox.url(), settings).await;
        let victim = Self { sandbox, relay };
        victim.serves().await;
        victim
    }

    fn url(&self) -> &str {
        &self.relay.url
    }

    /// Another client gets a good answer.
    async fn serves(&self) {
        let last = Value::Int(self.sandbox.last_serial().0);
        assert_eq!(call(self.url(), "changelog_last_serial", &[]).await, Ok(last));
    }

    /// Runs an attack, and another client beside it and after it.
    async fn survives<T>(&self, attack: impl Future<Output = T>) -> T {
        let (outcome, ()) = tokio::join!(attack, self.serves());
        self.serves().await;
        outcome
    }

    /// Sends a request byte for byte while another client is served: the answer, up to the end of the connection.
    async fn answer_to(&self, request: &[u8]) -> String {
        self.survives(exchange(self.url(), request)).await
    }

    /// The same with a call's body.
    async fn answer_to_call(&self, headers: &str, body: &[u8]) -> String {
        self.answer_to(&post_request("/pypi", &format!("{XML}{headers}"), body)).await
    }
}

/// An answer's status; `cut` if there is no answer.
fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("cut")
}

/// The fault that a call gets, as `code string`.
fn fault(answer: &str) -> String {
    assert_eq!(status(answer), "200", "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let fault = decode_response(body.as_bytes(), Limits { depth: 64 }).unwrap().unwrap_err();
    format!("{} {}", fault.code, fault.string)
}

/// A call of one parameter that is this XML.
fn with_param(value: &str) -> String {
    format!(
        "<methodCall><methodName>package_roles</methodName><params><param>{value}</param></params></methodCall>"
    )
}
