//! An index whose serials say nothing: it states none, or one for everything.

mod serials;

use std::time::Duration;

use cheesewire::follow::FollowSettings;
use cheesewire::journal::{JournalSettings, Project, Want};
use cheesewire::model::Serial;
use cheesewire::xmlrpc::{Fault, Value};
use futures_util::TryStreamExt as _;
use reqwest::Method;
use serde_json::json;

use super::listings::{comparing, told};
use super::{Following, on_demand};
use crate::support::plain::{Plain, file_of};
use crate::support::{Relay, call, get_with, until};

const CONSTANT: i64 = 1_000_000_000;
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Comparisons follow each other, and nothing else is asked for.
const QUICK: [&str; 3] =
    ["follow.listing_interval=20ms", "follow.shortest_wait=5ms", "follow.longest_wait=20ms"];

async fn follow(index: &Plain, folder: &std::path::Path, settings: FollowSettings) -> Following {
    Following::start_at(folder, &index.url, settings, JournalSettings::default()).await
}

/// So many more comparisons have asked for the listing.
async fn comparisons(index: &Plain, more: usize) {
    let asked = || index.asked("/simple/", 200) + index.asked("/simple/", 304);
    let upto = asked() + more + 1;
    until("no listing is asked for", async || asked() >= upto).await;
}

/// The project's pages were looked at.
async fn looked_at(index: &Plain, names: &[&str]) {
    for name in names {
        let path = format!("/simple/{name}/");
        until("a page is not looked at", async || index.asked(&path, 200) > 0).await;
    }
    comparisons(index, 1).await;
}

async fn head(following: &Following) -> Serial {
    until("no listing comes", async || following.journal.last_serial().is_some()).await;
    following.journal.last_serial().unwrap()
}

/// What is told after `since`, once it is `expected`.
async fn tells(following: &Following, since: Serial, expected: &[(&str, Option<&str>, &str)]) {
    let owned = |(name, version, action): &(&str, Option<&str>, &str)| {
        ((*name).to_owned(), version.map(str::to_owned), (*action).to_owned())
    };
    let expected: Vec<_> = expected.iter().map(owned).collect();
    until(&format!("{expected:?} is not told"), async || told(&following.since(since).await) == expected)
        .await;
    assert!(following.since(since).await.windows(2).all(|pair| pair[0].serial < pair[1].serial));
}

/// An index of two projects, with these serials, in JSON.
async fn two(tagged: bool, serial: Option<i64>) -> Plain {
    fill(Plain::start(tagged).await, serial)
}

fn fill(index: Plain, serial: Option<i64>) -> Plain {
    index.list(&[("a", serial), ("b", serial)]);
    index.page("a", serial, &["a-1.zip"]);
    index.page("b", serial, &["b-1.zip"]);
    index
}

#[tokio::test]
async fn what_changes_is_told_by_content_with_next_numbers_of_our_own() {
    for (serial, tagged) in [(None, true), (None, false), (Some(CONSTANT), true), (Some(CONSTANT), false)] {
        let (folder, index) = (tempfile::tempdir().unwrap(), two(tagged, serial).await);
        let following = follow(&index, folder.path(), comparing()).await;
        let start = head(&following).await;
        looked_at(&index, &["a", "b"]).await;
        assert!(following.since(start).await.is_empty());
        index.page("a", serial, &["a-1.zip", "a-2.zip"]);
        let mut last = start;
        tells(
            &following,
            last,
            &[("a", Some("2"), "new release"), ("a", Some("2"), "add source file a-2.zip")],
        )
        .await;
        last = following.journal.last_serial().unwrap();
        // Other bytes under the same name, and something that is no file.
        index.page_of("b", serial, &[file_of("b-1.zip", "other")], &json!(null));
        tells(
            &following,
            last,
            &[("b", Some("1"), "remove file b-1.zip"), ("b", Some("1"), "add source file b-1.zip")],
        )
        .await;
        last = following.journal.last_serial().unwrap();
        let mut file = file_of("b-1.zip", "other");
        file["requires-python"] = ">=3".into();
        index.page_of("b", serial, &[file], &json!(null));
        tells(&following, last, &[("b", None, "docupdate")]).await;
        last = following.journal.last_serial().unwrap();
        // A new project, one in quarantine, one that is removed.
        index.page("c", serial, &["c-1.zip"]);
        index.list(&[("a", serial), ("b", serial), ("c", serial)]);
        let new = [
            ("c", None, "create"),
            ("c", Some("1"), "new release"),
            ("c", Some("1"), "add source file c-1.zip"),
        ];
        tells(&following, last, &new).await;
        last = following.journal.last_serial().unwrap();
        index.page("c", serial, &["c-1.zip", "c-2.zip"]);
        tells(
            &following,
            last,
            &[("c", Some("2"), "new release"), ("c", Some("2"), "add source file c-2.zip")],
        )
        .await;
        last = following.journal.last_serial().unwrap();
        index.page_of("c", serial, &[], &json!({"status": "quarantined"}));
        tells(&following, last, &[("c", None, "project quarantined")]).await;
        last = following.journal.last_serial().unwrap();
        index.list(&[("a", serial), ("c", serial)]);
        index.remove("/simple/b/");
        tells(&following, last, &[("b", None, "remove project")]).await;
        last = following.journal.last_serial().unwrap();
        index.page("c", serial, &["c-1.zip", "c-2.zip"]);
        tells(&following, last, &[("c", None, "project quarantine cleared")]).await;
        let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.spelling.as_str()).collect();
        assert_eq!(names, ["a", "c"], "{serial:?}");
        assert!(rows.iter().all(|row| row.serial <= following.journal.last_serial()));
        // A folder that is made anew starts above.
        assert!(
            following.journal.last_serial().unwrap() > Serial(serial.unwrap_or(0) + 29_000_000),
            "{serial:?}"
        );
    }
}

#[tokio::test]
async fn html_pages_are_compared_too() {
    let (folder, index) = (tempfile::tempdir().unwrap(), Plain::start(true).await);
    index.html("/simple/", &["a/", "b/"]);
    index.html("/simple/a/", &["a-1.zip"]);
    index.html("/simple/b/", &["b-1.zip"]);
    let following = follow(&index, folder.path(), comparing()).await;
    let start = head(&following).await;
    looked_at(&index, &["a", "b"]).await;
    index.html("/simple/a/", &["a-1.zip", "a-2-py3-none-any.whl"]);
    index.html("/simple/", &["a/", "b/", "c/"]);
    index.html("/simple/c/", &["c-1.zip"]);
    let wheel = [("a", Some("2"), "new release"), ("a", Some("2"), "add py3 file a-2-py3-none-any.whl")];
    let new =
        [("c", None, "create"), ("c", Some("1"), "new release"), ("c", Some("1"), "add source file c-1.zip")];
    until("not all is told", async || following.since(start).await.len() == 5).await;
    let mut rows = told(&following.since(start).await);
    rows.sort();
    let mut expected: Vec<_> = (wheel.iter().chain(&new))
        .map(|(name, version, action)| ((*name).to_owned(), version.map(str::to_owned), (*action).to_owned()))
        .collect();
    expected.sort();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_changed_while_nobody_compared_is_told_after_a_restart() {
    for serial in [None, Some(CONSTANT)] {
        let (folder, index) = (tempfile::tempdir().unwrap(), two(true, serial).await);
        let mut following = follow(&index, folder.path(), comparing()).await;
        let start = head(&following).await;
        looked_at(&index, &["a", "b"]).await;
        let mut last = start;
        for round in 2..5 {
            following.stop().await;
            let files: Vec<String> = (1..=round).map(|version| format!("a-{version}.zip")).collect();
            index.page("a", serial, &files.iter().map(String::as_str).collect::<Vec<_>>());
            following = follow(&index, folder.path(), comparing()).await;
            let (version, added) = (round.to_string(), format!("add source file a-{round}.zip"));
            let expected =
                [("a", Some(version.as_str()), "new release"), ("a", Some(version.as_str()), added.as_str())];
            tells(&following, last, &expected).await;
            last = following.journal.last_serial().unwrap();
        }
    }
}

#[tokio::test]
async fn unchanged_pages_cost_a_304_where_there_is_a_validator() {
    for index in [two(true, None).await, fill(Plain::timed().await, None)] {
        let folder = tempfile::tempdir().unwrap();
        let following = follow(&index, folder.path(), comparing()).await;
        head(&following).await;
        looked_at(&index, &["a", "b"]).await;
        index.forget();
        comparisons(&index, 3).await;
        for path in ["/simple/", "/simple/a/", "/simple/b/"] {
            assert!(index.asked(path, 304) >= 2 && index.asked(path, 200) == 0, "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_that_a_client_got_before_the_first_look_is_what_that_is_compared_with() {
    let index = two(true, None).await;
    index.put("/simple/a/", 200, JSON, "[]".to_owned());
    let relay = Relay::start(&index.url, &["follow.listing_interval=1h", "follow.page_attempts=1"]).await;
    // The only comparison cannot read the page.
    until("the page is not asked for", async || index.asked("/simple/a/", 200) == 1).await;
    index.page("a", None, &["a-1.zip"]);
    let page = async || {
        get_with(Method::GET, &format!("{}simple/a/", relay.url), &[("accept", JSON)]).await.unwrap()
    };
    until("the page is not served", async || page().await.status == 200).await;
    let serial: i64 = page().await.header("x-pypi-last-serial").parse().unwrap();
    let folder = relay.stop().await;
    index.page("a", None, &["a-1.zip", "a-2.zip"]);
    let relay = Relay::start_in(folder, &index.url, &QUICK).await;
    let rows = async || call(&relay.url, "changelog_since_serial", &[Value::Int(serial)]).await;
    until("it is not told", async || rows().await.is_ok_and(|rows| rows.as_array().unwrap().len() == 2))
        .await;
}

#[tokio::test]
async fn a_page_that_is_tried_again_costs_no_listing() {
    let (folder, index) = (tempfile::tempdir().unwrap(), two(true, None).await);
    index.put("/simple/b/", 500, "text/plain", "no".to_owned());
    let settings =
        FollowSettings { listing_interval: Duration::from_hours(1), page_attempts: 4, ..comparing() };
    let mut following = follow(&index, folder.path(), settings).await;
    following.status(|status| status.failures == 3).await;
    following.status(|status| status.failures == 0 && status.current).await;
    assert!(index.asked("/simple/b/", 500) >= 4);
    assert_eq!(index.asked("/simple/", 200) + index.asked("/simple/", 304), 1);
}

#[tokio::test]
async fn one_bad_page_keeps_nothing_happened_from_being_said_only_for_a_while_and_stops_no_other() {
    // Who answers 429 without a word of when is asked again after 30 s.
    for status in [500, 429] {
        stops_no_other(status).await;
    }
}

async fn stops_no_other(status: u16) {
    let (folder, index) = (tempfile::tempdir().unwrap(), two(true, None).await);
    let mut following = follow(&index, folder.path(), comparing()).await;
    let start = head(&following).await;
    looked_at(&index, &["a", "b"]).await;
    index.put("/simple/b/", status, "text/plain", "no".to_owned());
    index.page("a", None, &["a-1.zip", "a-2.zip"]);
    following.status(|status| status.failures > 0).await;
    let expected = [("a", Some("2"), "new release"), ("a", Some("2"), "add source file a-2.zip")];
    tells(&following, start, &expected).await;
    following.status(|status| status.failures == 0 && status.current).await;
    // What it missed is told once it is back.
    let last = following.journal.last_serial().unwrap();
    index.page("b", None, &["b-1.zip", "b-2.zip"]);
    tells(&following, last, &[("b", Some("2"), "new release"), ("b", Some("2"), "add source file b-2.zip")])
        .await;
}

#[tokio::test]
async fn a_listed_page_that_is_not_there_once_is_no_news() {
    let (folder, index) = (tempfile::tempdir().unwrap(), two(true, None).await);
    let following = follow(
        &index,
        folder.path(),
        FollowSettings { listing_interval: Duration::from_millis(50), ..comparing() },
    )
    .await;
    let start = head(&following).await;
    looked_at(&index, &["a", "b"]).await;
    index.remove("/simple/a/");
    until("it is not asked for", async || index.asked("/simple/a/", 404) == 1).await;
    index.page("a", None, &["a-1.zip"]);
    comparisons(&index, 2).await;
    assert!(following.since(start).await.is_empty());
    index.remove("/simple/a/");
    tells(&following, start, &[("a", Some("1"), "remove release")]).await;
    let last = following.journal.last_serial().unwrap();
    index.page("a", None, &["a-1.zip"]);
    tells(&following, last, &[("a", Some("1"), "new release"), ("a", Some("1"), "add source file a-1.zip")])
        .await;
}

#[tokio::test]
async fn lists_pages_and_documents_state_our_numbers() {
    for serial in [None, Some(CONSTANT)] {
        let index = two(true, serial).await;
        let relay = Relay::start(&index.url, &QUICK).await;
        let last =
            async || call(&relay.url, "changelog_last_serial", &[]).await.ok().and_then(|last| last.as_int());
        until("no listing comes", async || last().await.is_some()).await;
        looked_at(&index, &["a", "b"]).await;
        let start = last().await.unwrap();
        index.page("a", serial, &["a-1.zip", "a-2.zip"]);
        let rows = async || call(&relay.url, "changelog_since_serial", &[Value::Int(start)]).await;
        until("it is not told", async || rows().await.is_ok_and(|rows| rows.as_array().unwrap().len() == 2))
            .await;
        let told = last().await.unwrap();
        assert!(told > start, "{serial:?}");
        for (name, expected) in [("a", told), ("b", start)] {
            let listed = call(&relay.url, "list_packages_with_serial", &[]).await.unwrap();
            assert_eq!(listed.get(name), Some(&Value::Int(expected)), "{serial:?}");
            let page = get_with(Method::GET, &format!("{}simple/{name}/", relay.url), &[("accept", JSON)])
                .await
                .unwrap();
            assert_eq!(page.header("x-pypi-last-serial"), expected.to_string(), "{serial:?} {name}");
            assert_eq!(page.json()["meta"]["_last-serial"], expected, "{serial:?} {name}");
            let document =
                get_with(Method::GET, &format!("{}pypi/{name}/json", relay.url), &[]).await.unwrap();
            assert_eq!(document.json()["last_serial"], expected, "{serial:?} {name}");
        }
    }
}

/// What questions about the changelog get.
async fn refusal(relay: &Relay, method: &str, params: &[Value]) -> Fault {
    call(&relay.url, method, params).await.unwrap_err()
}

#[tokio::test]
async fn of_a_larger_index_the_changelog_is_refused_for_good_and_the_rest_works() {
    for (serial, follows) in [(None, true), (Some(CONSTANT), true), (None, false)] {
        let index = two(true, serial).await;
        index.list(&[("a", serial), ("b", serial), ("c", serial)]);
        let enabled = format!("follow.enabled={follows}");
        // Listings are asked for once.
        let settings =
            ["follow.small_index=2", "follow.listing_interval=1h", "index.page_max_age=1ms", &enabled];
        let relay = Relay::start(&index.url, &settings).await;
        let names = async || call(&relay.url, "list_packages", &[]).await;
        until("no list", async || names().await.is_ok()).await;
        assert_eq!(names().await.unwrap().as_array().unwrap().len(), 3);
        let since = [Value::Int(CONSTANT)];
        until("no refusal", async || {
            refusal(&relay, "changelog_since_serial", &since).await.string.starts_with("RuntimeError: ")
        })
        .await;
        let listings = index.asked("/simple/", 200) + index.asked("/simple/", 304);
        for (method, params) in [
            ("changelog_since_serial", &since[..]),
            ("changelog_since_serial", &[Value::Int(0)]),
            ("changelog", &[Value::Int(0)]),
            ("changelog_last_serial", &[]),
        ] {
            let fault = refusal(&relay, method, params).await;
            let setting = if follows { "follow.small_index (2)" } else { "follow.enabled" };
            assert_eq!(fault.code, -32500, "{method} {fault:?}");
            assert!(fault.string.contains(setting) && !fault.string.contains("retry"), "{method} {fault:?}");
        }
        assert_eq!(
            index.asked("/simple/", 200) + index.asked("/simple/", 304),
            listings,
            "the listing was fetched again"
        );
        let spec = Value::Struct(vec![("name".to_owned(), Value::from("b"))]);
        let hits = call(&relay.url, "search", &[spec]).await.unwrap();
        assert_eq!(hits.as_array().unwrap().len(), 1);
        let page =
            get_with(Method::GET, &format!("{}simple/a/", relay.url), &[("accept", JSON)]).await.unwrap();
        assert_eq!((page.status, page.json()["files"].as_array().unwrap().len()), (200, 1));
        assert!(index.asked("/simple/", 200) <= 1);
    }
}

#[tokio::test]
async fn the_list_of_a_larger_index_follows_its_listing() {
    let index = two(true, None).await;
    index.list(&[("a", None), ("b", None), ("c", None)]);
    let settings: Vec<&str> = QUICK.iter().copied().chain(["follow.small_index=2"]).collect();
    let relay = Relay::start(&index.url, &settings).await;
    let names = async |expected: &[&str]| {
        let list = call(&relay.url, "list_packages", &[]).await;
        let shown =
            get_with(Method::GET, &format!("{}simple/", relay.url), &[("accept", JSON)]).await.unwrap();
        let expected: Vec<Value> = expected.iter().map(|name| Value::from(*name)).collect();
        list.is_ok_and(|list| list.as_array() == Some(&expected[..]))
            && shown.status == 200
            && shown.json()["projects"].as_array().unwrap().len() == expected.len()
    };
    until("no list", async || names(&["a", "b", "c"]).await).await;
    let listing = format!("{}simple/", relay.url);
    let kept = get_with(Method::GET, &listing, &[("accept", JSON)]).await.unwrap().header("etag").to_owned();
    let again = async || {
        get_with(Method::GET, &listing, &[("accept", JSON), ("if-none-match", &kept)]).await.unwrap().status
    };
    assert_eq!(again().await, 304);
    index.list(&[("a", None), ("b", None), ("d", None)]);
    // Nothing says yet that c is no more but that it has no page.
    until("d is not listed", async || names(&["a", "b", "d"]).await).await;
    assert_eq!(again().await, 200);
    // With a higher setting changes are told from then on.
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &index.url, &QUICK).await;
    let last =
        async || call(&relay.url, "changelog_last_serial", &[]).await.ok().and_then(|last| last.as_int());
    until("no last serial", async || last().await.is_some()).await;
    index.forget();
    looked_at(&index, &["a"]).await;
    let start = last().await.unwrap();
    index.page("a", None, &["a-1.zip", "a-2.zip"]);
    let rows = async || call(&relay.url, "changelog_since_serial", &[Value::Int(start)]).await;
    until("it is not told", async || rows().await.is_ok_and(|rows| rows.as_array().unwrap().len() == 2))
        .await;
    // What had no number as long as nothing was told has one now.
    let rows = call(&relay.url, "list_packages_with_serial", &[]).await.unwrap();
    assert!(rows.get("b").and_then(Value::as_int) >= Some(1), "{rows:?}");
}

#[tokio::test]
async fn where_nobody_follows_what_changed_is_refused_and_not_denied() {
    let (folder, index) = (tempfile::tempdir().unwrap(), two(true, Some(CONSTANT)).await);
    let following = follow(&index, folder.path(), on_demand()).await;
    let error = following.journal.want(Want::Since(Serial(CONSTANT))).done().await.unwrap_err();
    assert!(error.retry.is_none() && error.reason.contains("follow.enabled"), "{error:?}");
    for _ in 0..3 {
        let error = following.journal.want(Want::Since(Serial(CONSTANT))).done().await.unwrap_err();
        assert!(error.retry.is_none(), "{error:?}");
    }
    assert_eq!(index.asked("/simple/", 200) + index.asked("/simple/", 304), 1);
}
