//! Serials that a page or document states wrongly, once or from then on.

use std::time::Duration;

use cheesewire::index::{Form, IndexSettings};
use cheesewire::journal::{Derived, QuestionStart};
use cheesewire::model::{Clock, Event, Serial};
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, Serials};

use super::{happen, name, publish, quick};
use crate::support::{IndexRelay, sandbox};

const NOW: i64 = 1_700_000_000;

/// Every question goes upstream, which has nothing older than what it gives.
fn asking() -> IndexSettings {
    let (page_max_age, json_max_age) = (Duration::ZERO, Duration::ZERO);
    IndexSettings { page_max_age, json_max_age, older_after: Duration::ZERO, ..quick() }
}

/// Pages and documents state these from now on.
fn state(sandbox: &Sandbox, state: &Serials) {
    for route in [Route::Page, Route::Json] {
        sandbox.faults().add(Fault::on(route, Effect::Serials { state: state.clone() })).unwrap();
    }
}

async fn files(relay: &IndexRelay) -> (usize, usize) {
    let page = relay.index.page(&name("wire-top")).await.unwrap().files.len();
    let document = relay.index.json(&name("wire-top"), None).await.unwrap();
    (page, document.value["releases"].as_object().unwrap().len())
}

#[tokio::test]
async fn a_serial_that_was_wrong_once_freezes_no_page_no_document_and_no_header() {
    let settings = IndexSettings { older_after: Duration::from_hours(1), ..asking() };
    // Beyond what can be told at all, and beyond what is plausible.
    for wrong in [1 << 53, 2_000_000_000] {
        let sandbox = sandbox().await;
        let relay = IndexRelay::start(&sandbox.url(), settings.clone()).await;
        relay.seed().await;
        relay.journal.note_pace(sandbox.last_serial()).await.unwrap();
        state(&sandbox, &Serials::One(wrong));
        let before = files(&relay).await;
        assert_eq!(relay.index.last_serial(), Some(sandbox.last_serial()), "{wrong}");
        sandbox.faults().clear();
        happen(&sandbox, &relay, publish("wire-top", "77.0")).await;
        assert_eq!(files(&relay).await, (before.0 + 2, before.1 + 1), "{wrong}");
    }
}

#[tokio::test]
async fn a_plausible_serial_that_was_wrong_holds_as_long_as_a_cache_could_give_an_older_copy() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), asking()).await;
    relay.seed().await;
    relay.journal.note_pace(sandbox.last_serial()).await.unwrap();
    state(&sandbox, &Serials::One(sandbox.last_serial().0 + 50_000));
    let before = files(&relay).await;
    sandbox.faults().clear();
    happen(&sandbox, &relay, publish("wire-top", "77.0")).await;
    assert_eq!(files(&relay).await, (before.0 + 2, before.1 + 1));
}

#[tokio::test]
async fn a_serial_that_upstreams_last_one_disproves_holds_back_neither_a_young_page_nor_a_newer_one() {
    for page_max_age in [Duration::ZERO, Duration::from_hours(1)] {
        let (sandbox, clock) = (sandbox().await, Clock::standing_at(NOW));
        let (json_max_age, older_after) = (page_max_age, Duration::from_hours(1));
        let settings = IndexSettings { page_max_age, json_max_age, older_after, ..quick() };
        let relay = IndexRelay::start_at(&sandbox.url(), settings, &clock).await;
        relay.seed().await;
        state(&sandbox, &Serials::One(sandbox.last_serial().0 + 50_000));
        let before = files(&relay).await;
        sandbox.faults().clear();
        clock.set(NOW + 5);
        happen(&sandbox, &relay, publish("wire-top", "77.0")).await;
        // Not yet: it could be that upstream is that far.
        assert_eq!(files(&relay).await, before, "{page_max_age:?}");
        clock.set(NOW + 600);
        relay.journal.caught_up(QuestionStart::now(&clock)).await;
        assert_eq!(files(&relay).await, (before.0 + 2, before.1 + 1), "{page_max_age:?}");
    }
}

#[tokio::test]
async fn a_copy_that_our_own_event_leads_is_asked_for_whole_and_is_as_new_as_that_event() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    let (project, head) = (name("wire-top"), sandbox.last_serial());
    let stated = relay.index.page(&project).await.unwrap().last_serial;
    let told = Serial(head.0 + 2);
    let action = "docupdate".to_owned();
    let event = Event { serial: told, name: project.to_string(), version: None, time: 1, action };
    let derived = Derived {
        since: head,
        upto: told,
        events: vec![event],
        listed: vec![(project.clone(), project.to_string(), stated)],
        head,
        taken: Some(1),
        ..Derived::default()
    };
    assert!(relay.journal.derive(derived).await.unwrap());
    sandbox.forget_requests();
    let page = relay.index.rendered_page(&project, Form::Json, "http://relay.test").await.unwrap();
    assert_eq!(page.last_serial, Some(told));
    assert!(sandbox.requests().last().all(|seen| seen.if_none_match.is_none()));
}

#[tokio::test]
async fn a_page_whose_serial_vanishes_is_no_older_one() {
    let sandbox = sandbox().await;
    let settings = IndexSettings { older_after: Duration::from_hours(1), ..asking() };
    let relay = IndexRelay::start(&sandbox.url(), settings).await;
    let before = files(&relay).await;
    state(&sandbox, &Serials::None);
    sandbox.change(publish("wire-top", "77.0")).await.unwrap();
    assert_eq!(files(&relay).await, (before.0 + 2, before.1 + 1));
    assert!(relay.index.last_serial() >= Some(Serial(1)));
}
