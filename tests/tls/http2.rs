//! HTTP/2: bounded as HTTP/1 is, counted as it is, and not to be worn out by a client that asks and takes nothing.

use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::{Encrypted, HTTP2};
use crate::support::{get, until, within};

type Request = axum::http::Request<()>;

/// A connection by hand.
struct Connection {
    ask: SendRequest<Bytes>,
    /// Ends when the connection does.
    runs: JoinHandle<Result<(), h2::Error>>,
    url: String,
}

impl Connection {
    async fn open(bench: &Encrypted, builder: &Builder) -> Self {
        let stream = bench.authority.connect(&bench.url, HTTP2).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (ask, connection) = builder.handshake(stream).await.unwrap();
        Self { ask, runs: tokio::spawn(connection), url: bench.url.clone() }
    }

    fn request(&self, path: &str) -> Request {
        Request::get(format!("{}{path}", self.url)).body(()).unwrap()
    }

    /// Asks and waits for the head of the answer.
    async fn get(&self, path: &str) -> Result<axum::http::Response<RecvStream>, h2::Error> {
        self.send(self.request(path)).await
    }

    async fn send(&self, request: Request) -> Result<axum::http::Response<RecvStream>, h2::Error> {
        let mut ask = self.ask.clone().ready().await?;
        let (answer, _) = ask.send_request(request, true)?;
        within("no answer comes", answer).await
    }
}

/// All of a body, taken as it comes.
async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut whole = Vec::new();
    while let Some(piece) = within("nothing comes", body.data()).await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// A path of a file whose size is in these bounds.
fn file(bench: &Encrypted, sizes: std::ops::Range<u64>) -> (String, u64) {
    let projects = bench.sandbox.projects();
    let mut files = projects.iter().flat_map(|project| project.files().map(|(_, upload)| &upload.file));
    let file = files.find(|file| sizes.contains(&file.content.size())).unwrap();
    (format!("packages/{}", file.path), file.content.size())
}

const BIG: std::ops::Range<u64> = 60_000_000..80_000_000;
const SMALL: std::ops::Range<u64> = 500..20_000;

async fn serves(bench: &Encrypted) {
    let answer = bench.client(HTTP2).get(format!("{}healthz", bench.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// A frame, byte for byte (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The error that the last word of a connection names, if it has one.
fn goodbye(mut answer: &[u8]) -> Option<u32> {
    let mut error = None;
    while let [a, b, c, kind, rest @ ..] = answer
        && let Some(content) = rest.get(5..5 + u32::from_be_bytes([0, *a, *b, *c]) as usize)
    {
        if *kind == 7 {
            error = content.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
        }
        answer = &rest[5 + content.len()..];
    }
    error
}

#[tokio::test]
async fn requests_that_are_withdrawn_at_once_end_the_connection() {
    let bench = Encrypted::start(&[]).await;
    let (mut reader, mut writer) = tokio::io::split(bench.authority.connect(&bench.url, HTTP2).await);
    // GET, https, and the rest in full.
    let path = b"/simple/wire-top/";
    let head = [&b"\x82\x87\x01\x0arelay.test\x04"[..], &[u8::try_from(path.len()).unwrap()], path].concat();
    let mut ask = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    ask.extend(frame(4, 0, 0, b""));
    for stream in (1..).step_by(2).take(20_000) {
        ask.extend(frame(1, 5, stream, &head));
        // CANCEL.
        ask.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let send = async { writer.write_all(&ask).await.is_ok() };
    let mut answer = Vec::new();
    let read = async { reader.read_to_end(&mut answer).await.is_ok() };
    within("it is never ended", async { tokio::join!(send, read) }).await;
    // ENHANCE_YOUR_CALM, if that came before the end.
    assert!(matches!(goodbye(&answer), None | Some(11)), "{:?}", goodbye(&answer));
    serves(&bench).await;
}

#[tokio::test]
async fn answers_that_are_broken_off_again_and_again_end_the_connection_and_a_few_do_not() {
    let bench = Encrypted::start(&[]).await;
    let (path, _) = file(&bench, BIG);
    let connection = Connection::open(&bench, &Builder::new()).await;
    let break_off = async |connection: &Connection| {
        let answer = connection.get(&path).await?;
        assert_eq!(answer.status(), 200);
        let (_, mut body) = answer.into_parts();
        within("nothing comes", body.data()).await.unwrap()?;
        // Dropped with the rest of it unread, which resets the stream.
        drop(body);
        // What was reset is known when the next answer comes.
        connection.get("healthz").await.map(|answer| assert_eq!(answer.status(), 200))
    };
    // Each is made up for by one that is taken whole.
    for n in 0..150 {
        break_off(&connection).await.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    let only = async {
        for _ in 0..100_000 {
            let Ok(answer) = connection.get(&path).await else { return };
            drop(answer);
        }
        panic!("all were taken");
    };
    within("it goes on", only).await;
    let metrics = get(&format!("{}metrics", bench.plain)).await.text().to_owned();
    assert!(metrics.contains("\ncheesewire_http_broken_off_total "), "{metrics}");
    serves(&bench).await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_whatever_else_it_does() {
    let bench = Encrypted::start(&["http.idle_timeout=2s"]).await;
    let (path, _) = file(&bench, BIG);
    let mut builder = Builder::new();
    builder.initial_window_size(100_000).initial_connection_window_size(1 << 30);
    let connection = Connection::open(&bench, &builder).await;
    let stalled = connection.get(&path).await.unwrap();
    // It asks on, and takes that.
    let busy = async {
        loop {
            match connection.get("simple/").await {
                Ok(answer) => drop(whole(answer.into_body()).await),
                Err(error) => return error,
            }
        }
    };
    within("it goes on", busy).await;
    let (_, mut body) = stalled.into_parts();
    let rest = async {
        while let Some(piece) = body.data().await {
            piece?;
        }
        Ok::<_, h2::Error>(())
    };
    within("it does not end", rest).await.unwrap_err();
    serves(&bench).await;
}

#[tokio::test]
async fn who_asks_nothing_is_told_to_go_and_who_waits_for_news_is_not() {
    let bench = Encrypted::start(&["http.idle_timeout=2s", "feed.keep_alive=50ms"]).await;
    let idle = Connection::open(&bench, &Builder::new()).await;
    idle.get("healthz").await.unwrap();
    within("it is never told to go", idle.runs).await.unwrap().unwrap();
    let listens = Connection::open(&bench, &Builder::new()).await;
    let mut feed = listens.get("journal/events?follow=true").await.unwrap().into_body();
    // Signs of life for longer than that.
    for _ in 0..60 {
        let piece = within("nothing comes", feed.data()).await.expect("it goes on").unwrap();
        feed.flow_control().release_capacity(piece.len()).unwrap();
    }
}

#[tokio::test]
async fn so_many_requests_at_once_are_taken_of_one_connection_and_of_all() {
    let settings = ["http.streams_at_once=3", "http.max_connections=4", "feed.keep_alive=20ms"];
    let bench = Encrypted::start(&settings).await;
    let first = Connection::open(&bench, &Builder::new()).await;
    first.get("healthz").await.unwrap();
    assert_eq!(first.ask.current_max_send_streams(), 3);
    let second = Connection::open(&bench, &Builder::new()).await;
    let mut held = Vec::new();
    for connection in [&first, &first, &first, &second] {
        let answer = connection.get("journal/events?follow=true").await.unwrap();
        assert_eq!(answer.status(), 200);
        held.push(answer);
    }
    let refused = second.get("healthz").await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    drop(held.pop());
    until("its place is lost", async || second.get("healthz").await.unwrap().status() == 200).await;
}

#[tokio::test]
async fn fields_past_the_limit_are_refused_and_the_connection_goes_on() {
    let bench = Encrypted::start(&["http.header_limit=48 KiB"]).await;
    let connection = Connection::open(&bench, &Builder::new()).await;
    let with = |bytes: usize| {
        let mut request = connection.request("healthz");
        request.headers_mut().insert("x-long", "x".repeat(bytes).parse().unwrap());
        request
    };
    let (short, long) = (with(40 << 10), with(60 << 10));
    assert_eq!(connection.send(short).await.unwrap().status(), 200);
    let answer = connection.send(long).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(connection.get("healthz").await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_of_a_body_and_none() {
    let (open, closed) = (Encrypted::start(&[]).await, Encrypted::start(&["auth.required=always"]).await);
    let (file, _) = file(&open, SMALL);
    for (bench, path, status) in [
        (&open, "healthz", 200),
        (&open, file.as_str(), 200),
        (&open, file.as_str(), 200),
        (&open, "simple/wire-top/", 200),
        (&open, "nowhere", 404),
        (&open, "packages/no/such.whl", 404),
        // Refused before it has a route.
        (&closed, "nowhere", 401),
        (&closed, "packages/no/such.whl", 401),
    ] {
        let connection = Connection::open(bench, &Builder::new()).await;
        let mut request = connection.request(path);
        *request.method_mut() = reqwest::Method::HEAD;
        let head = connection.send(request).await.unwrap();
        assert_eq!(head.status(), status, "{path}");
        let length = head.headers().get("content-length").cloned();
        assert_eq!(whole(head.into_body()).await.unwrap(), b"", "{path}");
        let answer = connection.get(path).await.unwrap();
        let body = whole(answer.into_body()).await.unwrap();
        assert!(length.is_none_or(|length| length == *body.len().to_string()), "{path}");
    }
}

#[tokio::test]
async fn limits_on_clients_and_counts_of_requests_hold_here_too() {
    let bench = Encrypted::start(&["clients.calls_per_second=0.001", "clients.burst=2"]).await;
    let client = bench.client(HTTP2);
    let call = || {
        let question = cheesewire::xmlrpc::encode_call("package_hosting_mode", &["x".into()]).unwrap();
        client.post(format!("{}RPC2", bench.url)).header("content-type", "text/xml").body(question)
    };
    let counter = "cheesewire_http_requests_total{route=\"/RPC2\",status=\"200\"}";
    for _ in 0..2 {
        let answer = call().send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert!(!answer.text().await.unwrap().contains("HTTPTooManyRequests"));
    }
    assert!(call().send().await.unwrap().text().await.unwrap().contains("HTTPTooManyRequests"));
    let large = call().body("x".repeat(2 << 20)).send().await.unwrap();
    assert_eq!(large.status(), 413);
    let metrics = get(&format!("{}metrics", bench.plain)).await.text().to_owned();
    assert!(metrics.contains(counter), "{metrics}");
}

#[tokio::test]
async fn each_whole_download_counts_once_and_one_that_is_broken_off_does_not() {
    let bench = Encrypted::start(&["stats.flush=10ms"]).await;
    let client = bench.client(HTTP2);
    let (big, small) = (file(&bench, BIG), file(&bench, SMALL));
    for (path, size) in [&big, &small] {
        for _ in 0..2 {
            let answer = client.get(format!("{}{path}", bench.url)).send().await.unwrap();
            assert_eq!(answer.content_length(), Some(*size));
            assert_eq!(answer.bytes().await.unwrap().len() as u64, *size);
        }
    }
    for path in [&big.0, &small.0] {
        // A window in which no file has room: of each the first bytes leave, and then the client does.
        let mut builder = Builder::new();
        builder.initial_window_size(100);
        let connection = Connection::open(&bench, &builder).await;
        let (_, mut body) = connection.get(path).await.unwrap().into_parts();
        let first = within("nothing comes", body.data()).await.unwrap().unwrap();
        assert!(first.len() <= 100);
        drop(body);
        connection.get("healthz").await.unwrap();
    }
    let folder = bench.relay.stop().await;
    let database = rusqlite::Connection::open(folder.path().join("statistics.sqlite3")).unwrap();
    let all: i64 = database.query_row("SELECT sum(count) FROM counters", [], |row| row.get(0)).unwrap();
    assert_eq!(all, 4);
}

#[tokio::test]
async fn while_the_relay_stops_an_answer_that_is_on_its_way_comes_to_its_end() {
    let bench = Encrypted::start(&["http.drain=5m"]).await;
    let (path, size) = file(&bench, BIG);
    let mut builder = Builder::new();
    builder.initial_window_size(100_000);
    let connection = Connection::open(&bench, &builder).await;
    let answer = connection.get(&path).await.unwrap();
    let mut stop = Box::pin(bench.relay.stop());
    assert!((&mut stop).now_or_never().is_none());
    // The client is told so, and begins nothing more here.
    until("it is not told", async || connection.get("healthz").await.is_err()).await;
    let (stopped, body) =
        within("it does not stop", async { tokio::join!(stop, whole(answer.into_body())) }).await;
    assert_eq!(body.unwrap().len() as u64, size);
    drop(stopped);
}
