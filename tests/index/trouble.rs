//! An upstream that fails, and an upstream that has less than another.

use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use cheesewire::index::{IndexError, IndexSettings};
use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{Change, Effect, Fault, Route};

use super::{happen, name, publish, quick};
use crate::support::scripted::serve;
use crate::support::{IndexRelay, get, sandbox, until};

/// Settings under which everything must be asked again.
fn forgetful() -> IndexSettings {
    IndexSettings { page_max_age: Duration::ZERO, json_max_age: Duration::ZERO, ..quick() }
}

#[tokio::test]
async fn what_is_kept_goes_out_while_upstream_is_down_and_says_so() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), forgetful()).await;
    let fresh = get(&relay.url("/simple/wire-core/")).await;
    assert_eq!(fresh.header("warning"), "");
    sandbox.pause().await.unwrap();
    for _ in 0..2 {
        let stale = get(&relay.url("/simple/wire-core/")).await;
        assert_eq!((stale.status, stale.bytes()), (200, fresh.bytes()));
        assert_eq!(stale.header("warning"), "110 - \"Response is Stale\"");
        assert_eq!(stale.header("cache-control"), "no-cache");
    }
    let restarted = relay.forgetful(forgetful()).page(&name("wire-core")).await;
    assert_eq!(restarted.unwrap().files.len(), sandbox.project("wire-core").unwrap().files().count());
}

#[tokio::test]
async fn a_slow_upstream_is_waited_for_only_if_nothing_is_kept() {
    let sandbox = sandbox().await;
    let (patience, deadline) = (Duration::from_millis(1), Duration::from_mins(1));
    let settings = IndexSettings { patience, deadline, ..forgetful() };
    let relay = IndexRelay::start(&sandbox.url(), settings).await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 200 })).unwrap();
    let first = get(&relay.url("/simple/wire-core/")).await;
    assert_eq!((first.status, first.header("warning")), (200, ""));
    let second = get(&relay.url("/simple/wire-core/")).await;
    assert_eq!((second.status, second.bytes()), (200, first.bytes()));
    assert_ne!(second.header("warning"), "");
    until("the second fetch is given up", async || sandbox.requests().route(Route::Page) == 2).await;
}

#[tokio::test]
async fn with_nothing_kept_a_client_is_told_to_come_back_at_the_deadline_and_the_fetch_goes_on() {
    let sandbox = sandbox().await;
    let (patience, deadline) = (Duration::from_millis(1), Duration::from_millis(20));
    let relay = IndexRelay::start(&sandbox.url(), IndexSettings { patience, deadline, ..quick() }).await;
    for route in [Route::Page, Route::Json] {
        sandbox.faults().add(Fault::on(route, Effect::Delay { millis: 3_600_000 })).unwrap();
    }
    for path in ["/simple/wire-core/", "/pypi/wire-core/json"] {
        let early = get(&relay.url(path)).await;
        assert_eq!((early.status, early.header("retry-after")), (503, "5"), "{path}");
    }
    sandbox.faults().clear();
    until("the fetch was given up", async || {
        get(&relay.url("/simple/wire-core/")).await.status == 200
            && get(&relay.url("/pypi/wire-core/json")).await.status == 200
    })
    .await;
    assert_eq!((sandbox.requests().route(Route::Page), sandbox.requests().route(Route::Json)), (1, 1));
}

/// A 429 for one page, once, that asks for silence of so many seconds.
fn limit(seconds: u32) -> Fault {
    let headers = [("retry-after".to_owned(), seconds.to_string())].into();
    let limit = Effect::Answer { status: 429, headers, body: "slowly".to_owned() };
    Fault::on(Route::Page, limit).path("wire-top").times(1)
}

#[tokio::test]
async fn after_a_429_upstream_hears_of_no_page_for_a_moment_and_of_that_one_until_its_time_has_passed() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), forgetful()).await;
    let kept = get(&relay.url("/simple/wire-core/")).await;
    sandbox.faults().add(limit(3600)).unwrap();
    let refused = get(&relay.url("/simple/wire-top/")).await;
    // Whether there is such a project is not known: such a client is told to come back soon, and finds the same.
    assert_eq!(refused.status, 503);
    let asked = sandbox.requests().total();
    // The others may be asked for after 3 s; if this machine takes longer to come here, they are.
    for path in ["/pypi/wire-top/json", "/simple/wire-left/"] {
        let other = get(&relay.url(path)).await;
        let refused = other.status == 503 && matches!(other.header("retry-after"), "1" | "2" | "3");
        assert!(refused || sandbox.requests().total() > asked, "{path}: {}", other.status);
    }
    let stale = get(&relay.url("/simple/wire-core/")).await;
    assert_eq!((stale.status, stale.bytes()), (200, kept.bytes()));
    until("the host is never asked again", async || {
        get(&relay.url("/simple/wire-left/")).await.status == 200
    })
    .await;
    let asked = sandbox.requests().total();
    let refused = get(&relay.url("/simple/wire-top/")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(sandbox.requests().total(), asked);
}

#[tokio::test]
async fn when_the_time_that_a_429_named_has_passed_upstream_is_asked_again() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), forgetful()).await;
    sandbox.faults().add(limit(1)).unwrap();
    assert_eq!(get(&relay.url("/simple/wire-top/")).await.status, 503);
    until("the silence never ends", async || get(&relay.url("/simple/wire-top/")).await.status == 200).await;
}

#[tokio::test]
async fn one_client_waits_for_a_slow_upstream_and_the_next_ones_do_not() {
    let sandbox = sandbox().await;
    let patience = Duration::from_secs(2);
    let relay = IndexRelay::start(&sandbox.url(), IndexSettings { patience, ..forgetful() }).await;
    relay.index.page(&name("wire-core")).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 3_600_000 })).unwrap();
    let many = async {
        for _ in 0..20 {
            relay.index.page(&name("wire-core")).await.unwrap();
        }
    };
    // Waiting each would take 40 s.
    tokio::time::timeout(15 * patience, many).await.unwrap();
}

#[tokio::test]
async fn without_anything_kept_a_dead_upstream_is_a_503_that_says_when() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    sandbox.pause().await.unwrap();
    for path in ["/simple/wire-core/", "/pypi/wire-core/json", "/pypi/wire-core/1.0/json"] {
        let answer = get(&relay.url(path)).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
    sandbox.resume().await.unwrap();
    assert_eq!(get(&relay.url("/simple/wire-core/")).await.status, 200);
}

#[tokio::test]
async fn what_is_too_old_does_not_go_out() {
    let sandbox = sandbox().await;
    let settings = IndexSettings { stale_if_error: Duration::ZERO, ..forgetful() };
    let relay = IndexRelay::start(&sandbox.url(), settings).await;
    assert_eq!(get(&relay.url("/simple/wire-core/")).await.status, 200);
    sandbox.pause().await.unwrap();
    assert_eq!(get(&relay.url("/simple/wire-core/")).await.status, 503);
}

#[tokio::test]
async fn what_the_journal_saw_removed_does_not_go_out_while_upstream_is_down() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    relay.index.page(&name("wire-core")).await.unwrap();
    happen(&sandbox, &relay, Change::RemoveProject { name: "wire-core".to_owned() }).await;
    sandbox.pause().await.unwrap();
    assert_ne!(get(&relay.url("/simple/wire-core/")).await.status, 200);
}

#[tokio::test]
async fn a_project_that_was_removed_before_anybody_asked_is_not_there_though_a_cache_still_has_it() {
    let json = "application/vnd.pypi.simple.v1+json";
    let body = r#"{"meta":{"api-version":"1.0"},"name":"a","files":[]}"#;
    let page = move || async move { ([("content-type", json), ("x-pypi-last-serial", "10")], body) };
    let base = serve(Router::new().route("/simple/a/", route(page))).await;
    let relay = IndexRelay::start(base.as_str(), quick()).await;
    relay.journal.seed(vec![("a".to_owned(), Some(Serial(10)))], Serial(10)).await.unwrap();
    let (name, action) = ("a".to_owned(), "remove project".to_owned());
    let removal = Event { serial: Serial(11), name, version: None, time: 1, action };
    relay.journal.append(vec![removal], Serial(10), Serial(11)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(get(&relay.url("/simple/a/")).await.status, 404);
    }
}

#[tokio::test]
async fn nonsense_from_upstream_is_a_502_or_what_is_kept_and_the_relay_goes_on() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), forgetful()).await;
    let kept = get(&relay.url("/simple/wire-left/")).await;
    let answer = |content_type: &str, body: &str| Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), content_type.to_owned())].into(),
        body: body.to_owned(),
    };
    let json = "application/vnd.pypi.simple.v1+json";
    let part = Effect::Answer {
        status: 206,
        headers: [("content-type".to_owned(), json.to_owned())].into(),
        body: "{\"meta\":{\"api-version\":\"1.0\"},\"name\":\"a\",\"files\":[]}".to_owned(),
    };
    let nonsense = [
        (part, 502),
        (answer("image/png", "secret"), 502),
        (answer(json, ""), 502),
        (answer(json, "<html>secret</html>"), 502),
        (answer(json, "{\"meta\":{\"api-version\":\"1.0\"},\"name\":\"a\",\"fi"), 502),
        (answer(json, "{\"meta\":{\"api-version\":\"2.0\"},\"name\":\"a\",\"files\":[]}"), 502),
        (Effect::Status { code: 500 }, 503),
        (Effect::Reset, 503),
        (Effect::Cut { at: 20 }, 503),
    ];
    for (effect, status) in nonsense {
        sandbox.faults().add(Fault::on(Route::Page, effect.clone())).unwrap();
        let answer = get(&relay.url("/simple/wire-core/")).await;
        assert_eq!(answer.status, status, "{effect:?}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        let stale = get(&relay.url("/simple/wire-left/")).await;
        assert_eq!((stale.status, stale.bytes()), (200, kept.bytes()), "{effect:?}");
        sandbox.faults().clear();
    }
    assert_eq!(get(&relay.url("/simple/wire-core/")).await.status, 200);
}

#[tokio::test]
async fn a_file_beside_its_page_is_found_by_its_name() {
    let html = "<a href='a-1.0.tar.gz#sha256=00'>a-1.0.tar.gz</a>";
    let page = route(move || async move { ([("content-type", "text/html")], html) });
    let base = serve(Router::new().route("/simple/a/", page)).await;
    let relay = IndexRelay::start(base.as_str(), quick()).await;
    let file = relay.index.file_by_name("a-1.0.tar.gz", &name("a")).await.unwrap().file;
    assert!(file.path.as_str().starts_with("x/"), "{}", file.path);
    assert_eq!(*file.url, *format!("{base}simple/a/a-1.0.tar.gz"));
}

#[tokio::test]
async fn a_release_that_does_not_exist_is_told_from_a_project() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let release = relay.index.json(&name("wire-core"), Some("77")).await;
    assert!(matches!(release, Err(IndexError::NoSuchRelease)), "{release:?}");
    let project = relay.index.json(&name("no-such-thing"), Some("77")).await;
    assert!(matches!(project, Err(IndexError::NoSuchProject)), "{project:?}");
    sandbox.forget_requests();
    let endless = relay.index.json(&name("wire-core"), Some(&"7".repeat(10_000))).await;
    assert!(matches!(endless, Err(IndexError::NoSuchRelease)), "{endless:?}");
    assert_eq!(sandbox.requests().total(), 0);
    let answer = get(&relay.url("/pypi/wire-core/77/json")).await;
    assert_eq!((answer.status, answer.text()), (404, r#"{"message":"no such release"}"#));
}

#[tokio::test]
async fn while_upstream_is_slow_a_page_from_before_a_removal_does_not_go_out_and_one_from_before_a_release_does()
 {
    let removal =
        |filename: &str| Change::RemoveFile { name: "wire-core".to_owned(), filename: filename.to_owned() };
    let sandbox = sandbox().await;
    let filename = sandbox.project("wire-core").unwrap().files().next().unwrap().1.file.filename.clone();
    let gone = Change::RemoveProject { name: "wire-core".to_owned() };
    for (change, goes_out) in
        [(publish("wire-core", "99.0"), true), (removal(&filename), false), (gone, false)]
    {
        // The first look is one that upstream answers.
        let relay = IndexRelay::start(&sandbox.url(), quick()).await;
        relay.seed().await;
        relay.index.page(&name("wire-core")).await.unwrap();
        let slow = Fault::on(Route::Page, Effect::Delay { millis: 60_000 });
        sandbox.faults().add(slow).unwrap();
        happen(&sandbox, &relay, change.clone()).await;
        let (patience, deadline) = (Duration::from_millis(1), Duration::from_millis(50));
        let impatient = relay.forgetful(IndexSettings { patience, deadline, ..quick() });
        let page = impatient.page(&name("wire-core")).await;
        assert_eq!(page.is_ok(), goes_out, "{change:?}: {page:?}");
        sandbox.faults().clear();
    }
}
