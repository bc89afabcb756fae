//! `browse` and `user_packages`: upstream's answers, kept, and given out old while upstream cannot answer.

use cheesewire::sandbox::{Effect, Fault, RateLimit, Route, Sandbox, SandboxSettings, XmlRpc};
use cheesewire::xmlrpc::Value;

use cheesewire::model::Clock;

use crate::support::{Relay, call, sandbox, within};

/// Nobody else calls upstream.
const ALONE: &str = "follow.enabled=false";
/// Every answer is old at once.
const OLD: &str = "rpc.relayed_max_age=1ms";

fn classifiers(texts: &[&str]) -> Value {
    texts.iter().copied().collect()
}

fn utilities() -> [Value; 1] {
    [classifiers(&["Topic :: Utilities", "Programming Language :: Python :: 3"])]
}

fn bob() -> [Value; 1] {
    ["bob".into()]
}

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[&[ALONE], settings].concat()).await;
    (sandbox, relay)
}

#[tokio::test]
async fn answers_are_upstreams_and_asked_for_once() {
    let (sandbox, relay) = pair(&[]).await;
    let expected = (
        call(&sandbox.url(), "browse", &utilities()).await,
        call(&sandbox.url(), "user_packages", &bob()).await,
    );
    assert!(!expected.0.as_ref().unwrap().as_array().unwrap().is_empty());
    assert!(!expected.1.as_ref().unwrap().as_array().unwrap().is_empty());
    sandbox.forget_requests();
    let asked = (0..20).map(|_| async {
        (call(&relay.url, "browse", &utilities()).await, call(&relay.url, "user_packages", &bob()).await)
    });
    for got in futures_util::future::join_all(asked).await {
        assert_eq!(got, expected);
    }
    // In another order, and twice: the same question.
    let same = [classifiers(&[
        "Programming Language :: Python :: 3",
        "Topic :: Utilities",
        "Programming Language :: Python :: 3",
    ])];
    assert_eq!(call(&relay.url, "browse", &same).await, expected.0);
    assert_eq!((sandbox.requests().method("browse"), sandbox.requests().method("user_packages")), (1, 1));
    let nobody = call(&relay.url, "user_packages", &["nobody".into()]).await;
    assert_eq!(nobody, Ok(Value::Array(vec![])));
}

#[tokio::test]
async fn what_upstream_said_outlives_a_restart_and_upstream() {
    let (sandbox, relay) = pair(&[]).await;
    let asked = |relay: &Relay| {
        let url = relay.url.clone();
        async move { (call(&url, "browse", &utilities()).await, call(&url, "user_packages", &bob()).await) }
    };
    let before = asked(&relay).await;
    let folder = relay.stop().await;
    sandbox.pause().await.unwrap();
    let relay = Relay::start_in(folder, &sandbox.url(), &[ALONE]).await;
    assert_eq!(asked(&relay).await, before);
    // Also when it is old by now: upstream is down.
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &[ALONE, OLD]).await;
    assert_eq!(asked(&relay).await, before);
    let fault = call(&relay.url, "user_packages", &["alice".into()]).await.unwrap_err();
    assert!(fault.string.starts_with("server error; service unavailable; retry in "), "{fault}");
}

/// Upstream answers with a fault.
fn faults(kind: &str, text: &str) -> Effect {
    let fault = cheesewire::xmlrpc::Fault::raised(kind, text);
    let body = cheesewire::xmlrpc::encode_fault(&fault).to_vec();
    Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), "text/xml".to_owned())].into(),
        body: String::from_utf8(body).unwrap(),
    }
}

#[tokio::test]
async fn a_fault_that_refuses_the_question_goes_out_though_an_older_answer_is_kept() {
    let (sandbox, relay) = pair(&[OLD]).await;
    call(&relay.url, "user_packages", &bob()).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Rpc, faults("TypeError", "no such user"))).unwrap();
    let fault = call(&relay.url, "user_packages", &bob()).await.unwrap_err();
    assert_eq!(fault.string, "TypeError: no such user");
}

#[tokio::test]
async fn while_upstream_fails_or_is_limited_old_answers_go_out_and_it_is_left_alone() {
    for effect in [
        faults("HTTPTooManyRequests", "Limit may reset in 600 seconds."),
        Effect::Status { code: 503 },
        Effect::Status { code: 405 },
        Effect::Reset,
    ] {
        let (sandbox, relay) = pair(&[OLD, "rpc.deadline=1h"]).await;
        let before = call(&relay.url, "user_packages", &bob()).await;
        sandbox.faults().add(Fault::on(Route::Rpc, effect.clone())).unwrap();
        sandbox.forget_requests();
        for _ in 0..5 {
            let asked = async { call(&relay.url, "user_packages", &bob()).await };
            assert_eq!(within("it waits for its deadline", asked).await, before, "{effect:?}");
        }
        assert_eq!(sandbox.requests().method("user_packages"), 1, "{effect:?}");
    }
}

#[tokio::test]
async fn a_slow_upstream_costs_an_old_answer_or_a_fault_that_says_when_to_come_back() {
    let (sandbox, relay) = pair(&[OLD, "rpc.deadline=100ms"]).await;
    let slow = Fault::on(Route::Rpc, Effect::Delay { millis: 3_600_000 });
    sandbox.faults().add(slow.clone().times(1)).unwrap();
    let fault = call(&relay.url, "user_packages", &bob()).await.unwrap_err();
    assert_eq!(fault.string, "server error; service unavailable; retry in 1 s");
    // The work goes on: who comes back finds it done, and nobody asked twice.
    sandbox.faults().clear();
    let found = async {
        loop {
            if let Ok(found) = call(&relay.url, "user_packages", &bob()).await {
                return found;
            }
        }
    };
    let found = within("it never comes", found).await;
    assert!(!found.as_array().unwrap().is_empty());
    sandbox.faults().add(slow).unwrap();
    assert_eq!(call(&relay.url, "user_packages", &bob()).await, Ok(found));
}

#[tokio::test]
async fn a_limited_upstream_with_nothing_kept_is_a_fault_with_upstreams_own_time() {
    let rate_limit = Some(RateLimit { per_second: 0.01, burst: 1 });
    let sandbox = Sandbox::start(SandboxSettings { rate_limit, ..SandboxSettings::default() }).await.unwrap();
    let relay = Relay::start(&sandbox.url(), &[ALONE, "rpc.deadline=100ms"]).await;
    // The only call that there is; its answer says so. It may be late, which changes nothing.
    let _ = call(&relay.url, "user_packages", &bob()).await;
    let waited = async {
        loop {
            let fault = call(&relay.url, "browse", &utilities()).await.unwrap_err();
            let retry = fault.string.strip_prefix("server error; service unavailable; retry in ").unwrap();
            let retry: u64 = retry.strip_suffix(" s").unwrap().parse().unwrap();
            if retry > 50 {
                return retry;
            }
        }
    };
    let retry = within("the limit is never told", waited).await;
    assert!(retry <= 100, "{retry}");
    assert_eq!(sandbox.requests().method("browse"), 0);
}

#[tokio::test]
async fn a_known_limit_is_told_at_once_by_every_call_that_needs_upstream_and_has_nothing_kept() {
    let (sandbox, relay) = pair(&["rpc.deadline=100s"]).await;
    let headers = [("retry-after".to_owned(), "1000".to_owned())].into();
    let limited = Effect::Answer { status: 429, headers, body: String::new() };
    sandbox.faults().add(Fault::on(Route::Rpc, limited.clone())).unwrap();
    sandbox.faults().add(Fault::on(Route::Json, limited)).unwrap();
    let one = || vec!["wire-top".into()];
    let two = || vec!["wire-top".into(), "2.0".into()];
    let calls = [
        ("user_packages", bob().into()),
        ("browse", utilities().into()),
        ("package_releases", one()),
        ("package_roles", one()),
        ("release_urls", two()),
        ("release_data", two()),
    ];
    let told = |fault: cheesewire::xmlrpc::Fault| {
        let retry = fault.string.strip_prefix("server error; service unavailable; retry in ").unwrap();
        let retry: u64 = retry.strip_suffix(" s").unwrap().parse().unwrap();
        assert!((500..=1000).contains(&retry), "{fault}");
    };
    // Learns of the limit: who already waits for its turn hears of it as well.
    let first = calls.iter().map(|(method, params)| call(&relay.url, method, params));
    let all = within("it waits for its deadline", futures_util::future::join_all(first)).await;
    for answer in all {
        told(answer.unwrap_err());
    }
    sandbox.forget_requests();
    for (method, params) in &calls {
        told(within("it waits for its deadline", call(&relay.url, method, params)).await.unwrap_err());
        let inside = [("methodName", Value::from(*method)), ("params", Value::Array(params.clone()))];
        let inside = Value::Struct(inside.map(|(name, value)| (name.to_owned(), value)).into());
        let inside = [Value::Array(vec![inside])];
        let several = call(&relay.url, "system.multicall", &inside);
        let several = within("it waits for its deadline", several).await.unwrap();
        let text = several.as_array().unwrap()[0].get("faultString").unwrap().as_str().unwrap().to_owned();
        told(cheesewire::xmlrpc::Fault { code: -32403, string: text });
    }
    assert_eq!(sandbox.requests().total(), 0, "upstream is left alone");
}

#[tokio::test]
async fn a_limit_that_ends_in_time_is_waited_for() {
    let (sandbox, relay) = pair(&["rpc.deadline=1h"]).await;
    let headers = [("retry-after".to_owned(), "2".to_owned())].into();
    let limited = Effect::Answer { status: 429, headers, body: String::new() };
    sandbox.faults().add(Fault::on(Route::Rpc, limited).times(1)).unwrap();
    let fault = call(&relay.url, "user_packages", &bob()).await.unwrap_err();
    assert_eq!(fault.string, "server error; service unavailable; retry in 2 s");
    let answer = within("it never comes", call(&relay.url, "user_packages", &bob())).await.unwrap();
    assert!(!answer.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_upstream_without_the_methods_is_said_to_have_none() {
    let (sandbox, relay) = pair(&[]).await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let fault = call(&relay.url, "browse", &utilities()).await.unwrap_err();
    assert_eq!(
        (fault.code, fault.string.as_str()),
        (-32500, "RuntimeError: the index upstream has no browse")
    );
    sandbox.set_xmlrpc(XmlRpc::Removed);
    let fault = call(&relay.url, "user_packages", &bob()).await.unwrap_err();
    assert!(fault.code == -32500 && fault.string.starts_with("RuntimeError: "), "{fault}");
}

#[tokio::test]
async fn questions_that_cannot_be_meant_do_not_reach_upstream() {
    let (sandbox, relay) = pair(&[]).await;
    let long = "x".repeat(257);
    let many: Value = (0..101).map(|n| n.to_string()).collect();
    for (method, params, expected) in [
        ("browse", many, "ValueError: at most 100 classifiers can be asked for at once"),
        ("browse", classifiers(&[&long]), "ValueError: a classifier has more than 256 characters"),
        ("user_packages", Value::from(long.as_str()), "ValueError: username has more than 256 characters"),
    ] {
        assert_eq!(call(&relay.url, method, &[params]).await.unwrap_err().string, expected);
    }
    assert_eq!(call(&relay.url, "browse", &[classifiers(&[])]).await, Ok(Value::Array(vec![])));
    assert_eq!(sandbox.requests().route(Route::Rpc), 0);
    assert_eq!(call(&sandbox.url(), "browse", &[classifiers(&[])]).await, Ok(Value::Array(vec![])));
}

/// What is asked of upstream for one question now, and whether there is an answer.
async fn asked(sandbox: &Sandbox, relay: &Relay) -> (u64, bool) {
    sandbox.forget_requests();
    let answered = call(&relay.url, "user_packages", &bob()).await.is_ok();
    (sandbox.requests().method("user_packages"), answered)
}

#[tokio::test]
async fn an_answer_is_asked_for_again_at_its_age_and_when_it_was_given_in_the_future() {
    let (sandbox, now) = (sandbox().await, 1_700_000_000);
    let clock = Clock::standing_at(now);
    let relay = Relay::start_at(&sandbox.url(), &[ALONE], &clock).await;
    let ahead = 30 * 86_400;
    for (after, expected) in
        [(0, 1), (899, 0), (900, 1), (1_799, 0), (ahead, 1), (ahead, 0), (1_000, 1), (1_000, 0)]
    {
        clock.set(now + after);
        assert_eq!(asked(&sandbox, &relay).await, (expected, true), "{after}");
    }
    // The same after a restart.
    clock.set(now + ahead);
    assert_eq!(asked(&sandbox, &relay).await, (1, true));
    clock.set(now);
    let relay = Relay::start_in_at(relay.stop().await, &sandbox.url(), &[ALONE], &clock).await;
    assert_eq!(asked(&sandbox, &relay).await, (1, true));
    assert_eq!(asked(&sandbox, &relay).await, (0, true));
}

#[tokio::test]
async fn while_upstream_fails_an_answer_goes_out_for_its_time_and_is_believed_for_a_pause() {
    let (sandbox, now, hour) = (sandbox().await, 1_700_000_000, 3_600);
    let clock = Clock::standing_at(now);
    let relay = Relay::start_at(&sandbox.url(), &[ALONE, "rpc.relayed_stale=1h"], &clock).await;
    assert_eq!(asked(&sandbox, &relay).await, (1, true));
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Status { code: 503 })).unwrap();
    for (after, expected) in [
        (900, (1, true)),
        (909, (0, true)),
        (910, (1, true)),
        // The pause that began then is over now.
        (905, (1, true)),
        (hour - 1, (1, true)),
        (hour, (1, false)),
        (30 * 86_400, (1, false)),
        // Who knows how old it is, if it comes from so far in the future?
        (-hour, (1, false)),
        (-1, (1, true)),
    ] {
        clock.set(now + after);
        assert_eq!(asked(&sandbox, &relay).await, expected, "{after}");
    }
}
