//! `/pypi?:action=…`.

use cheesewire::sandbox::{Info, Publication, Route};

use super::{POLLS, pair};
use crate::support::plain::Plain;
use crate::support::{Relay, exchange, get, until};

#[tokio::test]
async fn actions_are_found_on_every_spelling_of_the_address_and_unknown_or_doubled_ones_are_not() {
    let (_sandbox, relay) = pair(&[]).await;
    for path in [
        "pypi?:action=json&name=wire-top",
        "pypi/?:action=json&name=wire-top",
        "pypi?%3Aaction=json&name=wire%2dtop",
        "?name=Wire_Top&:action=json",
        "pypi?:action=json&name=wire-top&unknown=1&unknown=2",
    ] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 200, "{path}");
    }
    for (query, status) in [
        (":action=json&:action=json&name=wire-top", 400),
        (":action=rss&%3Aaction=json", 400),
        (":action=json&name=wire-top&name=wire-core", 400),
        (":action=json&name=wire-top&version=1&version=2", 400),
        (":action=json", 400),
        (":action=doap", 400),
        (":action=", 404),
        (":action=nothing", 404),
        (":action=JSON&name=wire-top", 404),
        (":action=%ff", 404),
        (":action=json&name=", 404),
        (":action=json&name=%ff%fe", 404),
        (":action=json&name=../wire-top", 404),
        (":action=json&name=/etc/passwd", 404),
        (":action=doap&name=a%00b", 404),
        (":action=json&name=wire-top&version=../../x", 404),
        (":action=json&name=no-such-project", 404),
    ] {
        assert_eq!(get(&format!("{}pypi?{query}", relay.url)).await.status, status, "{query}");
    }
    let long = "a".repeat(30_000);
    let answer = get(&format!("{}pypi?:action=json&name={long}", relay.url)).await;
    assert_eq!(answer.status, 404);
    // A head of 100 KB is refused before it is looked at.
    let target = format!("/pypi?:action=doap&name={}", "a".repeat(100_000));
    let request = format!("GET {target} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n\r\n");
    let answer = exchange(&relay.url, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{}", &answer[..answer.len().min(60)]);
    let page = get(&format!("{}pypi", relay.url)).await;
    assert!(page.text().contains("cheesewire"), "without an action it is a page for people");
}

#[tokio::test]
async fn json_is_the_document_itself_without_a_redirect() {
    let (sandbox, relay) = pair(&[]).await;
    for (query, path) in [
        ("name=wire-top", "wire-top"),
        ("name=Wire.Core&version=1.0", "wire-core/1.0"),
        ("name=wire-top&version=", "wire-top"),
    ] {
        let (old, own) = (
            get(&format!("{}pypi?:action=json&{query}", relay.url)).await,
            get(&format!("{}pypi/{path}/json", relay.url)).await,
        );
        assert_eq!((old.status, old.text()), (200, own.text()), "{query}");
        for field in ["content-type", "etag", "x-pypi-last-serial"] {
            assert_eq!(old.header(field), own.header(field), "{query}");
        }
    }
    assert!(sandbox.requests().route(Route::Json) > 0);
}

#[tokio::test]
async fn callback_is_a_call_of_a_function_and_of_nothing_else() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    let summary = Some("line\u{2028}end </script>".to_owned());
    let info = Info { summary, ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new("odd-lines", "1") }).await.unwrap();
    until("it is not there", async || get(&format!("{}pypi/odd-lines/json", relay.url)).await.status == 200)
        .await;
    for path in ["pypi?:action=json&name=odd-lines&", "pypi/odd-lines/json?", "pypi/odd-lines/1/json/?"] {
        let plain = get(&format!("{}{}", relay.url, path.trim_end_matches(['?', '&']))).await;
        let script = get(&format!("{}{path}callback=$a.b_1", relay.url)).await;
        assert_eq!(
            (script.status, script.header("content-type")),
            (200, "text/javascript; charset=utf-8"),
            "{path}"
        );
        let inner = script.text().strip_prefix("$a.b_1(").unwrap().strip_suffix(");").unwrap();
        assert!(!inner.contains('\u{2028}'), "{inner}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(inner).unwrap(), plain.json(), "{path}");
        let longest = "a".repeat(128);
        for good in ["f", "_", "$", "A.b.c", "%66", &longest] {
            let script = get(&format!("{}{path}callback={good}", relay.url)).await;
            let called = good.replace("%66", "f");
            assert_eq!(
                (script.status, script.header("x-content-type-options")),
                (200, "nosniff"),
                "{path} {good}"
            );
            assert!(script.text().starts_with(&format!("{called}({{")), "{path} {good}");
        }
        let long = "a".repeat(129);
        for bad in [
            "",
            "1",
            ".a",
            "a(",
            "alert(1)//",
            "a%0a",
            "%0aa",
            "a%20",
            "+a",
            "a%00",
            "%3Cscript%3E",
            "a-b",
            "a[0]",
            "a;b",
            "a=b",
            "a/**/",
            "a%2c",
            "a%22",
            "a%27",
            "a%60",
            "a%5c",
            "%ff",
            "%c3%a9",
            "a%c3%a9",
            "a%d9%a0",
            "%ef%bd%81",
            "a%e2%80%a8",
            "%ef%bb%bfa",
            "a%cc%81",
            &long,
        ] {
            let refused = get(&format!("{}{path}callback={bad}", relay.url)).await;
            assert_eq!(refused.status, 400, "{path} {bad}");
        }
        assert_eq!(get(&format!("{}{path}callback=a&callback=b", relay.url)).await.status, 400);
    }
    assert_eq!(get(&format!("{}pypi/no-such-project/json?callback=f", relay.url)).await.status, 404);
}

/// What every page can read by a script would be read past `http.cors`.
#[tokio::test]
async fn callback_is_refused_where_web_pages_may_not_read() {
    for cors in ["none", "https://lab.test"] {
        let (_sandbox, relay) = pair(&[&format!("http.cors={cors}")]).await;
        let refused = get(&format!("{}pypi/wire-top/json?callback=f", relay.url)).await;
        assert_eq!((refused.status, refused.text().contains("http.cors")), (403, true), "{cors}");
        assert_eq!(get(&format!("{}pypi/wire-top/json", relay.url)).await.status, 200);
    }
}

/// An index with a list of classifiers, or something else at its address.
async fn index(kind: &'static str, list: &str) -> Plain {
    let plain = Plain::start(true).await;
    plain.list(&[("a", Some(1))]);
    plain.page("a", Some(1), &["a-1.zip"]);
    let info =
        serde_json::json!({"name": "a", "version": "1", "classifiers": ["Topic :: Z", "Topic :: A", "odd"]});
    let document = serde_json::json!({"info": info, "urls": [], "releases": {"1": []}, "last_serial": 1});
    plain.put("/pypi/a/json", 200, "application/json", document.to_string());
    plain.put("/pypi", 200, kind, list.to_owned());
    plain
}

#[tokio::test]
async fn list_classifiers_is_upstreams_list_sorted_and_kept() {
    let plain = index("text/plain", "B :: b\nA :: a\r\n\nB :: b").await;
    let relay = Relay::start(&plain.url, &[]).await;
    for path in ["pypi?:action=list_classifiers", "pypi/?%3Aaction=list_classifiers"] {
        let list = get(&format!("{}{path}", relay.url)).await;
        assert_eq!((list.status, list.text()), (200, "A :: a\nB :: b\n"));
        assert_eq!(list.header("content-type"), "text/plain; charset=utf-8");
    }
    let asked = |plain: &Plain| plain.asked("/pypi", 200);
    assert_eq!(asked(&plain), 1);
    // It outlives upstream, and a restart.
    plain.put("/pypi", 503, "text/plain", String::new());
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &plain.url, &[]).await;
    assert_eq!(get(&format!("{}pypi?:action=list_classifiers", relay.url)).await.text(), "A :: a\nB :: b\n");
}

#[tokio::test]
async fn where_upstream_has_no_list_it_is_that_of_known_documents() {
    let plain = index("text/html", "<p>An index</p>").await;
    let relay = Relay::start(&plain.url, &[]).await;
    assert_eq!(get(&format!("{}pypi/a/json", relay.url)).await.status, 200);
    let list = get(&format!("{}pypi?:action=list_classifiers", relay.url)).await;
    assert_eq!((list.status, list.text()), (200, "Topic :: A\nTopic :: Z\n"));
}
