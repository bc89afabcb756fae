//! Web pages of other hosts, such as notebooks that install packages in a browser: what they may read (CORS).

use cheesewire::config::{Config, Sources};
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use reqwest::Method;

use crate::support::{Answer, Relay, get_with, post_with, sandbox};

const LAB: &str = "https://lab.test";
const OTHER: &str = "https://other.test";
const JSON: &str = "application/vnd.pypi.simple.v1+json";

async fn asked(method: Method, relay: &Relay, path: &str, fields: &[(&str, &str)]) -> Answer {
    get_with(method, &format!("{}{path}", relay.url), fields).await.unwrap()
}

async fn read_from(relay: &Relay, path: &str, origin: &str) -> Answer {
    asked(Method::GET, relay, path, &[("origin", origin)]).await
}

/// A path of a file that has metadata.
fn wheel(sandbox: &Sandbox) -> String {
    let project = sandbox.project("wire-core").unwrap();
    let wheel = project.files().find(|(_, upload)| upload.file.filename.ends_with(".whl"));
    format!("packages/{}", wheel.unwrap().1.file.path)
}

/// What browsers read, with the status that it has.
fn readable(sandbox: &Sandbox) -> Vec<(String, u16)> {
    let file = wheel(sandbox);
    let paths = [
        ("simple/", 200),
        ("simple", 301),
        ("simple/wire-core/", 200),
        ("simple/wire-core", 301),
        ("simple/no-such-project/", 404),
        ("pypi/wire-core/json", 200),
        ("pypi/wire-core/json/", 200),
        ("pypi/no-such-project/json", 404),
        ("pypi/wire-core/99/json", 404),
        ("packages/ab/none-1.0.zip", 404),
    ];
    let mut all: Vec<_> = paths.iter().map(|(path, status)| ((*path).to_owned(), *status)).collect();
    all.extend([(format!("{file}.metadata"), 200), (file, 200)]);
    all
}

#[tokio::test]
async fn any_web_page_may_read_pages_documents_and_files_also_what_fails() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for (path, status) in readable(&sandbox) {
        // The third answer of a file comes from memory, without a route.
        for _ in 0..3 {
            for (fields, method) in
                [(&[("origin", LAB)][..], Method::GET), (&[], Method::GET), (&[], Method::HEAD)]
            {
                let answer = asked(method, &relay, &path, fields).await;
                assert_eq!(answer.status, status, "{path}");
                assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
                let exposed = answer.header("access-control-expose-headers");
                assert!(
                    exposed.contains("x-pypi-last-serial") && exposed.contains("etag"),
                    "{path}: {exposed}"
                );
                assert!(!answer.header("vary").contains("origin"), "{path}");
            }
        }
    }
    let page = read_from(&relay, "simple/wire-core/", LAB).await;
    let known = [("origin", LAB), ("if-none-match", page.header("etag"))];
    let same = asked(Method::GET, &relay, "simple/wire-core/", &known).await;
    assert_eq!((same.status, same.header("access-control-allow-origin")), (304, "*"));
    let accept = [("origin", LAB), ("accept", JSON)];
    let json = asked(Method::GET, &relay, "simple/wire-core/", &accept).await;
    assert_eq!((json.header("content-type"), json.header("access-control-allow-origin")), (JSON, "*"));
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 503 })).unwrap();
    let fresh = Relay::start(&sandbox.url(), &[]).await;
    let failed = read_from(&fresh, "simple/wire-core/", LAB).await;
    assert_eq!((failed.status, failed.header("access-control-allow-origin")), (503, "*"));
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_it_may_send() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for (path, _) in readable(&sandbox) {
        let asks = [
            ("origin", LAB),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "if-none-match"),
        ];
        let answer = asked(Method::OPTIONS, &relay, &path, &asks).await;
        assert_eq!((answer.status, answer.bytes().len()), (200, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), "GET,HEAD", "{path}");
        assert_eq!(answer.header("access-control-max-age"), "86400", "{path}");
        let allowed = answer.header("access-control-allow-headers");
        let asked_for = [
            "content-type",
            "if-match",
            "if-modified-since",
            "if-none-match",
            "if-unmodified-since",
            "range",
        ];
        assert!(asked_for.iter().all(|name| allowed.split(',').any(|one| one == *name)), "{allowed}");
    }
}

#[tokio::test]
async fn no_web_page_may_read_calls_the_feed_or_what_the_operator_sees() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for path in ["", "pypi", "pypi/", "RPC2", "journal/events", "metrics", "healthz", "readyz", "elsewhere"] {
        for method in [Method::GET, Method::OPTIONS] {
            let answer = asked(method.clone(), &relay, path, &[("origin", LAB)]).await;
            let told = answer.headers.keys().find(|name| name.as_str().starts_with("access-control"));
            assert_eq!(told, None, "{method} {path}");
            assert!(method == Method::GET || matches!(answer.status, 404 | 405), "{path}: {}", answer.status);
        }
    }
    let call = "<methodCall><methodName>changelog_last_serial</methodName></methodCall>";
    let answer = post_with(&format!("{}pypi", relay.url), &[("origin", LAB)], call).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn listed_origins_alone_may_read_and_caches_hear_that_answers_differ() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["http.cors=https://lab.test, http://localhost:8888"]).await;
    for (path, status) in readable(&sandbox) {
        // In turn, so that what is remembered of one would be seen by the next.
        for _ in 0..3 {
            for (origin, allowed) in [(Some(LAB), LAB), (Some(OTHER), ""), (None, ""), (Some("null"), "")] {
                let fields: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
                let answer = asked(Method::GET, &relay, &path, &fields).await;
                assert_eq!(answer.status, status, "{path}");
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{path} from {origin:?}");
                let varies = answer.headers.get_all("vary").iter().any(|with| with.as_bytes() == b"origin");
                assert!(varies, "{path} from {origin:?}");
            }
        }
    }
}

#[tokio::test]
async fn where_upstream_is_asked_with_a_password_no_web_page_may_read_what_it_has() {
    let sandbox = sandbox().await;
    let upstream = sandbox.url().replace("http://", "http://user:secret@");
    let relay = Relay::start(&upstream, &[]).await;
    let answer = read_from(&relay, "simple/wire-core/", LAB).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
    let relay = Relay::start(&upstream, &["http.cors=https://lab.test"]).await;
    let answer = read_from(&relay, "simple/wire-core/", LAB).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, LAB));
    let mut sources = Sources::default();
    sources.set(&format!("upstream.url={upstream}")).unwrap();
    sources.set("http.cors=*").unwrap();
    let complaint = Config::read(sources).unwrap_err().to_string();
    assert!(complaint.contains("list the origins") && !complaint.contains("secret"), "{complaint}");
}
