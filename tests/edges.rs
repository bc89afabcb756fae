//! Where calls arrive and what is refused: hostile and old-fashioned requests, byte for byte.

use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Relay, call, get, get_with, sandbox};

const CALL: &str =
    "<?xml version='1.0'?><methodCall><methodName>changelog_last_serial</methodName></methodCall>";

async fn pair() -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    (sandbox, relay)
}

/// Sends bytes as they are, and reads until the relay closes.
async fn raw(relay: &Relay, request: &[u8]) -> String {
    let address = relay.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A relay that cuts while we still write resets; what came until then counts.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A POST with these header lines, closed after its answer.
async fn post(relay: &Relay, target: &str, headers: &str, body: &[u8]) -> String {
    let head = format!("POST {target} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n{headers}");
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    raw(relay, &[head.as_bytes(), body].concat()).await
}

/// The body of an answer, which must be one value.
fn value(answer: &str) -> Value {
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.contains("content-type: text/xml; charset=utf-8"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    decode_response(body.as_bytes(), Limits { depth: 64 }).unwrap().unwrap()
}

/// The fault that a call gets, as `code string`.
fn fault(answer: &str) -> String {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let fault = decode_response(body.as_bytes(), Limits { depth: 64 }).unwrap().unwrap_err();
    format!("{} {}", fault.code, fault.string)
}

#[tokio::test]
async fn calls_are_taken_on_every_address_in_every_spelling() {
    let (sandbox, relay) = pair().await;
    let last = Value::Int(sandbox.last_serial().0);
    let xml = "Content-Type: text/xml\r\n";
    for target in [
        "/pypi",
        "/pypi/",
        "/RPC2",
        "/",
        "//RPC2",
        "//pypi",
        "/RPC2/",
        "//",
        "//pypi/",
        "//RPC2/",
        "http://index.test/pypi",
        "http://index.test//RPC2",
    ] {
        assert_eq!(value(&post(&relay, target, xml, CALL.as_bytes()).await), last, "{target}");
    }
    for kind in ["text/xml; charset=utf-8", "TEXT/XML", "application/xml;a=b", "text/xml;charset=\"x\""] {
        let headers = format!(
            "Content-Type: {kind}\r\nHost: other.test\r\nUser-Agent: a\r\nUser-Agent: b\r\nAuthorization: Basic eDp5\r\n"
        );
        assert_eq!(value(&post(&relay, "/pypi", &headers, CALL.as_bytes()).await), last, "{kind}");
    }
}

#[tokio::test]
async fn http_1_0_with_and_without_host_is_answered_unchunked_and_closed() {
    let (sandbox, relay) = pair().await;
    for host in ["", "Host: a.test\r\n"] {
        for (method, large) in [("changelog_last_serial", false), ("list_packages", true)] {
            let body = encode_call(method, &[]).unwrap();
            let head = format!(
                "POST /pypi HTTP/1.0\r\n{host}Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = raw(&relay, &[head.as_bytes(), &body].concat()).await;
            assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
            match value(&answer) {
                Value::Int(serial) => assert_eq!((serial, large), (sandbox.last_serial().0, false)),
                Value::Array(names) => assert_eq!((names.len(), large), (sandbox.listed().len(), true)),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn bodies_may_be_chunked_and_coded_with_gzip() {
    use std::io::Write as _;
    let (sandbox, relay) = pair().await;
    let last = Value::Int(sandbox.last_serial().0);
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(CALL.as_bytes()).unwrap();
    let body = coder.finish().unwrap();
    let headers = "Content-Type: text/xml\r\nContent-Encoding: gzip\r\n";
    assert_eq!(value(&post(&relay, "/pypi", headers, &body).await), last);
    let (first, second) = CALL.split_at(30);
    let chunked = format!(
        "POST /pypi HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Type: text/xml\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    assert_eq!(value(&raw(&relay, chunked.as_bytes()).await), last);
}

#[tokio::test]
async fn answers_are_coded_only_for_who_lists_gzip() {
    let (_sandbox, relay) = pair().await;
    let body = encode_call("changelog_since_serial", &[Value::Int(0)]).unwrap();
    let with = |accept: &'static str| {
        let (relay, body) = (&relay, &body);
        async move {
            post(relay, "/pypi", &format!("Content-Type: text/xml\r\nAccept-Encoding: {accept}\r\n"), body)
                .await
        }
    };
    assert!(with("deflate, gzip").await.contains("content-encoding: gzip"));
    for accept in ["deflate, br", "identity", "gzip;q=0"] {
        assert!(!with(accept).await.contains("content-encoding"), "{accept}");
    }
}

#[tokio::test]
async fn what_is_no_call_gets_a_clear_fault_or_status_and_the_relay_goes_on() {
    let (sandbox, relay) = pair().await;
    let xml = "Content-Type: text/xml\r\n";
    let nested = format!(
        "<methodCall><methodName>m</methodName><params><param>{}",
        "<value><array><data>".repeat(50_000)
    );
    assert!(nested.len() < 1 << 20);
    let faults: [(&[u8], &str); 6] = [
        (b"hello", "-32700 parse error; not well formed"),
        (b"", "-32700 parse error; not well formed"),
        (
            b"<methodCall><methodName>\xff\xfe</methodName></methodCall>",
            "-32700 parse error; not well formed",
        ),
        (nested.as_bytes(), "-32700 parse error; not well formed"),
        (
            b"<methodCall><methodName>lst_packages</methodName></methodCall>",
            "-32601 server error; requested method not found: \"lst_packages\"; the nearest is list_packages",
        ),
        (
            b"<methodCall><methodName>package_roles</methodName></methodCall>",
            "-32602 client error; package_name: Missing required argument",
        ),
    ];
    for (body, expected) in faults {
        assert_eq!(fault(&post(&relay, "/pypi", xml, body).await), expected);
    }
    let two_megabytes = format!("<methodCall>{}", "<value><array><data>".repeat(100_000));
    let answers = [
        (post(&relay, "/pypi", xml, two_megabytes.as_bytes()).await, "413"),
        (post(&relay, "/pypi", "Content-Type: application/json\r\n", CALL.as_bytes()).await, "415"),
        (post(&relay, "/pypi", "", CALL.as_bytes()).await, "415"),
        (post(&relay, "/pypi", "Content-Type: text/xml\r\nContent-Encoding: br\r\n", b"x").await, "415"),
        (post(&relay, "/pypi", "Content-Type: text/xml\r\nContent-Encoding: gzip\r\n", b"x").await, "400"),
        (post(&relay, "/simple/", xml, CALL.as_bytes()).await, "405"),
        (
            raw(&relay, b"PURGE /simple/wire-top/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                .await,
            "200",
        ),
        (raw(&relay, b"GET /nothing HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await, "404"),
        (raw(&relay, b"nonsense\r\n\r\n").await, "400"),
    ];
    for (answer, status) in answers {
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
    assert_eq!(call(&relay.url, "changelog_last_serial", &[]).await, Ok(Value::Int(sandbox.last_serial().0)));
}

#[tokio::test]
async fn what_is_no_call_is_not_taken_for_one() {
    let (_sandbox, relay) = pair().await;
    let get = async |path: &str| get_with(Method::GET, &format!("{}{path}", relay.url), &[]).await.unwrap();
    assert!(get("pypi").await.text().contains("<h1>cheesewire</h1>"));
    // Programs of old look for `status == 200` and read what came, whatever it is.
    for query in ["%3Aaction=user", ":action=file_upload", ":action="] {
        let answer = get(&format!("pypi?{query}")).await;
        assert_eq!(answer.status, 404, "{query}");
        assert!(answer.text().starts_with("no such :action"), "{query}");
    }
    let upload = "Content-Type: multipart/form-data; boundary=x\r\n";
    let refused = post(&relay, "/pypi", upload, b"--x--\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 415 this relay takes no uploads\r\n"), "{refused}");
}

#[tokio::test]
async fn who_asks_before_sending_too_much_need_not_send_and_who_just_sends_gets_the_answer() {
    let (_sandbox, relay) = pair().await;
    let xml = "Content-Type: text/xml\r\n";
    let asking = format!(
        "POST /pypi HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{xml}Expect: 100-continue\r\nContent-Length: 20000000\r\n\r\n"
    );
    let answer = raw(&relay, asking.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // The whole is written before anything is read, as old clients do.
    let much = vec![b' '; 20_000_000];
    for (kind, status) in [(xml, "413"), ("Content-Type: application/json\r\n", "415"), ("", "415")] {
        let answer = post(&relay, "/pypi", kind, &much).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit_of_a_plain_call() {
    use std::io::Write as _;
    let (_sandbox, relay) = pair().await;
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        coder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = coder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let answer = post(&relay, "/pypi", "Content-Type: text/xml\r\nContent-Encoding: gzip\r\n", &bomb).await;
    assert_eq!(answer.split(' ').nth(1), Some("413"), "{answer}");
}

#[tokio::test]
async fn paths_that_climb_and_names_that_are_none_get_a_reason() {
    let (_sandbox, relay) = pair().await;
    for path in [
        "/packages/../../etc/passwd",
        "/packages/%2e%2e/%2e%2e/etc/passwd",
        "/packages/a/..%2f..%2fb",
        "/packages/a%00b",
    ] {
        let answer = raw(
            &relay,
            format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert_eq!(answer.split(' ').nth(1), Some("400"), "{path}: {answer}");
    }
    for path in [
        "simple/no-such-project/",
        "simple/no%20name/",
        "pypi/no-such-project/json",
        "pypi/wire-top/99/json",
        "packages/aa/bb/cc/none-1.tar.gz",
    ] {
        let answer = get(&format!("{}{path}", relay.url)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.text().contains("no such") || answer.text().contains("name"),
            "{path}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn an_upstream_that_fails_costs_a_clear_answer_and_nothing_else() {
    let (sandbox, relay) = pair().await;
    let html = Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), "text/html".to_owned())].into(),
        body: "<html>Sign in to this hotel's network</html>".to_owned(),
    };
    let name = |n: usize| ["wire-core", "wire-left", "wire-right"][n];
    for (at, effect) in [Effect::Status { code: 500 }, html, Effect::Reset].into_iter().enumerate() {
        sandbox.faults().add(Fault::on(Route::Page, effect.clone())).unwrap();
        sandbox.faults().add(Fault::on(Route::Json, effect.clone())).unwrap();
        let page = get(&format!("{}simple/{}/", relay.url, name(at))).await;
        // A hotel's page has no links: as HTML it is an empty project page, so it must not be taken for one.
        assert!(matches!(page.status, 502 | 503), "{effect:?}: {} {}", page.status, page.text());
        let fault =
            call(&relay.url, "release_data", &[Value::from(name(at)), Value::from("1.0")]).await.unwrap_err();
        assert_eq!(fault.code, -32403, "{effect:?}: {fault}");
        sandbox.faults().clear();
    }
    sandbox.pause().await.unwrap();
    let page = get_with(Method::GET, &format!("{}simple/chain-a/", relay.url), &[]).await.unwrap();
    assert_eq!((page.status, page.header("retry-after").is_empty()), (503, false), "{}", page.text());
    let fault = call(&relay.url, "package_releases", &[Value::from("chain-a")]).await.unwrap_err();
    assert!(fault.string.starts_with("server error; service unavailable; retry in "), "{fault}");
    sandbox.resume().await.unwrap();
    assert_eq!(get(&format!("{}healthz", relay.url)).await.text(), "ok\n");
    assert!(call(&relay.url, "changelog_last_serial", &[]).await.is_ok());
}

#[tokio::test]
async fn who_runs_it_sees_health_readiness_and_metrics() {
    let (sandbox, relay) = pair().await;
    call(&relay.url, "changelog_last_serial", &[]).await.unwrap();
    let ready = get(&format!("{}readyz", relay.url)).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));
    assert_eq!(ready.json()["last_serial"], sandbox.last_serial().0);
    let metrics = get(&format!("{}metrics", relay.url)).await;
    assert!(
        metrics
            .text()
            .contains("cheesewire_rpc_calls_total{method=\"changelog_last_serial\",outcome=\"ok\"}")
    );
}
