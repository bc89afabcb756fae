//! What the index believes when the clock moves: forward, and back from 30 days ahead.

use std::time::Duration;

use cheesewire::index::IndexSettings;
use cheesewire::model::Clock;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};

use super::{happen, name, publish, quick};
use crate::support::{IndexRelay, get, sandbox};

const NOW: i64 = 1_700_000_000;
const AHEAD: i64 = NOW + 30 * 86_400;

/// A relay of pages whose clock stands at [`NOW`], and the sandbox behind it.
async fn standing(settings: IndexSettings) -> (Sandbox, IndexRelay, Clock) {
    let (sandbox, clock) = (sandbox().await, Clock::standing_at(NOW));
    let relay = IndexRelay::start_at(&sandbox.url(), settings, &clock).await;
    (sandbox, relay, clock)
}

/// How often upstream is asked while a page and a JSON document are.
async fn asked(sandbox: &Sandbox, relay: &IndexRelay) -> (u64, u64) {
    sandbox.forget_requests();
    relay.index.page(&name("wire-core")).await.unwrap();
    relay.index.json(&name("wire-core"), None).await.unwrap();
    (sandbox.requests().route(Route::Page), sandbox.requests().route(Route::Json))
}

#[tokio::test]
async fn pages_and_documents_are_asked_for_again_at_their_age_and_not_before() {
    let (sandbox, relay, clock) = standing(quick()).await;
    assert_eq!(asked(&sandbox, &relay).await, (1, 1));
    for (after, expected) in
        [(599, (0, 0)), (600, (1, 0)), (899, (0, 0)), (900, (0, 1)), (1199, (0, 0)), (1200, (1, 0))]
    {
        clock.set(NOW + after);
        assert_eq!(asked(&sandbox, &relay).await, expected, "after {after} s");
    }
}

#[tokio::test]
async fn what_was_checked_while_the_clock_was_ahead_is_asked_for_again_once_it_is_back() {
    let (sandbox, mut relay, clock) = standing(quick()).await;
    for restarted in [false, true] {
        clock.set(AHEAD);
        asked(&sandbox, &relay).await;
        assert_eq!(asked(&sandbox, &relay).await, (0, 0));
        clock.set(NOW);
        if restarted {
            relay.index = relay.forgetful(quick());
        }
        assert_eq!(asked(&sandbox, &relay).await, (1, 1), "restarted: {restarted}");
        assert!(sandbox.requests().last().all(|seen| seen.if_none_match.is_some()));
        assert_eq!(asked(&sandbox, &relay).await, (0, 0));
    }
}

#[tokio::test]
async fn a_stale_page_is_believed_for_the_pause_and_no_longer_because_the_clock_came_back() {
    let settings = IndexSettings { failure_pause: Duration::from_mins(1), ..quick() };
    let (sandbox, relay, clock) = standing(settings).await;
    asked(&sandbox, &relay).await;
    for route in [Route::Page, Route::Json] {
        sandbox.faults().add(Fault::on(route, Effect::Status { code: 503 })).unwrap();
    }
    clock.set(NOW + 3600);
    assert_eq!(asked(&sandbox, &relay).await, (1, 1));
    for (after, expected) in [(3659, (0, 0)), (3660, (1, 1)), (3661, (0, 0)), (0, (1, 1)), (1, (0, 0))] {
        clock.set(NOW + after);
        assert_eq!(asked(&sandbox, &relay).await, expected, "{after}");
    }
}

#[tokio::test]
async fn while_upstream_fails_what_is_out_of_its_time_in_either_direction_does_not_go_out() {
    let settings = IndexSettings { failure_pause: Duration::ZERO, ..quick() };
    let (sandbox, relay, clock) = standing(settings).await;
    let day = 86_400;
    asked(&sandbox, &relay).await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 503 })).unwrap();
    let url = relay.url("/simple/wire-core/");
    for (after, status) in [(600, 200), (day - 1, 200), (day, 503), (30 * day, 503), (day - 1, 200)] {
        clock.set(NOW + after);
        assert_eq!(get(&url).await.status, status, "{after}");
    }
    // A clock that is corrected by a second takes nothing away; one that was wrong by days leaves no age.
    for (back, status) in [(1, 200), (day - 1, 200), (day, 503), (30 * day, 503)] {
        clock.set(NOW - back);
        assert_eq!(get(&url).await.status, status, "{back} s before it was fetched");
    }
}

#[tokio::test]
async fn while_upstream_is_slow_what_is_out_of_its_time_does_not_go_out() {
    let (patience, deadline) = (Duration::from_millis(1), Duration::from_millis(50));
    let (sandbox, relay, clock) = standing(IndexSettings { patience, ..quick() }).await;
    let index = &relay.index;
    index.page(&name("wire-core")).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 60_000 })).unwrap();
    let impatient = relay.forgetful(IndexSettings { patience, deadline, ..quick() });
    for (now, kept) in
        [(NOW + 86_399, true), (NOW + 86_420, false), (NOW - 86_420, false), (NOW - 86_399, true)]
    {
        clock.set(now);
        assert_eq!(impatient.page(&name("wire-core")).await.is_ok(), kept, "{}", now - NOW);
    }
}

/// How often upstream is asked while a project that it does not have is.
async fn asked_in_vain(sandbox: &Sandbox, relay: &IndexRelay) -> u64 {
    sandbox.forget_requests();
    assert_eq!(get(&relay.url("/simple/newcomer/")).await.status, 404);
    sandbox.requests().route(Route::Page)
}

#[tokio::test]
async fn an_absent_project_is_asked_for_again_when_that_is_old_or_was_heard_in_the_future() {
    let (sandbox, relay, clock) = standing(quick()).await;
    assert_eq!(asked_in_vain(&sandbox, &relay).await, 1);
    for (now, expected) in
        [(NOW + 59, 0), (NOW + 60, 1), (NOW + 61, 0), (AHEAD, 1), (AHEAD, 0), (NOW + 61, 1), (NOW + 61, 0)]
    {
        clock.set(now);
        assert_eq!(asked_in_vain(&sandbox, &relay).await, expected, "{}", now - NOW);
    }
    clock.set(NOW + 200);
    sandbox.change(publish("newcomer", "1.0")).await.unwrap();
    assert_eq!(get(&relay.url("/simple/newcomer/")).await.status, 200, "it is remembered for ever");
}

#[tokio::test]
async fn a_page_behind_the_journal_is_believed_for_its_pause_and_not_into_the_future() {
    let (sandbox, relay, clock) = standing(quick()).await;
    relay.seed().await;
    relay.index.page(&name("wire-core")).await.unwrap();
    happen(&sandbox, &relay, publish("wire-core", "99.0")).await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 1000 })).unwrap();
    // Three times: it might catch up within the pauses.
    for (after, expected) in [(0, 3), (59, 0), (60, 1), (119, 0), (30 * 86_400, 1), (120, 1), (120, 0)] {
        clock.set(NOW + after);
        sandbox.forget_requests();
        relay.index.page(&name("wire-core")).await.unwrap();
        assert_eq!(sandbox.requests().route(Route::Page), expected, "{after}");
    }
}
