//! When upstream is asked, and what is believed.

use std::time::Duration;

use cheesewire::index::{IndexError, IndexSettings};
use cheesewire::journal::DocumentKey;
use cheesewire::sandbox::{Change, Effect, Fault, Route};

use super::{happen, name, publish, quick};
use crate::support::{IndexRelay, get, sandbox};

#[tokio::test]
async fn fifty_clients_make_one_upstream_fetch() {
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 50 })).unwrap();
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let url = relay.url("/simple/wire-core/");
    let clients = (0..50).map(|_| get(&url));
    let answers = futures_util::future::join_all(clients).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.bytes() == answers[0].bytes()));
    assert_eq!(sandbox.requests().route(Route::Page), 1);
}

#[tokio::test]
async fn what_is_kept_answers_after_a_restart_without_asking() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let before = relay.index.page(&name("wire-core")).await.unwrap();
    let after = relay.forgetful(quick()).page(&name("wire-core")).await.unwrap();
    assert_eq!(before, after);
    assert_eq!(sandbox.requests().total(), 1);
}

#[tokio::test]
async fn an_old_page_is_revalidated_with_its_validator() {
    let sandbox = sandbox().await;
    let settings = IndexSettings { page_max_age: Duration::ZERO, ..quick() };
    let relay = IndexRelay::start(&sandbox.url(), settings).await;
    for _ in 0..2 {
        relay.index.page(&name("wire-core")).await.unwrap();
    }
    let asked: Vec<_> = sandbox.requests().last().map(|seen| seen.if_none_match.is_some()).collect();
    assert_eq!(asked, [false, true]);
}

#[tokio::test]
async fn a_confirmation_is_kept_across_restarts() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.index.page(&name("wire-core")).await.unwrap();
    let key = DocumentKey::Page(name("wire-core"));
    relay.journal.touch_document(&key, 1_700_000_000).await.unwrap();
    for _ in 0..2 {
        relay.forgetful(quick()).page(&name("wire-core")).await.unwrap();
    }
    let asked: Vec<_> = sandbox.requests().last().map(|seen| seen.if_none_match.is_some()).collect();
    assert_eq!(asked, [false, true]);
}

#[tokio::test]
async fn an_event_in_the_journal_makes_a_page_stale_at_once() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    let other = relay.index.page(&name("wire-left")).await.unwrap();
    let old = relay.index.page(&name("wire-core")).await.unwrap();
    happen(&sandbox, &relay, publish("wire-core", "99.0")).await;
    sandbox.forget_requests();
    let new = relay.index.page(&name("wire-core")).await.unwrap();
    assert_eq!(new.files.len(), old.files.len() + 2);
    assert!(new.last_serial > old.last_serial);
    assert_eq!(relay.index.page(&name("wire-left")).await.unwrap(), other);
    assert_eq!((sandbox.requests().total(), sandbox.requests().path("/simple/wire-core/")), (1, 1));
}

#[tokio::test]
async fn a_copy_older_than_the_journal_is_asked_for_again() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    relay.index.page(&name("wire-core")).await.unwrap();
    happen(&sandbox, &relay, publish("wire-core", "99.0")).await;
    sandbox.forget_requests();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 100 }).times(2)).unwrap();
    let page = relay.index.page(&name("wire-core")).await.unwrap();
    assert!(page.files.iter().any(|file| file.filename.contains("99.0")));
    assert_eq!(sandbox.requests().route(Route::Page), 3);
}

#[tokio::test]
async fn a_copy_that_stays_behind_never_lowers_the_serial_and_is_not_asked_for_all_the_time() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    happen(&sandbox, &relay, publish("wire-core", "98.0")).await;
    let url = relay.url("/simple/wire-core/");
    let given = get(&url).await;
    happen(&sandbox, &relay, publish("wire-core", "99.0")).await;
    sandbox.forget_requests();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 1000 })).unwrap();
    for _ in 0..3 {
        let answer = get(&url).await;
        assert_eq!(answer.header("x-pypi-last-serial"), given.header("x-pypi-last-serial"));
        assert_eq!(answer.bytes(), given.bytes());
    }
    assert_eq!(sandbox.requests().route(Route::Page), 3);
    // Until the journal hears of more.
    sandbox.faults().clear();
    happen(&sandbox, &relay, publish("wire-core", "100.0")).await;
    assert!(get(&url).await.text().contains("100.0"));
}

#[tokio::test]
async fn a_removed_project_is_gone_at_once_even_if_a_cache_upstream_still_has_it() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    let page = relay.index.page(&name("wire-core")).await.unwrap();
    relay.index.json(&name("wire-core"), None).await.unwrap();
    happen(&sandbox, &relay, Change::RemoveProject { name: "wire-core".to_owned() }).await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 100 })).unwrap();
    assert_eq!(get(&relay.url("/simple/wire-core/")).await.status, 404);
    let file = relay.index.file(&page.files[0].path).await;
    assert!(matches!(file, Err(IndexError::NoSuchFile)), "{file:?}");
    sandbox.faults().clear();
    assert_eq!(get(&relay.url("/pypi/wire-core/json")).await.status, 404);
}

#[tokio::test]
async fn an_absence_is_remembered_until_the_journal_hears_otherwise() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    for _ in 0..3 {
        assert_eq!(get(&relay.url("/simple/brand-new/")).await.status, 404);
    }
    assert_eq!(sandbox.requests().route(Route::Page), 1);
    happen(&sandbox, &relay, publish("Brand.New", "1.0")).await;
    assert_eq!(get(&relay.url("/simple/brand-new/")).await.status, 200);
}

#[tokio::test]
async fn a_page_that_goes_takes_its_projects_document_along() {
    let sandbox = sandbox().await;
    let settings = IndexSettings { page_max_age: Duration::ZERO, ..quick() };
    let relay = IndexRelay::start(&sandbox.url(), settings).await;
    relay.index.json(&name("wire-core"), None).await.unwrap();
    relay.index.page(&name("wire-core")).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 404 })).unwrap();
    let gone = relay.index.page(&name("wire-core")).await;
    assert!(matches!(gone, Err(IndexError::NoSuchProject)), "{gone:?}");
    sandbox.forget_requests();
    relay.index.json(&name("wire-core"), None).await.unwrap();
    assert_eq!(sandbox.requests().route(Route::Json), 1, "it went out from memory");
}
