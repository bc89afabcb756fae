//! The whole relay while its clock moves: 30 days ahead, and back.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cheesewire::model::Clock;
use cheesewire::sandbox::{Effect, Fault, File, Route, Sandbox};
use reqwest::Method;

use crate::support::{Answer, Relay, get, get_with, post, sandbox, until};

const DAY: i64 = 86_400;

/// The relay's clock stands at the system's time.
async fn standing(settings: &[&str]) -> (Sandbox, Relay, Clock, i64) {
    let (sandbox, now) = (sandbox().await, Clock::system().unix());
    let clock = Clock::standing_at(now);
    let relay = Relay::start_at(&sandbox.url(), settings, &clock).await;
    (sandbox, relay, clock, now)
}

fn small(sandbox: &Sandbox) -> Arc<File> {
    let projects = sandbox.projects();
    let mut files = projects.iter().flat_map(|project| project.files().map(|(_, upload)| &upload.file));
    files.find(|file| (500..20_000).contains(&file.content.size())).unwrap().clone()
}

fn date(answer: &Answer) -> i64 {
    let date = httpdate::parse_http_date(answer.header("date")).unwrap();
    i64::try_from(date.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test]
async fn every_answer_is_dated_by_the_clock_also_after_one_that_was_ahead() {
    let (sandbox, relay, clock, now) = standing(&[]).await;
    let url = |path: &str| format!("{}{path}", relay.url);
    let file = url(&format!("packages/{}", small(&sandbox).path));
    for now in [now, now + 30 * DAY, now, now - DAY] {
        clock.set(now);
        let call = b"<?xml version='1.0'?><methodCall><methodName>list_packages</methodName></methodCall>";
        let answers = [
            ("a page", get(&url("simple/wire-core/")).await, 200),
            ("a streamed list", get(&url("simple/")).await, 200),
            ("a file", get(&file).await, 200),
            ("the same from memory", get(&file).await, 200),
            ("a redirect", get(&url("simple/wire-core")).await, 301),
            ("nothing", get(&url("nothing/here")).await, 404),
            ("a wrong method", get_with(Method::DELETE, &url("simple/"), &[]).await.unwrap(), 405),
            ("a call", post(&url("pypi"), call.to_vec()).await, 200),
            ("a call that is none", post(&url("pypi"), b"<".to_vec()).await, 200),
            ("metrics", get(&url("metrics")).await, 200),
        ];
        for (what, answer, status) in answers {
            assert_eq!((answer.status, date(&answer)), (status, now), "{what}");
            assert_eq!(answer.headers.get_all("date").iter().count(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_call_is_dated_once_also_by_the_systems_clock() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let call = b"<?xml version='1.0'?><methodCall><methodName>list_packages</methodName></methodCall>";
    let before = Clock::system().unix();
    let answer = post(&format!("{}pypi", relay.url), call.to_vec()).await;
    assert!((before..=Clock::system().unix()).contains(&date(&answer)));
    assert_eq!(answer.headers.get_all("date").iter().count(), 1);
}

#[tokio::test]
async fn a_kept_file_says_its_age_by_the_clock_and_none_if_it_came_in_the_future() {
    let (sandbox, relay, clock, _) = standing(&[]).await;
    let url = format!("{}packages/{}", relay.url, small(&sandbox).path);
    until("it is never kept", async || !get(&url).await.header("age").is_empty()).await;
    // When a file came is by the kernel's clock.
    let now = Clock::system().unix();
    let ahead = 30 * DAY;
    for (after, days) in [(0, "0"), (ahead + 3_600, "30"), (0, "0"), (-ahead, "")] {
        clock.set(now + after);
        for _ in 0..2 {
            let answer = get(&url).await;
            assert_eq!(answer.status, 200);
            let age = answer
                .header("age")
                .parse::<i64>()
                .map_or_else(|_| String::new(), |age| (age / DAY).to_string());
            assert_eq!(age, days, "{after}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn a_file_that_upstream_lacked_while_the_clock_was_ahead_is_asked_for_once_it_is_back() {
    let (sandbox, relay, clock, now) = standing(&[]).await;
    let file = small(&sandbox);
    let url = format!("{}packages/{}", relay.url, file.path);
    sandbox.faults().add(Fault::on(Route::File, Effect::Status { code: 410 })).unwrap();
    clock.set(now + 30 * DAY);
    assert_ne!(get(&url).await.status, 200);
    sandbox.faults().clear();
    assert_ne!(get(&url).await.status, 200, "remembered for a day");
    clock.set(now);
    assert_eq!(get(&url).await.status, 200);
}
