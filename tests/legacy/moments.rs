//! `/last-modified`, `/daytime`, `/serial`, `/mirrors`, and the methods of all addresses.

use cheesewire::journal::{Journal, JournalSettings, QuestionStart};
use cheesewire::model::Clock;
use cheesewire::sandbox::{Effect, Fault, Route};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{POLLS, pair};
use crate::support::{Relay, connect, get, get_with, sandbox, until};

/// 2026-01-31 23:59:59 UTC.
const THEN: i64 = 1_769_903_999;

async fn text(relay: &Relay, path: &str) -> String {
    get(&format!("{}{path}", relay.url)).await.text().to_owned()
}

#[tokio::test]
async fn last_modified_stands_still_while_upstream_is_down_and_outlives_a_restart() {
    let sandbox = sandbox().await;
    let clock = Clock::standing_at(THEN);
    let relay = Relay::start_at(
        &sandbox.url(),
        &[POLLS, "follow.longest_wait=20ms", "follow.shortest_wait=20ms"],
        &clock,
    )
    .await;
    let moment = async |relay: &Relay| text(relay, "last-modified").await;
    until("no poll", async || moment(&relay).await == "20260131T23:59:59\n").await;
    clock.set(THEN + 61);
    until("no later poll", async || moment(&relay).await == "20260201T00:01:00\n").await;
    sandbox
        .faults()
        .add(Fault { route: Some(Route::Rpc), ..Fault::on(Route::Rpc, Effect::Status { code: 503 }) })
        .unwrap();
    // Polls that began before it are over.
    let failures = async || {
        let state = get(&format!("{}readyz", relay.url)).await.json();
        state["upstream"]["failures"].as_u64().unwrap()
    };
    until("no poll fails", async || failures().await > 0).await;
    clock.set(THEN + 3600);
    let before = failures().await;
    until("no further poll fails", async || failures().await > before + 2).await;
    assert_eq!(moment(&relay).await, "20260201T00:01:00\n");
    let folder = relay.stop().await;
    let relay = Relay::start_in_at(folder, &sandbox.url(), &[POLLS], &clock).await;
    assert_eq!(moment(&relay).await, "20260201T00:01:00\n");
    sandbox.faults().clear();
    until("no poll afterwards", async || moment(&relay).await == "20260201T00:59:59\n").await;
}

#[tokio::test]
async fn last_modified_is_the_beginning_of_the_poll_whichever_ends_first() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::standing_at(THEN);
    let settings = || JournalSettings { clock: clock.clone(), ..JournalSettings::default() };
    let journal = Journal::open(folder.path(), settings()).await.unwrap();
    assert_eq!(journal.as_of(), None);
    let slow = QuestionStart::now(&clock);
    clock.set(THEN + 10);
    let quick = QuestionStart::now(&clock);
    clock.set(THEN + 20);
    journal.caught_up(quick).await;
    assert_eq!(journal.as_of(), Some(THEN + 10));
    journal.caught_up(slow).await;
    journal.not_caught_up();
    assert_eq!(journal.as_of(), Some(THEN + 10));
    journal.close().await;
    let journal = Journal::open(folder.path(), settings()).await.unwrap();
    assert_eq!(journal.as_of(), Some(THEN + 10));
}

#[tokio::test]
async fn last_modified_and_serial_are_503_before_the_first_poll() {
    let sandbox = sandbox().await;
    sandbox.pause().await.unwrap();
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for path in ["last-modified", "serial"] {
        let answer = get(&format!("{}{path}", relay.url)).await;
        assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false), "{path}");
    }
    assert_eq!(get(&format!("{}daytime", relay.url)).await.status, 200);
}

#[tokio::test]
async fn last_modified_is_that_of_a_comparison_where_listings_are_compared() {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(cheesewire::sandbox::XmlRpc::Status(405));
    let clock = Clock::standing_at(THEN);
    let relay = Relay::start_at(&sandbox.url(), &["follow.listing_interval=20ms"], &clock).await;
    until("no comparison", async || text(&relay, "last-modified").await == "20260131T23:59:59\n").await;
    clock.set(THEN + 61);
    until("no second one", async || text(&relay, "last-modified").await == "20260201T00:01:00\n").await;
}

#[tokio::test]
async fn daytime_is_now() {
    let sandbox = sandbox().await;
    let clock = Clock::standing_at(THEN);
    let relay = Relay::start_at(&sandbox.url(), &[], &clock).await;
    assert_eq!(text(&relay, "daytime").await, "20260131T23:59:59\n");
    clock.set(THEN + 2);
    let answer = get(&format!("{}daytime", relay.url)).await;
    assert_eq!((answer.text(), answer.header("content-type")), ("20260201T00:00:01\n", "text/plain"));
}

#[tokio::test]
async fn serial_is_the_bare_number() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    let last = sandbox.last_serial().to_string();
    until("no serial", async || text(&relay, "serial").await == last).await;
}

/// The old reader calls `recv(1200)` once and takes the last line.
#[tokio::test]
async fn one_read_of_1200_bytes_gets_all_of_it() {
    let (_sandbox, relay) = pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    for (version, host) in [("1.0", ""), ("1.0", "Host: relay.test\r\n"), ("1.1", "Host: relay.test\r\n")] {
        for path in ["/last-modified", "/daytime"] {
            let mut stream = connect(&relay.url).await;
            stream.write_all(format!("GET {path} HTTP/{version}\r\n{host}\r\n").as_bytes()).await.unwrap();
            let mut buffer = [0; 1200];
            let read = stream.read(&mut buffer).await.unwrap();
            let answer = std::str::from_utf8(&buffer[..read]).unwrap();
            assert!(read < 1200 && answer.contains(" 200 "), "{answer}");
            let line = answer.lines().last().unwrap();
            let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
            assert_eq!(shape, "99999999T99:99:99", "{path} {version}: {answer}");
            assert!(answer.ends_with('\n') && !answer.to_lowercase().contains("chunked"), "{answer}");
        }
    }
}

#[tokio::test]
async fn mirrors_is_a_page_whose_links_lead_somewhere() {
    let (_sandbox, relay) = super::signing_pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    until("no key", async || get(&format!("{}serverkey", relay.url)).await.status == 200).await;
    let page = get(&format!("{}mirrors", relay.url)).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let links: Vec<&str> =
        page.text().split("href=\"/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links, ["last-modified", "serverkey", "simple/"], "{}", page.text());
    for link in links {
        assert_eq!(get(&format!("{}{link}", relay.url)).await.status, 200, "{link}");
    }
    assert_eq!(page.header("content-security-policy"), "default-src 'none'");
}

/// Behind a proxy that adds a path the page leads there.
#[tokio::test]
async fn mirrors_leads_to_the_address_that_clients_know() {
    let (_sandbox, relay) = pair(&["http.public_url=https://index.test/mirror"]).await;
    let page = get(&format!("{}mirrors", relay.url)).await;
    for path in ["/mirror/last-modified", "/mirror/serverkey", "/mirror/simple/"] {
        assert!(page.text().contains(&format!("{path}\">")), "{path} {}", page.text());
    }
}

/// All old addresses, those that there are not, and some others.
const ADDRESSES: [&str; 23] = [
    "last-modified",
    "daytime",
    "serial",
    "mirrors",
    "serverkey",
    "serversig/wire-top/",
    "serversig/wire-top",
    "serversig/",
    "serversig",
    "serversig//",
    "pypi?:action=list_classifiers",
    "pypi/?:action=rss",
    "pypi/wire-top",
    "pypi/wire-top/2.0",
    "pypi/wire-top/doap",
    "pypi/wire-top/2.0/doap",
    "pypi/wire-top/json/",
    "rss/updates.xml",
    "rss/packages.xml",
    "rss/project/wire-top/releases.xml",
    "packages/source/w/wire-top/wire-top-2.0.tar.gz",
    "simple/wire-top/",
    "nowhere",
];

#[tokio::test]
async fn purge_is_200_without_a_body_everywhere_and_changes_nothing() {
    let (sandbox, relay) = pair(&[]).await;
    let asked = sandbox.requests().total();
    for path in ADDRESSES {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let answer = get_with(purge, &format!("{}{path}", relay.url), &[]).await.unwrap();
        assert_eq!((answer.status, answer.bytes()), (200, &b""[..]), "{path}");
    }
    assert_eq!(sandbox.requests().route(Route::Page) + sandbox.requests().route(Route::Json), 0, "{asked}");
}

#[tokio::test]
async fn others_than_get_and_head_are_405() {
    let (_sandbox, relay) = pair(&[]).await;
    for path in ADDRESSES.into_iter().filter(|path| {
        // No addresses at all, and those of calls, where a POST is one.
        !["serversig/", "serversig", "serversig//", "nowhere"].contains(path)
            && !path.starts_with("pypi?")
            && !path.starts_with("pypi/?")
    }) {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = get_with(method.clone(), &format!("{}{path}", relay.url), &[]).await.unwrap();
            assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{method} {path}");
        }
        // As browsers ask whether they may read it.
        let options = get_with(Method::OPTIONS, &format!("{}{path}", relay.url), &[]).await.unwrap();
        assert_eq!((options.status, options.bytes()), (200, &b""[..]), "{path}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "purge", "get", "GETS"] {
        for path in ["pypi?:action=rss", "pypi/?:action=json&name=wire-top", "?:action=doap&name=wire-top"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = get_with(method.clone(), &format!("{}{path}", relay.url), &[]).await.unwrap();
            assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD,POST"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn where_no_web_page_may_read_options_is_405_too() {
    let (_sandbox, relay) = pair(&["http.cors=none"]).await;
    for path in ["last-modified", "serversig/wire-top/", "rss/updates.xml", "pypi/wire-top/doap", "serverkey"]
    {
        let answer = get_with(Method::OPTIONS, &format!("{}{path}", relay.url), &[]).await.unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{path}");
    }
}

#[tokio::test]
async fn head_says_what_get_says_without_the_body() {
    let (_sandbox, relay) = super::signing_pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    until("no key", async || get(&format!("{}serverkey", relay.url)).await.status == 200).await;
    for path in ADDRESSES {
        let url = format!("{}{path}", relay.url);
        let (get, head) = (get(&url).await, get_with(Method::HEAD, &url, &[]).await.unwrap());
        assert_eq!((head.status, head.bytes()), (get.status, &b""[..]), "{path}");
        for field in ["content-type", "content-length", "etag", "x-pypi-last-serial"] {
            assert_eq!(head.header(field), get.header(field), "{path} {field}");
        }
    }
}
