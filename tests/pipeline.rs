//! What holds for every request, whichever way it is answered: as a call, as a file in memory, or by a route. Who is
//! admitted, what is charged, what is counted, and the line of the access log.

use bytes::Bytes;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use cheesewire::xmlrpc::{Value as Xml, encode_call};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::Process;
use crate::support::{PATIENT, connect, exchange, get, sandbox, within};

/// The ways through the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A call that is known by its bytes, once it was read.
    Repeated,
    /// A call that is read.
    Read,
    /// Three calls in one.
    Multicall,
    /// A call that cannot be read.
    Unreadable,
    /// A file in memory that was asked for before.
    File,
    /// A page.
    Page,
    /// The feed.
    Feed,
}

const ALL: [Way; 7] =
    [Way::Repeated, Way::Read, Way::Multicall, Way::Unreadable, Way::File, Way::Page, Way::Feed];

impl Way {
    fn body(self) -> Option<Bytes> {
        Some(match self {
            Self::Repeated => encode_call("changelog_last_serial", &[]).unwrap(),
            Self::Read => encode_call("package_hosting_mode", &["x".into()]).unwrap(),
            Self::Multicall => {
                let one = Xml::Struct(vec![("methodName".to_owned(), "system.listMethods".into())]);
                encode_call("system.multicall", &[Xml::Array(vec![one; 3])]).unwrap()
            }
            Self::Unreadable => Bytes::from_static(b"<methodCall>"),
            Self::File | Self::Page | Self::Feed => return None,
        })
    }

    fn target(self, file: &str) -> &str {
        match self {
            Self::File => file,
            Self::Page => "/simple/wire-core/",
            Self::Feed => "/journal/events?since=0",
            Self::Repeated | Self::Read | Self::Multicall | Self::Unreadable => "/RPC2",
        }
    }

    /// The route in metrics and in the access log.
    fn route(self) -> &'static str {
        match self {
            Self::File => "/packages/{*path}",
            Self::Page => "/simple/{name}/",
            Self::Feed => "/journal/events",
            Self::Repeated | Self::Read | Self::Multicall | Self::Unreadable => "/RPC2",
        }
    }

    /// The calls that it is charged for.
    fn calls(self) -> usize {
        match self {
            Self::Repeated | Self::Read | Self::Unreadable => 1,
            Self::Multicall => 3,
            Self::File | Self::Page | Self::Feed => 0,
        }
    }

    /// The method and the cache's word in the access log.
    fn facts(self) -> (Value, Value) {
        match self {
            Self::Repeated => (json!("changelog_last_serial"), json!("hit")),
            Self::Read => (json!("package_hosting_mode"), Value::Null),
            Self::Multicall => (json!("system.multicall"), Value::Null),
            Self::Unreadable => (json!("unreadable"), Value::Null),
            Self::File => (Value::Null, json!("hit")),
            Self::Page | Self::Feed => (Value::Null, Value::Null),
        }
    }
}

/// A relay as a process, before a sandbox, and a file that it has in memory.
struct Bench {
    relay: Process,
    file: String,
    sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Every client's calls are told apart by `X-Forwarded-For`.
    async fn start(settings: &[&str]) -> Self {
        let sandbox = sandbox().await;
        let folder = tempfile::tempdir().unwrap();
        // A machine may be ten times slower, which is no test's subject here.
        let patient = PATIENT.map(|(key, value)| format!("{key}={value}"));
        let patient: Vec<&str> = patient.iter().map(String::as_str).collect();
        let settings = [&patient[..], &["clients.trusted_proxies=127.0.0.1"], settings].concat();
        let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
        let page = get(&format!("{}simple/wire-core/", relay.url)).await;
        let file = page.text().split('"').find(|text| text.contains("/packages/")).unwrap();
        let file = file.split('#').next().unwrap();
        let file = format!("/{}", &file[file.find("packages/").unwrap()..]);
        let bench = Self { relay, file, sandbox, _folder: folder };
        // Fetched, answered from memory by its route, and from then on without one.
        for _ in 0..3 {
            bench.ask(Way::File, "192.0.2.250", "").await;
        }
        // Read once, known by its bytes from then on.
        bench.ask(Way::Repeated, "192.0.2.250", "").await;
        bench
    }

    /// A request byte for byte, on a connection that closes behind its answer.
    fn request(&self, way: Way, client: &str, fields: &str) -> Vec<u8> {
        let body = way.body();
        let verb = if body.is_some() { "POST" } else { "GET" };
        let head = format!("{verb} {} HTTP/1.1\r\nHost: relay.test\r\n", way.target(&self.file));
        let head = format!("{head}Connection: close\r\nX-Forwarded-For: {client}\r\n{fields}");
        let body = body.unwrap_or_default();
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: text/xml\r\nContent-Length: {}\r\n", body.len())
        };
        [format!("{head}{length}\r\n").as_bytes(), &body].concat()
    }

    async fn ask(&self, way: Way, client: &str, fields: &str) -> String {
        exchange(&self.relay.url, &self.request(way, client, fields)).await
    }

    /// Opens the feed for a client, for as long as the connection is kept.
    async fn hold_feed(&self, client: &str) -> TcpStream {
        let head = "GET /journal/events HTTP/1.1\r\nHost: relay.test\r\nAccept: text/event-stream\r\n";
        let request = format!("{head}X-Forwarded-For: {client}\r\n\r\n");
        let mut holder = begun(&self.relay.url, request.as_bytes()).await;
        within("nothing comes", holder.read_u8()).await.unwrap();
        holder
    }

    /// The value of a metric; 0 if it is not shown.
    async fn metric(&self, of: &str) -> u64 {
        let shown = get(&format!("{}metrics", self.relay.url)).await;
        let line = shown.text().lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// The next line of the access log.
    async fn line(&mut self) -> Value {
        loop {
            let line = within("no line comes", self.relay.logged()).await;
            if line["target"] == "cheesewire::access" {
                return line["fields"].clone();
            }
        }
    }

    /// The first line of the access log of a client, whose address tells it apart from those of before.
    async fn line_of(&mut self, client: &str) -> Value {
        loop {
            let line = self.line().await;
            if line["client"] == client {
                return line;
            }
        }
    }
}

fn is_refused(answer: &str) -> bool {
    answer.contains("HTTPTooManyRequests") || answer.starts_with("HTTP/1.1 429 ")
}

/// The bytes of an answer's body, which is not coded in chunks.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_client_is_charged_for_the_calls_in_a_body_and_for_nothing_else() {
    let bench = Bench::start(&["clients.calls_per_second=0.001", "clients.burst=4"]).await;
    let refusals = "cheesewire_client_refusals_total{limit=\"calls_per_second\"}";
    for (n, way) in ALL.into_iter().enumerate() {
        let client = format!("192.0.2.{}", n + 1);
        assert!(!is_refused(&bench.ask(way, &client, "").await), "{way:?}");
        for left in (0..4 - way.calls()).rev() {
            assert!(!is_refused(&bench.ask(Way::Read, &client, "").await), "{way:?}: {left} are left");
        }
        // It has had what it may; others have not.
        for again in ALL {
            let before = bench.metric(refusals).await;
            let answer = bench.ask(again, &client, "").await;
            assert_eq!(is_refused(&answer), again.calls() > 0, "{again:?} after {way:?}: {answer}");
            assert_eq!(bench.metric(refusals).await - before, u64::from(again.calls() > 0), "{again:?}");
        }
    }
}

#[tokio::test]
async fn a_client_holds_its_place_until_its_answer_is_gone_and_other_requests_need_none() {
    let bench = Bench::start(&["clients.calls_at_once=1", "clients.feeds_at_once=1"]).await;
    for (n, way) in [Way::Read, Way::Feed].into_iter().enumerate() {
        let client = format!("192.0.2.{}", n + 1);
        let mut holder = connect(&bench.relay.url).await;
        let request = if way == Way::Feed {
            format!(
                "GET /journal/events HTTP/1.1\r\nHost: relay.test\r\nX-Forwarded-For: {client}\r\nAccept: text/event-stream\r\n\r\n"
            )
        } else {
            // A call of which the body does not come: `100 Continue` tells that it is waited for.
            format!(
                "POST /RPC2 HTTP/1.1\r\nHost: relay.test\r\nX-Forwarded-For: {client}\r\nContent-Type: text/xml\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
            )
        };
        holder.write_all(request.as_bytes()).await.unwrap();
        // It is being answered.
        within("nothing comes", holder.read_u8()).await.unwrap();
        for other in ALL {
            let refused = is_refused(&bench.ask(other, &client, "").await);
            let same = if way == Way::Feed { other == Way::Feed } else { other.calls() > 0 };
            assert_eq!(refused, same, "{other:?} while a {way:?} is answered");
        }
        assert!(!is_refused(&bench.ask(way, "192.0.2.99", "").await), "another's {way:?}");
        drop(holder);
        crate::support::until("its place is lost", async || !is_refused(&bench.ask(way, &client, "").await))
            .await;
    }
    for limit in ["calls_at_once", "feeds_at_once"] {
        let refusals = format!("cheesewire_client_refusals_total{{limit=\"{limit}\"}}");
        assert!(bench.metric(&refusals).await > 0, "{limit}");
    }
}

#[tokio::test]
async fn every_request_is_counted_once_by_its_route_and_its_status() {
    let bench = Bench::start(&["clients.calls_at_once=1", "clients.feeds_at_once=1"]).await;
    let _holder = bench.hold_feed("192.0.2.1").await;
    for way in ALL {
        let status = if way == Way::Feed { 429 } else { 200 };
        let counter =
            format!("cheesewire_http_requests_total{{route=\"{}\",status=\"{status}\"}}", way.route());
        let seconds = format!("cheesewire_http_first_byte_seconds_count{{route=\"{}\"}}", way.route());
        let before = (bench.metric(&counter).await, bench.metric(&seconds).await);
        bench.ask(way, "192.0.2.1", "").await;
        let after = (bench.metric(&counter).await, bench.metric(&seconds).await);
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{way:?}");
    }
    for (target, route, status) in [
        ("/nothing/here", "other", 404),
        ("/simple/no-such-project/", "/simple/{name}/", 404),
        ("/packages/no/such.whl", "/packages/{*path}", 404),
    ] {
        let counter = format!("cheesewire_http_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        let before = bench.metric(&counter).await;
        let answer = get(&format!("{}{}", bench.relay.url.trim_end_matches('/'), target)).await;
        assert_eq!(bench.metric(&counter).await - before, 1, "{target}: {}", answer.status);
    }
}

#[tokio::test]
async fn every_request_has_one_line_in_the_access_log_whichever_way_it_is_answered() {
    let mut bench = Bench::start(&["log.access=true", "log.filter=info,cheesewire::http=off"]).await;
    for (n, way) in ALL.into_iter().enumerate() {
        let client = format!("192.0.2.{}", n + 1);
        let answer = bench.ask(way, &client, "User-Agent: wire/1.0 (a \"test\")\r\n").await;
        let line = bench.line_of(&client).await;
        let (method, cache) = way.facts();
        let verb = if way.body().is_some() { "POST" } else { "GET" };
        let target = way.target(&bench.file).split('?').next().unwrap();
        for (field, value) in [
            ("agent", json!("wire/1.0 (a \"test\")")),
            ("verb", json!(verb)),
            ("path", json!(target)),
            ("route", json!(way.route())),
            ("method", method),
            ("status", json!(200)),
            ("complete", json!(true)),
            ("cache", cache),
        ] {
            assert_eq!(line[field], value, "{field} of {way:?}: {line}");
        }
        let length = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
        if let Some(length) = length {
            assert_eq!(line["bytes"].to_string(), length, "{way:?}");
        }
        assert_eq!(length.is_none(), way == Way::Feed, "{answer}");
        assert!(line["bytes"].as_u64().unwrap() > 0 && line["seconds"].is_f64(), "{way:?}: {line}");
    }
    // None twice.
    bench.ask(Way::File, "192.0.2.100", "").await;
    assert_eq!(bench.line().await["client"], "192.0.2.100");
}

#[tokio::test]
async fn refused_and_bodiless_answers_have_their_line_too() {
    let settings = ["clients.calls_per_second=0.001", "clients.burst=1", "clients.feeds_at_once=1"];
    let mut bench = Bench::start(&[&settings[..], &["log.access=true"]].concat()).await;
    let file = bench.file.clone();
    let etag = get(&format!("{}{}", bench.relay.url, &file[1..])).await.header("etag").to_owned();
    let condition = format!("If-None-Match: {etag}\r\n");
    let head = |target: &str| format!("HEAD {target}");
    let read = |target: &str| format!("GET {target}");
    let page = "/simple/{name}/";
    let _holder = bench.hold_feed("192.0.2.6").await;
    for (n, (line, fields, route, status, whole)) in [
        (head(&file), "", "/packages/{*path}", 200, true),
        (read(&file), condition.as_str(), "/packages/{*path}", 304, true),
        (head("/simple/wire-core/"), "", page, 200, true),
        (read("/simple/no-such-project/"), "", page, 404, true),
        (read("/nothing"), "", "other", 404, true),
        (read("/journal/events"), "", "/journal/events", 429, true),
        (head("/pypi"), "", "/pypi", 200, true),
        ("POST /simple/".to_owned(), "", "/simple/", 405, true),
        ("POST /RPC2".to_owned(), "", "/RPC2", 415, true),
    ]
    .into_iter()
    .enumerate()
    {
        let client = format!("192.0.2.{}", n + 1);
        let request = format!(
            "{line} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\nX-Forwarded-For: {client}\r\n{fields}\r\n"
        );
        let answer = exchange(&bench.relay.url, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        let logged = bench.line_of(&client).await;
        let expected = (json!(route), json!(status), json!(whole), json!(body(&answer).len()));
        let found = ["route", "status", "complete", "bytes"].map(|field| logged[field].clone());
        assert_eq!(found, <[Value; 4]>::from(expected), "{line}: {logged}");
    }
    // Calls that are refused are faults.
    for client in ["192.0.2.50", "192.0.2.50"] {
        bench.ask(Way::Multicall, client, "").await;
        let line = bench.line_of(client).await;
        assert_eq!((&line["method"], &line["status"]), (&json!("system.multicall"), &json!(200)), "{line}");
    }
}

#[tokio::test]
async fn what_a_client_writes_forges_no_line_and_makes_none_long() {
    let mut bench = Bench::start(&["log.access=true", "http.header_limit=1MB"]).await;
    for (n, (agent, logged)) in [
        ("a".repeat(100_000), "a".repeat(256)),
        (format!("{}é", "a".repeat(255)), "a".repeat(255)),
        ("x\" status=500 bytes=1".to_owned(), "x\" status=500 bytes=1".to_owned()),
        ("a\tb\u{85}\u{2028}\u{202e}c".to_owned(), "a\tb\u{85}\u{2028}\u{202e}c".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        for (m, way) in [Way::Repeated, Way::File, Way::Page].into_iter().enumerate() {
            let client = format!("192.0.2.{}", 10 * n + m + 1);
            bench.ask(way, &client, &format!("User-Agent: {agent}\r\n")).await;
            // It is read as one line of JSON.
            assert_eq!(bench.line_of(&client).await["agent"], logged, "{way:?}");
        }
    }
    let path = format!("/simple/{}", "b".repeat(50_000));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n"
    );
    exchange(&bench.relay.url, request.as_bytes()).await;
    assert_eq!(bench.line_of("192.0.2.99").await["path"], path[..256]);
}

/// Begins a request, takes some of the answer, and leaves.
async fn begun(url: &str, request: &[u8]) -> TcpStream {
    let mut stream = connect(url).await;
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test]
async fn an_answer_that_is_cut_has_a_line_with_what_was_sent() {
    let mut bench = Bench::start(&["log.access=true", "http.closed_timeout=100ms"]).await;
    // 64 MB: more than the system takes for a client that does not read.
    let page = get(&format!("{}simple/big-wheel/", bench.relay.url)).await;
    let big = page.text().split('"').find(|text| text.contains("/packages/")).unwrap();
    let big = format!("/{}", &big.split('#').next().unwrap()[big.find("packages/").unwrap()..]);
    let request = |client: &str, target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: relay.test\r\nX-Forwarded-For: {client}\r\n\r\n").into_bytes()
    };
    let url = bench.relay.url.clone();
    // While it is fetched, and once it is kept.
    for (n, kept) in [false, true].into_iter().enumerate() {
        if kept {
            let whole = get(&format!("{url}{}", &big[1..])).await;
            assert!(whole.bytes().len() >= 64 << 20);
        }
        let client = format!("192.0.2.{}", n + 1);
        let mut stream = begun(&url, &request(&client, &big)).await;
        within("nothing comes", stream.read_exact(&mut vec![0; 100_000])).await.unwrap();
        drop(stream);
        let line = bench.line_of(&client).await;
        assert_eq!((&line["status"], &line["complete"]), (&json!(200), &json!(false)), "{line}");
        let bytes = line["bytes"].as_u64().unwrap();
        assert!((90_000..64 << 20).contains(&bytes), "kept: {kept}: {line}");
    }
    // Who leaves before there is an answer has a line without a status.
    bench.sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 3_600_000 })).unwrap();
    bench.sandbox.forget_requests();
    let stream = begun(&url, &request("192.0.2.9", "/simple/wire-top/")).await;
    crate::support::until("it is not asked for", async || bench.sandbox.requests().route(Route::Page) > 0)
        .await;
    drop(stream);
    let line = bench.line_of("192.0.2.9").await;
    assert_eq!(
        (&line["status"], &line["complete"], &line["bytes"]),
        (&Value::Null, &json!(false), &json!(0))
    );
}

#[tokio::test]
async fn there_is_no_access_log_unless_it_is_switched_on() {
    let bench = Bench::start(&["log.filter=trace"]).await;
    for way in ALL {
        bench.ask(way, "192.0.2.1", "").await;
    }
    bench.relay.terminate();
    let (_, rest) = bench.relay.end().await;
    assert!(rest.iter().any(|line| line.contains("answered")), "{}", rest.len());
    assert!(!rest.iter().any(|line| line.contains("cheesewire::access")));
}
