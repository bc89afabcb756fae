//! Tokens: who is let in, who may do what, and how the file of tokens is read.

mod administrators;
mod file;
mod leaks;

use std::path::Path;

use cheesewire::tokens::{self, FILE, Scope};
use cheesewire::xmlrpc::encode_call;
use reqwest::Method;

use crate::support::{Answer, Relay, get, get_with, post_with, sandbox, until};

/// The name of the file in a relay's folder, and quick looks at it.
const QUICK: &str = "auth.interval=10ms";

fn add(folder: &Path, name: &str, scope: Scope) -> String {
    tokens::add(&folder.join(FILE), name, scope, None, 0).unwrap()
}

/// `user:password` in base64.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

async fn ask(method: &str, url: &str, authorization: Option<&str>) -> Answer {
    let fields: Vec<_> = authorization.map(|field| ("authorization", field)).into_iter().collect();
    get_with(Method::from_bytes(method.as_bytes()).unwrap(), url, &fields).await.unwrap()
}

async fn call(url: &str, authorization: Option<&str>) -> Answer {
    let fields: Vec<_> = authorization.map(|field| ("authorization", field)).into_iter().collect();
    post_with(&format!("{url}RPC2"), &fields, encode_call("list_packages", &[]).unwrap()).await
}

/// A relay that needs tokens, one to read with and one of an administrator, each as its client sends it.
async fn closed(settings: &[&str]) -> (cheesewire::sandbox::Sandbox, Relay, String, String) {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let (read, admin) = (add(folder.path(), "read", Scope::Read), add(folder.path(), "admin", Scope::Admin));
    let relay = Relay::start_in(folder, &sandbox.url(), &[&[QUICK], settings].concat()).await;
    (sandbox, relay, format!("Bearer {read}"), format!("Bearer {admin}"))
}

#[tokio::test]
async fn reading_needs_a_token_on_every_way_and_a_refusal_says_how_to_send_one() {
    let (_sandbox, relay, read, admin) = closed(&[]).await;
    let password = basic("anybody", read.trim_start_matches("Bearer "));
    let page = format!("{}simple/wire-top/", relay.url);
    let links = ask("GET", &page, Some(&read)).await;
    let link = links.text().split('"').find(|text| text.contains("packages/")).unwrap().to_owned();
    let file = format!("{}{}", relay.url, &link[link.find("packages/").unwrap()..]);
    let file = file.split('#').next().unwrap();
    for url in [
        file,
        &page,
        &format!("{}pypi/wire-top/json", relay.url),
        &format!("{}journal/events?since=0", relay.url),
    ] {
        // Fetched, kept, and answered without a route.
        for token in [&read, &password, &admin, &read] {
            let answer = ask("GET", url, Some(token)).await;
            assert_eq!(answer.status, 200, "{url}");
        }
        for wrong in
            [None, Some("Bearer wrong"), Some(read[..read.len() - 1].as_ref()), Some("Basic bm9uZQ==")]
        {
            for method in ["GET", "HEAD"] {
                let answer = ask(method, url, wrong).await;
                assert_eq!(
                    (answer.status, answer.header("www-authenticate")),
                    (401, "Basic realm=\"cheesewire\", charset=\"UTF-8\"")
                );
                assert!(method == "HEAD" || answer.text().contains("any:TOKEN@"), "{}", answer.text());
            }
        }
    }
    assert_eq!(call(&relay.url, Some(&password)).await.status, 200);
    for wrong in [None, Some("Bearer wrong")] {
        let answer = call(&relay.url, wrong).await;
        assert_eq!((answer.status, answer.header("www-authenticate").is_empty()), (401, false));
        // Read before it is answered: whoever sends first and reads then gets the answer.
        let large = "x".repeat(1 << 20);
        assert_eq!(post_with(&format!("{}RPC2", relay.url), &[], large).await.status, 401);
    }
}

#[tokio::test]
async fn what_has_rules_of_its_own_needs_no_token() {
    let (_sandbox, relay, ..) = closed(&[]).await;
    for (method, path, status) in [
        ("GET", "healthz", 200),
        ("GET", "readyz", 200),
        ("GET", "metrics", 200),
        ("OPTIONS", "simple/", 200),
        ("PURGE", "simple/", 200),
        ("PURGE", "nowhere", 200),
        ("GET", "mkupload/secret", 404),
        ("POST", "mkupload/secret", 404),
        ("GET", "pypi?:action=gae_file&host=mirror.test&secret=abc", 403),
        ("GET", "?:action=gae_file", 400),
        ("GET", "pypi?:action=rss", 401),
        ("GET", "pypi?:action=gae_file&:action=rss", 401),
        ("GET", "nowhere", 401),
        ("GET", "healthz/", 401),
        ("POST", "pypi?:action=gae_file", 401),
    ] {
        assert_eq!(
            ask(method, &format!("{}{path}", relay.url), None).await.status,
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn the_pages_for_browsers_need_a_token_but_by_a_listener_for_who_runs_the_relay() {
    let listeners = "http.listen=127.0.0.1:0,127.0.0.1:0?admin";
    // This machine is behind a proxy here: whoever comes is somebody else.
    let (_sandbox, relay, read, _) = closed(&[listeners, "clients.trusted_proxies=127.0.0.1"]).await;
    let password = basic("anybody", read.trim_start_matches("Bearer "));
    let ask = async |url: &str, path: &str, token: Option<&str>| {
        let mut fields = vec![("accept", "text/html"), ("x-forwarded-for", "192.0.2.1")];
        fields.extend(token.map(|token| ("authorization", token)));
        get_with(Method::GET, &format!("{url}{path}"), &fields).await.unwrap()
    };
    for (path, word) in
        [("", "any:TOKEN@127.0.0.1"), ("search/?q=wire", "wire-top"), ("project/wire-top/", "wire-top")]
    {
        let refused = ask(&relay.url, path, None).await;
        assert_eq!((refused.status, refused.header("www-authenticate").is_empty()), (401, false), "{path}");
        assert!(!refused.text().contains("wire"), "{}", refused.text());
        for (url, token) in [(&relay.url, Some(&*password)), (&relay.urls[1], None)] {
            let page = ask(url, path, token).await;
            assert_eq!(page.status, 200, "{path}");
            assert!(page.text().contains(word), "{path}: {}", page.text());
            assert!(!page.text().contains("cw_") && page.header("cache-control") != "public", "{path}");
        }
    }
    // A browser's search that finds nothing here leads to the page with a slash, by whatever the page itself needs.
    assert_eq!(ask(&relay.url, "project/wire-top", None).await.status, 401);
    assert_eq!(ask(&relay.urls[1], "journal/events?since=0", None).await.status, 200);
    for path in ["simple/", "pypi?:action=rss", "?:action=rss", "pypi/wire-top/json"] {
        assert_eq!(ask(&relay.urls[1], path, None).await.status, 401, "{path}");
    }
    assert_eq!(ask(&relay.url, "metrics", None).await.status, 401);
    assert_eq!(ask(&relay.urls[1], "metrics", None).await.status, 200);
}

#[tokio::test]
async fn with_a_token_files_are_for_their_client_alone_also_those_that_were_answered_to_all_before() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[QUICK]).await;
    let page = get(&format!("{}simple/wire-top/", relay.url)).await;
    let link = page.text().split('"').find(|text| text.contains("packages/")).unwrap();
    let file = format!("{}{}", relay.url, &link[link.find("packages/").unwrap()..]);
    let file = file.split('#').next().unwrap();
    for _ in 0..3 {
        assert_eq!(get(file).await.header("cache-control"), "max-age=365000000, immutable, public");
    }
    let token = format!("Bearer {}", add(relay.folder(), "ci", Scope::Read));
    until("it stays open", async || get(file).await.status == 401).await;
    for _ in 0..3 {
        let answer = ask("GET", file, Some(&token)).await;
        assert_eq!(answer.header("cache-control"), "max-age=365000000, immutable, private");
    }
}

#[tokio::test]
async fn who_shows_wrong_tokens_again_and_again_is_told_to_rest_and_others_are_not() {
    let settings = ["auth.failures=3", "auth.failure_rest=1h", "clients.trusted_proxies=127.0.0.1"];
    let (_sandbox, relay, read, _) = closed(&settings).await;
    let page = format!("{}simple/", relay.url);
    let from = async |client: &str, token: Option<&str>| {
        let mut fields = vec![("x-forwarded-for", client)];
        fields.extend(token.map(|token| ("authorization", token)));
        get_with(Method::GET, &page, &fields).await.unwrap()
    };
    for n in 0..10 {
        let answer = from("192.0.2.1", Some("Bearer cw_wrong")).await;
        assert_eq!(answer.status, if n < 3 { 401 } else { 429 }, "{n}");
        assert!(n < 3 || answer.header("retry-after").parse::<u64>().unwrap() > 3000, "{:?}", answer.headers);
        assert_eq!(answer.header("connection"), if n < 3 { "" } else { "close" });
    }
    // A token that is missing is none that was guessed, and a right one is let in: jobs share their address.
    assert_eq!(from("192.0.2.1", None).await.status, 401);
    assert_eq!(from("192.0.2.1", Some(&read)).await.status, 200);
    assert_eq!(from("192.0.2.2", Some("Bearer cw_wrong")).await.status, 401);
    let metrics = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    for reason in ["wrong", "guesses", "missing"] {
        assert!(
            metrics.contains(&format!("cheesewire_auth_refusals_total{{reason=\"{reason}\"}}")),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_token_has_a_rate_of_its_own_that_its_calls_are_charged_to_as_well() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let slow = tokens::add(&folder.path().join(FILE), "slow", Scope::Read, Some(0.001), 0).unwrap();
    let other = add(folder.path(), "other", Scope::Read);
    let relay = Relay::start_in(folder, &sandbox.url(), &[]).await;
    let (slow, other) = (format!("Bearer {slow}"), format!("Bearer {other}"));
    let page = format!("{}simple/", relay.url);
    for _ in 0..10 {
        assert_eq!(ask("GET", &page, Some(&slow)).await.status, 200);
        assert!(!call(&relay.url, Some(&slow)).await.text().contains("HTTPTooManyRequests"));
    }
    let refused = ask("GET", &page, Some(&slow)).await;
    assert!(refused.status == 429 && refused.header("retry-after").parse::<u64>().unwrap() > 900);
    assert!(call(&relay.url, Some(&slow)).await.text().contains("HTTPTooManyRequests"));
    let search = format!("{}search/?q=wire", relay.url);
    assert_eq!(ask("GET", &search, Some(&slow)).await.status, 429);
    assert_eq!(ask("GET", &search, Some(&other)).await.status, 200);
    assert_eq!(ask("GET", &page, Some(&other)).await.status, 200);
    assert!(!call(&relay.url, Some(&other)).await.text().contains("HTTPTooManyRequests"));
}
