//! The requests of `fixtures/requests/`, replayed byte for byte: every row of docs/wire.md section 1 and every kind of client.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cheesewire::sandbox::Sandbox;
use cheesewire::xmlrpc::{Limits, decode_response};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::{Relay, sandbox, within};

#[derive(Deserialize)]
struct Index {
    request: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    file: String,
    client: String,
    why: String,
    #[serde(default = "ok")]
    status: u16,
    answer: Option<String>,
    fault: Option<String>,
    #[serde(default)]
    readable: bool,
    page: Option<String>,
    #[serde(default)]
    coded: bool,
    #[serde(default)]
    closes: bool,
}

fn ok() -> u16 {
    200
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/requests")
}

fn index() -> Vec<Expected> {
    let text = std::fs::read_to_string(folder().join("index.toml")).unwrap();
    toml::from_str::<Index>(&text).unwrap().request
}

/// An answer off the wire.
struct Replayed {
    status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// The relay closed the connection after it.
    closed: bool,
}

impl Replayed {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request, and reads one answer as an old client would: by its length, its chunks, or the connection's end.
///
/// `closes`: the connection should end then.
async fn replay(relay: &Relay, request: &[u8], closes: bool) -> Replayed {
    let address = relay.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut status, mut fields) = head(&mut stream).await;
    if status == 100 {
        (status, fields) = head(&mut stream).await;
    }
    let mut answer = Replayed { status, fields, body: Vec::new(), closed: false };
    if answer.field("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(line(&mut stream).await.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.unwrap();
            assert!(chunk.ends_with(b"\r\n"));
            if size == 0 {
                break;
            }
            answer.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = answer.field("content-length") {
        answer.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut answer.body).await.unwrap();
    } else {
        stream.read_to_end(&mut answer.body).await.unwrap();
    }
    if closes || answer.field("connection") == Some("close") {
        let mut rest = Vec::new();
        within("the connection stays open", stream.read_to_end(&mut rest)).await.ok();
        assert_eq!(rest, b"", "more than an answer");
        answer.closed = true;
    }
    answer
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

async fn head(stream: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let status = line(stream).await;
    let status = status.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {status:?}")).parse().unwrap();
    let mut fields = Vec::new();
    loop {
        let line = line(stream).await;
        let Some((name, value)) = line.trim_end().split_once(':') else { return (status, fields) };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn check(expected: &Expected, request: &[u8], got: &Replayed, last: i64) {
    let Expected { file, client, why, .. } = expected;
    let at = format!("{file} ({client}: {why})");
    let text = String::from_utf8_lossy(&got.body).into_owned();
    assert_eq!(got.status, expected.status, "{at}: {text}");
    assert_eq!(got.field("location"), None, "{at}: no client follows");
    assert_eq!(got.closed, expected.closes, "{at}");
    let coded = got.field("content-encoding") == Some("gzip");
    assert_eq!(coded, expected.coded, "{at}: {:?}", got.field("content-encoding"));
    let head = request.split(|b| *b == b'\n').next().unwrap();
    if head.ends_with(b"HTTP/1.0\r") {
        assert_eq!(got.field("transfer-encoding"), None, "{at}: HTTP/1.0 knows no chunks");
    }
    if let Some(words) = &expected.page {
        assert!(
            got.field("content-type").unwrap().starts_with("text/html") && text.contains(words),
            "{at}: {text}"
        );
        return;
    }
    if expected.status != 200 {
        assert!(got.field("content-type").unwrap().starts_with("text/plain"), "{at}");
        assert!(!text.trim().is_empty(), "{at}: no reason");
        return;
    }
    assert_eq!(got.field("content-type"), Some("text/xml; charset=utf-8"), "{at}");
    let mut body = got.body.clone();
    if coded {
        body.clear();
        flate2::read::GzDecoder::new(&got.body[..]).read_to_end(&mut body).unwrap();
    }
    assert!(body.is_ascii(), "{at}");
    match decode_response(&body, Limits { depth: 64 }).unwrap_or_else(|error| panic!("{at}: {error}: {text}"))
    {
        _ if expected.readable => {}
        Ok(value) => {
            let answer = expected.answer.as_ref().unwrap_or_else(|| panic!("{at}: no fault but {text}"));
            let answer = answer.replace("$last", &last.to_string());
            assert_eq!(value.to_json(), serde_json::from_str::<serde_json::Value>(&answer).unwrap(), "{at}");
        }
        Err(fault) => assert_eq!(Some(format!("{} {}", fault.code, fault.string)), expected.fault, "{at}"),
    }
}

#[tokio::test]
async fn every_request_gets_what_the_index_says() {
    let sandbox: Sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for expected in index() {
        let request = std::fs::read(folder().join(&expected.file)).unwrap();
        let whole = format!("{}: no whole answer", expected.file);
        let got = within(&whole, replay(&relay, &request, expected.closes)).await;
        check(&expected, &request, &got, sandbox.last_serial().0);
    }
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_one_after_the_other() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let requests = ["python3.http", "gzip.http", "chunked.http", "params-closed.http", "perl-rpc-xml.http"];
    let all = requests.map(|file| std::fs::read(folder().join(file)).unwrap()).concat();
    let address = relay.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&all).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), requests.len(), "{answers}");
    assert_eq!(answers.matches("<string>1.0</string>").count(), 4, "{answers}");
}

#[test]
fn the_index_names_every_request_and_each_is_one() {
    let named: BTreeSet<String> = index().into_iter().map(|expected| expected.file).collect();
    let files =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> =
        files.filter(|name| !matches!(name.as_str(), "index.toml" | ".gitattributes")).collect();
    assert_eq!(named, files);
    for file in files {
        let request = std::fs::read(folder().join(&file)).unwrap();
        let end = request
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{file}: no head"));
        let lone = request[..end].split(|b| *b == b'\n').rev().skip(1).any(|line| !line.ends_with(b"\r"));
        assert!(!lone, "{file}: a line of the head does not end in CRLF");
    }
}
