//! `system.multicall`: several calls in one.

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};

use crate::support::process::Process;
use crate::support::{Relay, call, client, get, post, sandbox, within};

async fn pair() -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    (sandbox, relay)
}

/// One of the calls.
fn one(method: &str, params: &[Value]) -> Value {
    let member = |name: &str, value: Value| (name.to_owned(), value);
    Value::Struct(vec![member("methodName", method.into()), member("params", Value::Array(params.to_vec()))])
}

fn result(value: Value) -> Value {
    Value::Array(vec![value])
}

fn fault(code: i64, string: &str) -> Value {
    Value::Struct(vec![("faultCode".to_owned(), code.into()), ("faultString".to_owned(), string.into())])
}

#[tokio::test]
async fn results_and_faults_come_in_the_order_of_their_calls() {
    let (sandbox, relay) = pair().await;
    let bare = Value::Struct(vec![("methodName".to_owned(), "package_hosting_mode".into())]);
    let nameless = Value::Struct(vec![("params".to_owned(), Value::Array(vec![]))]);
    let scalar = Value::Struct(vec![
        ("methodName".to_owned(), "list_packages".into()),
        ("params".to_owned(), Value::from(5)),
    ]);
    let nested = one("system.multicall", &[Value::Array(vec![])]);
    let calls = vec![
        one("changelog_last_serial", &[]),
        one("no_such_method", &[]),
        one("package_releases", &["wire-top".into()]),
        bare,
        nested,
        nameless,
        scalar,
        Value::from("list_packages"),
        one("list_packages_with_serial", &[]),
        one("post_cheesecake_for_release", &[]),
        one("package_releases", &["no-such-project".into()]),
    ];
    let last = sandbox.last_serial().0;
    let listed = call(&relay.url, "list_packages_with_serial", &[]).await.unwrap();
    let expected = vec![
        result(last.into()),
        fault(
            -32601,
            &cheesewire::xmlrpc::Fault::no_such_method("no_such_method", Some("system.methodHelp")).string,
        ),
        result(Value::from_iter(["2.0"])),
        fault(-32602, "client error; package_name: Missing required argument"),
        fault(-32500, "ValueError: a multicall inside a multicall is refused"),
        fault(-32602, "client error; calls.5.methodName: Missing required argument"),
        fault(-32602, "client error; calls.6.params: Input should be a valid list"),
        fault(-32602, "client error; calls.7: Input should be a valid dictionary"),
        result(listed),
        fault(-32500, "RuntimeError: This API has been removed."),
        result(Value::Array(vec![])),
    ];
    let got = call(&relay.url, "system.multicall", &[Value::Array(calls)]).await.unwrap();
    assert_eq!(got, Value::Array(expected));
    assert_eq!(call(&relay.url, "system.multicall", &[Value::Array(vec![])]).await, Ok(Value::Array(vec![])));
}

#[tokio::test]
async fn a_hundred_calls_are_answered_and_one_more_is_too_large() {
    let (_sandbox, relay) = pair().await;
    let calls = |count| [Value::Array(vec![one("package_hosting_mode", &["x".into()]); count])];
    let got = call(&relay.url, "system.multicall", &calls(100)).await.unwrap();
    assert_eq!(got, Value::Array(vec![result("pypi-only".into()); 100]));
    let fault = call(&relay.url, "system.multicall", &calls(101)).await.unwrap_err();
    assert_eq!((fault.code, fault.string.as_str()), (1, "multicall too large"));
}

#[tokio::test]
async fn bulk_answers_of_all_kinds_fit_one_after_the_other() {
    let (_sandbox, relay) = pair().await;
    let page = Value::Struct(vec![("since_serial".to_owned(), 0.into()), ("limit".to_owned(), 2000.into())]);
    let bulk = [
        ("changelog_since_serial", vec![Value::from(0)]),
        ("list_packages", vec![]),
        ("changelog_page", vec![page]),
        ("changed_packages", vec![0.into()]),
        ("list_packages_page", vec![]),
        ("browse", vec![Value::from_iter(["Topic :: Utilities"])]),
    ];
    let mut alone = Vec::new();
    for (method, params) in &bulk {
        alone.push(result(call(&relay.url, method, params).await.unwrap()));
    }
    let calls: Value = bulk.iter().map(|(method, params)| one(method, params)).collect();
    let call_bytes = encode_call("system.multicall", &[calls]).unwrap();
    let together =
        decode_response(post(&format!("{}pypi", relay.url), call_bytes).await.bytes(), Limits { depth: 64 });
    assert_eq!(together.unwrap().unwrap(), Value::Array(alone));
}

#[tokio::test]
async fn the_deadline_is_for_all_calls_together_and_what_is_ready_is_answered() {
    let (sandbox, relay) = pair().await;
    call(&relay.url, "package_releases", &["wire-core".into()]).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Json, Effect::Delay { millis: 3_600_000 })).unwrap();
    let slow = ["wire-top", "wire-left", "wire-right", "chain-a"]
        .map(|name| one("package_releases", &[name.into()]));
    let mut calls = slow.to_vec();
    calls.push(one("package_releases", &["wire-core".into()]));
    calls.push(one("package_hosting_mode", &["x".into()]));
    let bytes = encode_call("system.multicall", &[Value::Array(calls)]).unwrap();
    let url = format!("{}pypi?deadline=0.3", relay.url);
    let answer = within("each call waits for upstream", post(&url, bytes)).await;
    let got = decode_response(answer.bytes(), Limits { depth: 64 }).unwrap().unwrap();
    let got = got.as_array().unwrap();
    let late = fault(-32403, "server error; service unavailable; retry in 300 s");
    assert!(got[..4].iter().all(|answer| *answer == late), "{got:?}");
    assert_eq!(got[4..], [result(Value::from_iter(["1.1"])), result("pypi-only".into())]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves a gigabyte over the loopback"]
async fn a_hundred_lists_of_all_projects_in_one_call_cost_little_memory() {
    use cheesewire::sandbox::{SandboxSettings, ScaleSettings};
    use futures_util::StreamExt as _;
    use std::io::Write as _;

    let file = tempfile::NamedTempFile::new().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    writeln!(gzip, "name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary").unwrap();
    for n in 0..100_000 {
        writeln!(gzip, "Some.Name_{n:06}\t1.{n}\t2020-01\t\tSummary").unwrap();
    }
    let projects = gzip.finish().unwrap();
    let scale = Some(ScaleSettings { projects: projects.path().to_owned(), events: 200_000 });
    let sandbox = Sandbox::start(SandboxSettings { scale, ..SandboxSettings::default() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = ["follow.enabled=false", "rpc.longest_deadline=10m"];
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    assert_eq!(get(&format!("{}healthz", relay.url)).await.status, 200);
    let list = |relay: &Process, count: usize| {
        let url = format!("{}pypi?deadline=550", relay.url);
        let calls = Value::Array(vec![one("list_packages_with_serial", &[]); count]);
        let body = encode_call("system.multicall", &[calls]).unwrap();
        async move {
            let response =
                client().post(url).header("content-type", "text/xml").body(body).send().await.unwrap();
            let (mut pieces, mut size) = (response.bytes_stream(), 0);
            while let Some(piece) = pieces.next().await {
                size += piece.unwrap().len();
            }
            size
        }
    };
    let alone = list(&relay, 1).await;
    assert!(alone > 7_000_000, "{alone}");
    let before = relay.peak_memory();
    let all = list(&relay, 100).await;
    let peak = relay.peak_memory();
    println!("{} MB in one answer; peak memory {before} MiB before, {peak} MiB after", all / 1_000_000);
    assert!(all > 99 * (alone - 1000), "{all} after {alone}");
    // Some 20 alone; on a busy machine more, as more threads have a part of it at once. The answer has 800 MB.
    assert!(peak < before + 96, "peak memory {before} MiB before, {peak} MiB after");
}
