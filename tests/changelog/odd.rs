//! What clients should not send, and times when nothing may be said.

use std::time::Duration;

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};

use super::{after, cell, is_later, object, row};
use crate::support::{Relay, call, post, sandbox, within};

async fn refused(relay: &Relay, method: &str, params: &[Value]) -> String {
    call(&relay.url, method, params).await.unwrap_err().string
}

#[tokio::test]
async fn every_odd_number_has_its_rule() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.settle=1s"]).await;
    let all = after(&sandbox, 0).len();
    let rows = |value: Value| value.as_array().unwrap().len();
    let int = Value::Int;
    for (method, n) in [("changelog_since_serial", -5), ("changelog", -5), ("changelog", -(1 << 60))] {
        assert_eq!(rows(call(&relay.url, method, &[int(n)]).await.unwrap()), all, "{method}({n})");
    }
    for method in ["changelog_since_serial", "changelog", "changed_packages", "updated_releases"] {
        for n in [1 << 40, i64::MAX] {
            assert_eq!(rows(call(&relay.url, method, &[int(n)]).await.unwrap()), 0, "{method}({n})");
        }
        let param = if method == "changelog_since_serial" { "serial" } else { "since" };
        for odd in [Value::Double(1.5), Value::from("7"), Value::Bool(true), Value::Nil] {
            let fault = refused(&relay, method, &[odd]).await;
            assert_eq!(fault, format!("client error; {param}: Input should be a valid integer"));
        }
    }
    for limit in [0, -1, 50_001, 1_000_000] {
        let wrong = "ValueError: limit must be from 1 to 50000";
        assert_eq!(refused(&relay, "changelog_since_serial", &[int(0), int(limit)]).await, wrong);
        assert_eq!(refused(&relay, "changelog", &[int(0), Value::Nil, int(limit)]).await, wrong);
        let page = object(&[("since", int(0)), ("limit", int(limit))]);
        assert_eq!(refused(&relay, "changelog_page", &[page]).await, wrong);
        assert_eq!(refused(&relay, "list_packages_page", &[object(&[("limit", int(limit))])]).await, wrong);
    }
    let huge = "<methodCall><methodName>changelog</methodName><params><param><value><i8>99999999999999999999</i8>\
                </value></param></params></methodCall>";
    assert!(post(&format!("{}pypi", relay.url), huge).await.text().contains("-32700"));
}

#[tokio::test]
async fn a_page_needs_exactly_one_start() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let zero = Value::Int(0);
    for members in [vec![], vec![("since", zero.clone()), ("since_serial", zero.clone())]] {
        let fault = refused(&relay, "changelog_page", &[object(&members)]).await;
        assert_eq!(fault, "ValueError: give exactly one of since, since_serial and cursor");
    }
    let page =
        call(&relay.url, "changelog_page", &[object(&[("since_serial", zero.clone())])]).await.unwrap();
    let cursor = page.get("next_cursor").unwrap().clone();
    let fault = refused(&relay, "changelog_page", &[object(&[("cursor", cursor), ("until", zero)])]).await;
    assert!(fault.starts_with("ValueError: a cursor has since"), "{fault}");
    let fault =
        refused(&relay, "changelog_page", &[object(&[("since", 0.into()), ("name", "a b".into())])]).await;
    assert!(fault.starts_with("ValueError: name: "), "{fault}");
    let fault = refused(&relay, "list_packages_page", &[object(&[("after", "../x".into())])]).await;
    assert!(fault.starts_with("ValueError: after: "), "{fault}");
}

#[tokio::test]
async fn a_cursor_survives_a_restart_but_no_change_and_no_other_journal() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let query = object(&[("since_serial", 0.into()), ("limit", 10.into()), ("name", "Wire.Top".into())]);
    let page = call(&relay.url, "changelog_page", &[query]).await.unwrap();
    let cursor = page.get("next_cursor").unwrap().as_str().unwrap().to_owned();
    let with = |cursor: &str| [object(&[("cursor", cursor.into()), ("limit", 3.into())])];
    let next = call(&relay.url, "changelog_page", &with(&cursor)).await.unwrap();
    let other = Relay::start(&sandbox.url(), &[]).await;
    let message = "ValueError: this cursor was altered, or another journal gave it; \
                   start again with since or since_serial";
    assert_eq!(refused(&other, "changelog_page", &with(&cursor)).await, message);
    for at in 0..cursor.len() {
        let mut altered = cursor.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(refused(&relay, "changelog_page", &with(&altered)).await, message, "{altered}");
    }
    for foreign in ["", "x", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "é", &cursor[1..]] {
        assert_eq!(refused(&relay, "changelog_page", &with(foreign)).await, message, "{foreign}");
    }
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &[]).await;
    assert_eq!(call(&relay.url, "changelog_page", &with(&cursor)).await.unwrap(), next);
}

#[tokio::test]
async fn a_filtered_page_has_what_it_was_asked_for_and_ends() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.page_rows=500"]).await;
    let all = after(&sandbox, 0);
    let (since, until) = (all[1000].time, all[4000].time);
    for name in [None, Some("WIRE.top")] {
        let mut query = vec![("since", Value::Int(since)), ("until", Value::Int(until))];
        query.extend(name.map(|name| ("name", Value::from(name))));
        let mut query = object(&query);
        let (mut got, mut pages) = (Vec::new(), 0);
        loop {
            let page = call(&relay.url, "changelog_page", &[query]).await.unwrap();
            got.extend_from_slice(page.get("events").unwrap().as_array().unwrap());
            pages += 1;
            if page.get("has_more") == Some(&Value::Bool(false)) {
                break;
            }
            query = object(&[("cursor", page.get("next_cursor").unwrap().clone())]);
        }
        let fits = |event: &&cheesewire::model::Event| {
            event.time > since && event.time <= until && (name.is_none() || event.name == "wire-top")
        };
        let expected: Vec<Value> = all.iter().filter(fits).map(|event| row(event, true)).collect();
        assert_eq!(got, expected, "{name:?}");
        // It starts near the time, and stops after it: not all 5,500 events are looked through.
        assert!((4..=8).contains(&pages), "{pages}");
    }
}

#[tokio::test]
async fn a_second_too_full_to_go_out_is_a_fault_that_names_the_way() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.second_rows=1"]).await;
    let params = [Value::Int(0), Value::Bool(false), Value::Int(1)];
    let mut last = 0;
    let fault = loop {
        let given = [Value::Int(last), params[1].clone(), params[2].clone()];
        match call(&relay.url, "changelog", &given).await {
            Ok(rows) => last = cell(&rows.as_array().unwrap()[0], 2),
            Err(fault) => break fault,
        }
    };
    assert!(fault.string.starts_with("ValueError: more than 1 events have the same timestamp"), "{fault}");
    assert!(fault.string.ends_with("use changelog_page"), "{fault}");
}

#[tokio::test]
async fn after_a_restart_without_upstream_nothing_happened_is_never_said() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let loops = [Value::Int(0), Value::Bool(false), Value::Int(50_000)];
    let all = call(&relay.url, "changelog", &loops).await.unwrap();
    let head = Value::Int(sandbox.last_serial().0);
    let newest = Value::Int(after(&sandbox, 0).iter().map(|event| event.time).max().unwrap());
    assert_eq!(
        call(&relay.url, "changelog_since_serial", std::slice::from_ref(&head)).await,
        Ok(Value::Array(vec![]))
    );
    let folder = relay.stop().await;
    sandbox.pause().await.unwrap();
    let relay = Relay::start_in(folder, &sandbox.url(), &["rpc.deadline=300ms"]).await;
    for (method, since) in [
        ("changelog_since_serial", &head),
        ("changelog_since_serial", &Value::Int(i64::MAX)),
        ("changelog", &newest),
        // Nor is an answer given that claims to have everything.
        ("changelog", &Value::Int(0)),
        ("changed_packages", &newest),
        ("updated_releases", &newest),
    ] {
        let fault = call(&relay.url, method, std::slice::from_ref(since)).await.unwrap_err();
        assert!(is_later(&fault), "{method}: {fault}");
    }
    let fault =
        call(&relay.url, "changelog_page", &[object(&[("since_serial", head.clone())])]).await.unwrap_err();
    assert!(is_later(&fault), "{fault}");
    // What is known is told to who loops all the same, but for the newest second.
    let known = call(&relay.url, "changelog", &loops).await.unwrap();
    let (known, all) = (known.as_array().unwrap(), all.as_array().unwrap());
    assert!(known.len() + 20 > all.len() && all.starts_with(known), "{} of {}", known.len(), all.len());
    assert_eq!(call(&relay.url, "changelog_last_serial", &[]).await, Ok(head));
}

#[tokio::test]
async fn a_caller_may_bring_its_own_deadline() {
    let sandbox = sandbox().await;
    let slow = Fault::on(Route::Rpc, Effect::Delay { millis: 3_600_000 }).path("changelog_since_serial");
    sandbox.faults().add(slow).unwrap();
    let settings = ["rpc.deadline=100ms", "follow.enabled=false"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let body = encode_call("changelog_since_serial", &[Value::Int(0)]).unwrap();
    let asked = |path: &str| {
        let (url, body) = (format!("{}{path}", relay.url), body.clone());
        async move { decode_response(post(&url, body).await.bytes(), Limits { depth: 64 }).unwrap() }
    };
    for bad in ["0", "-1", "soon", "", "NaN", "1e300"] {
        let fault = asked(&format!("pypi?deadline={bad}")).await.unwrap_err();
        let complaint = "client error; deadline: Input should be a number of seconds above 0";
        assert_eq!((fault.code, fault.string.as_str()), (-32602, complaint), "{bad}");
    }
    let fault = within("it waits past its deadline", asked("pypi")).await.unwrap_err();
    assert!(is_later(&fault), "{fault}");
    sandbox.faults().clear();
    assert_eq!(
        asked("RPC2?deadline=299.5").await.unwrap().as_array().unwrap().len(),
        after(&sandbox, 0).len()
    );
}

#[tokio::test]
async fn a_callers_deadline_is_bounded() {
    let delays = vec![("changelog_since_serial".to_owned(), Duration::from_hours(1))];
    let sandbox = Sandbox::start(SandboxSettings { delays, ..SandboxSettings::default() }).await.unwrap();
    let relay = Relay::start(&sandbox.url(), &["rpc.longest_deadline=200ms", "follow.enabled=false"]).await;
    let body = encode_call("changelog_since_serial", &[Value::Int(0)]).unwrap();
    let url = format!("{}pypi?deadline=1000", relay.url);
    let asked = post(&url, body);
    let answer = within("it waits past its bound", asked).await;
    assert!(is_later(&decode_response(answer.bytes(), Limits { depth: 64 }).unwrap().unwrap_err()));
}
