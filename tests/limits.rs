//! Limits for each client: how many calls, and how many at once.

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use cheesewire::xmlrpc::{Fault as RpcFault, Limits, Value, decode_response, encode_call};

use crate::support::{Relay, get, post_with, sandbox, until};

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), settings).await;
    (sandbox, relay)
}

/// A call by the client at an address, through a proxy.
async fn call_for(relay: &str, client: &str, method: &str, params: &[Value]) -> Result<Value, RpcFault> {
    let body = encode_call(method, params).unwrap();
    let answer = post_with(&format!("{relay}pypi"), &[("x-forwarded-for", client)], body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml; charset=utf-8"));
    decode_response(answer.bytes(), Limits { depth: 64 }).unwrap()
}

async fn mode_for(relay: &Relay, client: &str) -> Result<Value, RpcFault> {
    call_for(&relay.url, client, "package_hosting_mode", &["x".into()]).await
}

/// The fault that stdeb waits a second for.
fn is_refusal(answer: &Result<Value, RpcFault>) -> bool {
    answer.as_ref().is_err_and(|fault| {
        fault.code == -32500
            && fault.string.starts_with("HTTPTooManyRequests: The action could not be performed because ")
            && fault.string.contains("Limit may reset in ")
    })
}

#[tokio::test]
async fn without_limits_nobody_is_refused() {
    let (_sandbox, relay) = pair(&[]).await;
    let calls = (0..200).map(|_| mode_for(&relay, "192.0.2.1"));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn who_calls_too_often_gets_the_fault_and_others_do_not() {
    let proxies = "clients.trusted_proxies=127.0.0.1, 10.0.0.0/8";
    let (_sandbox, relay) = pair(&["clients.calls_per_second=0.001", "clients.burst=3", proxies]).await;
    for _ in 0..3 {
        assert!(mode_for(&relay, "192.0.2.1").await.is_ok());
    }
    assert!(is_refusal(&mode_for(&relay, "192.0.2.1").await));
    // What the client claims to be does not matter, only what the trusted proxies saw.
    assert!(is_refusal(&mode_for(&relay, "198.51.100.7, 192.0.2.1, 10.1.2.3").await));
    assert!(mode_for(&relay, "192.0.2.1, 198.51.100.7").await.is_ok());
    // A multicall counts as its calls.
    let one = Value::Struct(vec![("methodName".to_owned(), "system.listMethods".into())]);
    let three = [Value::Array(vec![one; 3])];
    assert!(call_for(&relay.url, "192.0.2.9", "system.multicall", &three).await.is_ok());
    assert!(is_refusal(&mode_for(&relay, "192.0.2.9").await));
    // Pages and files are no calls.
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
    let metrics = get(&format!("{}metrics", relay.url)).await;
    assert!(metrics.text().contains("cheesewire_client_refusals_total{limit=\"calls_per_second\"}"));
}

#[tokio::test]
async fn untrusted_peers_cannot_say_who_they_are() {
    let (_sandbox, relay) = pair(&["clients.calls_per_second=0.001", "clients.burst=1"]).await;
    assert!(mode_for(&relay, "192.0.2.1").await.is_ok());
    assert!(is_refusal(&mode_for(&relay, "192.0.2.2").await));
}

#[tokio::test]
async fn a_client_has_only_so_many_calls_at_once_and_its_place_again_when_one_ends() {
    // What is asked meanwhile is over long before.
    let settings =
        ["clients.calls_at_once=2", "clients.trusted_proxies=127.0.0.1", "upstream.read_timeout=5s"];
    let (sandbox, relay) = pair(&settings).await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Delay { millis: 3_600_000 })).unwrap();
    let slow = |name: &'static str| {
        let url = relay.url.clone();
        tokio::spawn(async move { call_for(&url, "192.0.2.1", "package_releases", &[name.into()]).await })
    };
    let waiting = [slow("wire-top"), slow("wire-left")];
    while sandbox.requests().route(Route::Json) < 2 {
        tokio::task::yield_now().await;
    }
    assert!(is_refusal(&mode_for(&relay, "192.0.2.1").await));
    assert!(mode_for(&relay, "192.0.2.2").await.is_ok());
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap_err().code, -32403);
    }
    until("its places are lost", async || mode_for(&relay, "192.0.2.1").await.is_ok()).await;
}
