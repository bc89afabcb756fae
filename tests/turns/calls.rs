//! Calls: polls go first, and clients take turns, with no limits set for any of them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call, encode_response};
use futures_util::future::join_all;

use crate::support::scripted::serve;
use crate::support::{Relay, call, post_with, until, within};

/// The methods of all calls, in their order.
type Asked = Arc<Mutex<Vec<String>>>;

fn answered(asked: &Asked, call: &[u8]) -> Response {
    let text = String::from_utf8_lossy(call).into_owned();
    let method = text.split("<methodName>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let value = match method.as_str() {
        "changelog_last_serial" => Value::Int(7),
        _ => Value::Array(vec![]),
    };
    asked.lock().unwrap().push(if text.contains("modest") { "modest".to_owned() } else { method });
    ([(CONTENT_TYPE, "text/xml")], encode_response(&value, false).unwrap()).into_response()
}

async fn upstream() -> (String, Asked) {
    let asked = Asked::default();
    let calls = asked.clone();
    let listing =
        r#"{"meta":{"_last-serial":7,"api-version":"1.1"},"projects":[{"name":"a","_last-serial":7}]}"#;
    let page =
        move |_: Uri| async move { ([(CONTENT_TYPE, "application/vnd.pypi.simple.v1+json")], listing) };
    let router = Router::new()
        .route("/pypi", post(move |body: Bytes| async move { answered(&calls, &body) }))
        .route("/simple/", get(page));
    (serve(router).await.to_string(), asked)
}

async fn user_packages(relay: &str, client: &str, user: &str) -> Value {
    let body = encode_call("user_packages", &[user.into()]).unwrap();
    let answer = post_with(&format!("{relay}pypi"), &[("x-forwarded-for", client)], body).await;
    decode_response(answer.bytes(), Limits { depth: 64 }).unwrap().unwrap_or(Value::Nil)
}

fn count(asked: &Asked, from: usize, method: &str) -> usize {
    asked.lock().unwrap()[from..].iter().filter(|asked| *asked == method).count()
}

#[tokio::test]
async fn eighty_connections_that_ask_for_users_stop_neither_polls_nor_the_changelog_nor_another_client() {
    // Polls are no client among eighty.
    for apart in [false, true] {
        flood(apart).await;
    }
}

async fn flood(apart: bool) {
    let (upstream, asked) = upstream().await;
    let settings = [
        "upstream.calls_per_second=50",
        "follow.interval=100ms",
        "follow.head_lifetime=5m",
        "clients.trusted_proxies=127.0.0.1",
    ];
    let relay = Relay::start(&upstream, &settings).await;
    until("it never polls", async || count(&asked, 0, "changelog_last_serial") > 2).await;
    let address = relay.url.clone();
    let flood = (0..80).map(move |n| {
        let url = address.clone();
        async move {
            for round in 0.. {
                let client = if apart { format!("10.0.0.{}", n + 1) } else { "10.0.0.1".to_owned() };
                user_packages(&url, &client, &format!("nobody-{n}-{round}")).await;
            }
        }
    });
    let flood = tokio::spawn(async move { join_all(flood).await });
    until("nobody floods", async || count(&asked, 0, "user_packages") >= 10).await;
    let start = asked.lock().unwrap().len();
    until("the flood ends", async || count(&asked, start, "user_packages") >= 60).await;
    let polls = count(&asked, start, "changelog_last_serial");
    // In the time of 60 calls, 1.2 s, there are 12 polls; behind the others there would be one.
    assert!(polls >= 4, "{polls} polls");
    // Of eighty clients with a call each the queue is full.
    if !apart {
        let before = asked.lock().unwrap().len();
        within("it waits for all the others", user_packages(&relay.url, "192.0.2.9", "modest")).await;
        let calls = asked.lock().unwrap()[before..].iter().position(|asked| asked == "modest").unwrap();
        assert!(calls <= 12, "behind {calls} calls");
    }
    let rows = call(&relay.url, "changelog_since_serial", &[Value::Int(7)]).await;
    assert_eq!(rows, Ok(Value::Array(vec![])));
    assert!(call(&relay.url, "changelog_last_serial", &[]).await.is_ok());
    flood.abort();
}
