//! Pages for people with a browser, and that programs get at the same address what they always got.

mod chromium;
mod project;
mod search;
mod trouble;

use cheesewire::model::Serial;
use cheesewire::sandbox::{Change, Publication, Sandbox};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Relay, call, exchange, get, get_with, post_with, sandbox, until};

/// As browsers ask.
const BROWSER: (&str, &str) =
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8");

/// Polls often, so that a test's wait for one is short.
const POLLS: &str = "follow.interval=20ms";

/// What every program has always got.
const FOR_PROGRAMS: &str = "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>cheesewire</title></head><body>\
    <h1>cheesewire</h1><p>This is a relay of a Python package index. Programs send XML-RPC calls to this address by POST; \
    pip takes <a href=\"/simple/\">/simple/</a> as its index.</p></body></html>";

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[&[POLLS], settings].concat()).await;
    // The list of projects is known.
    call(&relay.url, "changelog_last_serial", &[]).await.unwrap();
    call(&relay.url, "list_packages_page", &[]).await.unwrap();
    (sandbox, relay)
}

/// A page as a browser gets it.
async fn page(relay: &Relay, path: &str) -> Answer {
    get_with(Method::GET, &format!("{}{path}", relay.url), &[BROWSER]).await.unwrap()
}

/// The page once it says this.
async fn page_with(relay: &Relay, path: &str, text: &str) -> String {
    let mut found = String::new();
    until(&format!("{path} never says {text}"), async || {
        page(relay, path).await.text().clone_into(&mut found);
        found.contains(text)
    })
    .await;
    found
}

#[tokio::test]
async fn programs_get_at_the_root_byte_for_byte_what_they_always_got() {
    let (_sandbox, relay) = pair(&[]).await;
    let ask = async |path: &str, accept: &str| {
        get_with(Method::GET, &format!("{}{path}", relay.url), &[("accept", accept)]).await.unwrap()
    };
    for accept in [
        "*/*",
        "text/xml",
        "application/json",
        "text/*",
        "text/html;q=0.1, text/xml",
        "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
    ] {
        let answer = ask("", accept).await;
        assert_eq!((answer.status, answer.text()), (200, FOR_PROGRAMS), "{accept}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'");
        assert_eq!(answer.header("vary"), "Accept", "a cache must not give one to the other");
    }
    let bare = exchange(&relay.url, b"GET / HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n\r\n").await;
    assert!(bare.starts_with("HTTP/1.1 200 ") && bare.ends_with(FOR_PROGRAMS), "{bare}");
    // The other addresses of calls are for programs, whoever asks.
    for path in ["pypi", "pypi/", "RPC2"] {
        let answer = ask(path, BROWSER.1).await;
        assert_eq!((answer.status, answer.text()), (200, FOR_PROGRAMS), "{path}");
    }
    // What an action asks for goes before what Accept asks for.
    let document = ask("?:action=json&name=wire-top", BROWSER.1).await;
    assert_eq!(document.text(), get(&format!("{}pypi/wire-top/json", relay.url)).await.text());
    let doubled = ask("?:action=json&:action=json&name=wire-top", BROWSER.1).await;
    assert_eq!(doubled.status, 400);
}

#[tokio::test]
async fn a_call_to_the_root_is_a_call_whatever_it_accepts() {
    let (sandbox, relay) = pair(&[]).await;
    let body = encode_call("changelog_last_serial", &[]).unwrap();
    for fields in [&[][..], &[BROWSER], &[("accept", "*/*")]] {
        let answer = post_with(&relay.url, fields, body.clone()).await;
        let value = decode_response(answer.bytes(), Limits { depth: 9 }).unwrap().unwrap();
        assert_eq!((answer.status, value), (200, Value::Int(sandbox.last_serial().0)));
        assert_eq!(answer.header("vary"), "");
    }
}

#[tokio::test]
async fn a_browser_is_told_what_this_is_how_to_use_it_and_how_current_it_is() {
    let (sandbox, relay) = pair(&[]).await;
    let answer = page(&relay, "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!((answer.header("vary"), answer.header("cache-control")), ("Accept", "no-store"));
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let url = relay.url.trim_end_matches('/');
    let page_text = answer.text();
    for text in [
        "<html lang=\"en\">",
        "relay of a Python package index",
        &format!("--index-url {url}/simple/ NAME"),
        &format!("--default-index {url}/simple/ NAME"),
        &format!("ServerProxy(&quot;{url}/pypi&quot;)"),
        "Ready: requests are answered.",
        &format!("<th scope=\"row\">Last serial</th><td>{}</td>", sandbox.last_serial()),
        "its changelog",
        "of at most 10.0 GiB",
        "href=\"/metrics\"",
        "href=\"/readyz\"",
        "href=\"/simple/\"",
        "href=\"/stats/\"",
        "action=\"/search/\"",
        concat!("cheesewire ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(page_text.contains(text), "{text}: {page_text}");
    }
    for (field, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
        assert_eq!(answer.header(field), value);
    }
    for tag in [
        "<meta name=\"robots\" content=\"noindex, nofollow\">",
        // Else browsers ask for a file.
        "<link rel=\"icon\" href=\"data:,\">",
    ] {
        assert!(page_text.contains(tag), "{tag}: {page_text}");
    }
    let head = get_with(Method::HEAD, &relay.url, &[BROWSER]).await.unwrap();
    assert_eq!((head.status, head.bytes()), (200, &b""[..]));
    assert_eq!(head.header("content-security-policy"), policy);
}

#[tokio::test]
async fn the_address_is_the_one_at_which_the_browser_knows_the_relay() {
    let (_sandbox, relay) = pair(&["http.public_url=https://relay.test/index/"]).await;
    let text = page(&relay, "").await.text().to_owned();
    assert!(text.contains("--index-url https://relay.test/index/simple/ NAME"), "{text}");
    // Links stay below the path that a proxy takes off.
    assert!(text.contains("href=\"https://relay.test/index/simple/\""), "{text}");
    assert!(text.contains("data-feed=\"https://relay.test/index/journal/events\""), "{text}");
    let (_sandbox, relay) = pair(&["clients.trusted_proxies=127.0.0.1"]).await;
    let fields = [
        BROWSER,
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-port", "8443"),
    ];
    let answer = get_with(Method::GET, &relay.url, &fields).await.unwrap();
    assert!(answer.text().contains("--index-url https://a.test:8443/simple/ NAME"), "{}", answer.text());
}

#[tokio::test]
async fn events_stand_newest_first_and_the_feed_goes_on_behind_them() {
    let (sandbox, relay) = pair(&[]).await;
    for version in 0..12 {
        sandbox.publish(Publication::new("Wire.New", format!("1.{version}"))).await.unwrap();
    }
    let last = sandbox.last_serial();
    let text = page_with(&relay, "", &format!("data-last=\"{last}\"")).await;
    let rows: Vec<&str> = text.split("<tr><td class=\"number minor\">").skip(1).collect();
    let serials: Vec<i64> = rows.iter().map(|row| row.split('<').next().unwrap().parse().unwrap()).collect();
    let events = sandbox.events_after(Serial(last.0 - 1000), usize::MAX);
    let newest: Vec<i64> = events.iter().map(|event| event.serial.0).rev().take(20).collect();
    assert_eq!(serials, newest);
    assert!(rows[0].contains("<a href=\"/project/wire-new/\">Wire.New</a>"), "{}", rows[0]);
    // What the script asks for next is what is not in the table.
    let serial = sandbox
        .change(Change::Note {
            name: "Wire.New".to_owned(),
            version: None,
            action: "add Owner <i>mallory".to_owned(),
        })
        .await
        .unwrap();
    until("the event never comes", async || {
        let url = format!("{}journal/events?since={last}", relay.url);
        let events = get(&url).await;
        let events: Vec<serde_json::Value> =
            events.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        events.first().is_some_and(|event| event["serial"] == json!(serial.0))
    })
    .await;
    let text = page_with(&relay, "", &format!("data-last=\"{serial}\"")).await;
    assert!(text.contains("&lt;i&gt;mallory") && !text.contains("<i>mallory"), "{text}");
}

#[tokio::test]
async fn projects_with_most_downloads_are_shown_where_they_are_counted() {
    let (sandbox, relay) = pair(&["stats.flush=10ms"]).await;
    assert!(page(&relay, "").await.text().contains("None today"));
    let project = sandbox.project("wire-top").unwrap();
    let file = &project.files().next().unwrap().1.file;
    assert_eq!(get(&format!("{}packages/{}", relay.url, file.path)).await.status, 200);
    let text = page_with(&relay, "", "<td class=\"number\">1</td>").await;
    assert!(
        text.contains("<td><a href=\"/project/wire-top/\">wire-top</a></td><td class=\"number\">1</td>"),
        "{text}"
    );
    let (_sandbox, silent) = pair(&["stats.enabled=false"]).await;
    assert!(!page(&silent, "").await.text().contains("Downloads from here"));
}
