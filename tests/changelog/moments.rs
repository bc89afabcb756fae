//! Clients that ask by time once a run, with the moment of their last question by their own clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox, SandboxSettings, XmlRpc};
use cheesewire::xmlrpc::{Fault as RpcFault, Value, encode_fault};

use super::{cell, is_later};
use crate::support::{Relay, call, get, sandbox, until, within};

const LAST_SERIAL: &str = "changelog_last_serial";

/// A question to upstream that is not answered fails never.
const ENDLESS_UPSTREAM: [&str; 2] = ["upstream.read_timeout=1d", "upstream.answer_timeout=1d"];

/// No question is too early for a poll of its own.
const FRESH: &str = "rpc.poll_age=1ms";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A time by which everything is known that will be for a day.
fn tomorrow() -> Value {
    Value::Int(now() + 86_400)
}

async fn publish(sandbox: &Sandbox, name: &str) -> i64 {
    // The sandbox's clock stands years back: whatever it publishes comes late.
    sandbox.publish(Publication::new(name, "1.0")).await.unwrap().0
}

/// The names of an answer of `changelog`.
fn names(answer: &Value) -> BTreeSet<String> {
    let name = |row: &Value| row.as_array().unwrap()[0].as_str().unwrap().to_owned();
    answer.as_array().unwrap().iter().map(name).collect()
}

async fn asked(relay: &Relay, since: &Value) -> BTreeSet<String> {
    names(&call(&relay.url, "changelog", std::slice::from_ref(since)).await.unwrap())
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

/// The relay's head is this serial.
async fn reaches(relay: &Relay, serial: i64) {
    until("the event never comes", async || {
        call(&relay.url, LAST_SERIAL, &[]).await == Ok(Value::Int(serial))
    })
    .await;
}

#[tokio::test]
async fn a_question_by_time_gets_what_upstream_has_now_whatever_the_interval() {
    let sandbox = sandbox().await;
    for settings in [vec![FRESH, "follow.interval=1d"], vec![FRESH, "follow.enabled=false"]] {
        let relay = Relay::start(&sandbox.url(), &settings).await;
        let since = Value::Int(now());
        assert_eq!(asked(&relay, &since).await, BTreeSet::new());
        let name = format!("fresh-{}", settings.len() + settings[1].len());
        publish(&sandbox, &name).await;
        assert_eq!(asked(&relay, &since).await, only(&name));
        let changed = call(&relay.url, "changed_packages", std::slice::from_ref(&since)).await;
        assert_eq!(changed, Ok(Value::from_iter([name.as_str()])));
        let other = format!("{name}-too");
        publish(&sandbox, &other).await;
        let releases = call(&relay.url, "updated_releases", std::slice::from_ref(&since)).await.unwrap();
        assert_eq!(names(&releases), BTreeSet::from([name.clone(), other.clone()]));
        let third = format!("{name}-three");
        publish(&sandbox, &third).await;
        let inner = Value::Struct(vec![
            ("methodName".to_owned(), "changelog".into()),
            ("params".to_owned(), Value::Array(vec![since])),
        ]);
        let all = call(&relay.url, "system.multicall", &[Value::Array(vec![inner])]).await.unwrap();
        let first = all.as_array().unwrap()[0].as_array().unwrap()[0].clone();
        assert_eq!(names(&first), BTreeSet::from([name, other, third]));
        assert_eq!(asked(&relay, &tomorrow()).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn what_becomes_known_after_a_question_is_in_the_next_whatever_its_time_also_after_a_restart() {
    let sandbox = sandbox().await;
    for (name, follow) in [("polled", "follow.enabled=true"), ("on-demand", "follow.enabled=false")] {
        // The last is how long a last serial is believed that was heard on demand.
        let interval = if name == "polled" { "follow.interval=50ms" } else { "follow.interval=1s" };
        let settings = ["rpc.poll_age=1d", follow, "follow.head_lifetime=1d", interval];
        let relay = Relay::start(&sandbox.url(), &settings).await;
        let since = Value::Int(now());
        assert_eq!(asked(&relay, &since).await, BTreeSet::new(), "{follow}");
        let serial = publish(&sandbox, name).await;
        if follow == "follow.enabled=false" {
            // Somebody else asks by serial.
            let rows = [Value::Int(serial - 3)];
            until("it never comes", async || {
                let rows = call(&relay.url, "changelog_since_serial", &rows).await.unwrap();
                rows.as_array().unwrap().iter().any(|row| cell(row, 4) == serial)
            })
            .await;
        }
        reaches(&relay, serial).await;
        assert_eq!(asked(&relay, &since).await, only(name), "{follow}");
        let folder = relay.stop().await;
        let relay = Relay::start_in(folder, &sandbox.url(), &settings).await;
        assert_eq!(asked(&relay, &since).await, only(name), "{follow}");
        assert_eq!(asked(&relay, &tomorrow()).await, BTreeSet::new(), "{follow}");
        let serial = publish(&sandbox, &format!("{name}-too")).await;
        if follow != "follow.enabled=false" {
            reaches(&relay, serial).await;
            assert_eq!(asked(&relay, &since).await.len(), 2, "{follow}");
        }
    }
}

#[tokio::test]
async fn without_a_limit_the_moment_itself_counts_and_with_one_it_does_not() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.settle=1s"]).await;
    let newest = sandbox.events_after(cheesewire::model::Serial(0), usize::MAX);
    let newest = newest.iter().map(|event| event.time).max().unwrap();
    let rows = call(&relay.url, "changelog", &[Value::Int(newest), Value::Bool(true)]).await.unwrap();
    assert!(rows.as_array().unwrap().iter().any(|row| cell(row, 2) == newest));
    let limited = [Value::Int(newest), Value::Bool(true), Value::Int(50_000)];
    assert_eq!(call(&relay.url, "changelog", &limited).await, Ok(Value::Array(vec![])));
}

#[tokio::test]
async fn too_many_events_are_a_fault_that_names_the_way_and_never_a_cut() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.uncut_rows=6000", "rpc.changelog_rows=10"]).await;
    let all = sandbox.events_after(cheesewire::model::Serial(0), usize::MAX).len();
    let rows = call(&relay.url, "changelog", &[Value::Int(0)]).await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), all);
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &["rpc.uncut_rows=5000"]).await;
    let fault = call(&relay.url, "changelog", &[Value::Int(0)]).await.unwrap_err();
    assert_eq!(fault.code, -32500);
    assert!(fault.string.starts_with("ValueError: more than 5000 events"), "{fault}");
    assert!(fault.string.contains("rpc.uncut_rows") && fault.string.ends_with("changelog_page"), "{fault}");
}

#[tokio::test]
async fn one_poll_serves_all_who_ask_at_once() {
    let sandbox = sandbox().await;
    let relay = Arc::new(Relay::start(&sandbox.url(), &["follow.interval=1d", "rpc.poll_age=1m"]).await);
    reaches(&relay, sandbox.last_serial().0).await;
    // The next ones begin another relay over the same folder, whose first poll takes as long as all of them need to come.
    let folder = Arc::into_inner(relay).unwrap().stop().await;
    sandbox.forget_requests();
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Delay { millis: 500 })).unwrap();
    let relay = Relay::start_in(folder, &sandbox.url(), &["follow.interval=1d", "rpc.poll_age=1m"]).await;
    let since = Value::Int(now());
    let answers = futures_util::future::join_all((0..30).map(|_| asked(&relay, &since))).await;
    assert!(answers.iter().all(BTreeSet::is_empty));
    assert_eq!(sandbox.requests().method(LAST_SERIAL), 1);
}

/// Upstream fails once, which the relay sees, and then it would be silent for ever.
async fn fails(sandbox: &Sandbox, relay: &Relay, fault: Effect) {
    sandbox.faults().add(Fault::on(Route::Rpc, fault).times(1)).unwrap();
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Delay { millis: 3_600_000 }).after(1)).unwrap();
    until("the failure is never seen", async || {
        get(&format!("{}readyz", relay.url)).await.json()["upstream"]["failures"] == 1
    })
    .await;
}

/// A rate-limit fault that lasts an hour.
fn limited() -> Effect {
    let fault = RpcFault::raised("HTTPTooManyRequests", "Too many. Limit may reset in 3600 seconds.");
    let body = String::from_utf8(encode_fault(&fault).to_vec()).unwrap();
    Effect::Answer { status: 200, headers: [("content-type".to_owned(), "text/xml".to_owned())].into(), body }
}

#[tokio::test]
async fn nobody_waits_for_an_upstream_that_is_known_to_be_down_or_limited() {
    for fault in [Effect::Status { code: 503 }, limited()] {
        let sandbox = sandbox().await;
        // A caller would wait for an hour.
        let settings = [
            FRESH,
            "follow.interval=20ms",
            "follow.shortest_wait=10ms",
            "rpc.deadline=1h",
            "follow.head_lifetime=1d",
        ];
        let relay = Relay::start(&sandbox.url(), &[&settings, &ENDLESS_UPSTREAM[..]].concat()).await;
        assert_eq!(asked(&relay, &tomorrow()).await, BTreeSet::new());
        fails(&sandbox, &relay, fault).await;
        assert_eq!(within("it waits", asked(&relay, &tomorrow())).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn an_upstream_that_was_not_heard_for_too_long_is_a_fault_whatever_is_known() {
    let sandbox = sandbox().await;
    for (lifetime, too_long) in [("follow.head_lifetime=1d", false), ("follow.head_lifetime=1s", true)] {
        let quick = [FRESH, "follow.interval=20ms", "follow.shortest_wait=10ms", lifetime];
        let relay = Relay::start(&sandbox.url(), &[&quick, &ENDLESS_UPSTREAM[..]].concat()).await;
        reaches(&relay, sandbox.last_serial().0).await;
        // No event that the first listing had is as late as that, so no history is needed.
        let listed = now();
        until("time stands still", async || now() > listed).await;
        let (since, name) = (Value::Int(now()), format!("known-{too_long}"));
        publish(&sandbox, &name).await;
        assert_eq!(asked(&relay, &since).await, only(&name));
        fails(&sandbox, &relay, Effect::Status { code: 503 }).await;
        let asked = async || call(&relay.url, "changelog", std::slice::from_ref(&since)).await;
        if too_long {
            until("what is known is told for ever", async || {
                asked().await.is_err_and(|fault| is_later(&fault))
            })
            .await;
        } else {
            assert_eq!(names(&asked().await.unwrap()), only(&name));
        }
        relay.stop().await;
        sandbox.faults().clear();
    }
}

#[tokio::test]
async fn who_waits_for_a_slow_upstream_is_answered_a_second_before_the_deadline() {
    let sandbox = sandbox().await;
    let settings = [FRESH, "follow.interval=1d", "follow.head_lifetime=1d", "rpc.deadline=2500ms"];
    let settings = [&settings, &ENDLESS_UPSTREAM[..]].concat();
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let since = Value::Int(now());
    until("upstream is never heard", async || {
        call(&relay.url, "changelog", std::slice::from_ref(&since)).await.is_ok()
    })
    .await;
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Delay { millis: 3_600_000 })).unwrap();
    // On a busy machine the answer itself may take longer than the second.
    until("each is a fault", async || {
        call(&relay.url, "changelog", std::slice::from_ref(&since)).await == Ok(Value::Array(vec![]))
    })
    .await;
}

#[tokio::test]
async fn where_listings_are_compared_a_question_causes_no_fetch_and_misses_nothing() {
    let sandbox = Sandbox::start(SandboxSettings::default()).await.unwrap();
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let settings = [FRESH, "follow.listing_interval=1d", "follow.small_index=0"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let since = Value::Int(now());
    until("the listing never comes", async || {
        call(&relay.url, "changelog", std::slice::from_ref(&since)).await.is_ok()
    })
    .await;
    sandbox.forget_requests();
    publish(&sandbox, "derived").await;
    for _ in 0..3 {
        assert_eq!(asked(&relay, &since).await, BTreeSet::new());
    }
    assert_eq!(sandbox.requests().total(), 0, "{:?}", sandbox.requests().last().collect::<Vec<_>>());
    // The next comparison is that of the next start.
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &settings).await;
    let compared = async {
        while asked(&relay, &since).await != only("derived") {
            tokio::task::yield_now().await;
        }
    };
    within("the event never comes", compared).await;
    assert_eq!(asked(&relay, &tomorrow()).await, BTreeSet::new());
}
