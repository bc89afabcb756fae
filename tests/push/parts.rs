//! What the tests of push share: an index whose files cannot be fetched, who is asked for them, and forms.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bytes::Bytes;
use cheesewire::model::Clock;
use futures_util::StreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::support::scripted::serve;
use crate::support::{Answer, Relay, connect, exchange, get, post_request, until};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// Where tests begin, in seconds since 1970.
pub const NOON: i64 = 1_700_000_000;
/// The path of the file, below `/packages/`.
pub const PATH: &str = "ab/cd/a-1.0.zip";

/// A hundred kilobytes and a bit in which no two blocks are alike.
pub fn content() -> Bytes {
    of_size(120_000)
}

pub fn of_size(bytes: u32) -> Bytes {
    (0..bytes / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>().into()
}

/// An index with one project, `a`, which has one file.
pub struct Index {
    pub url: Url,
    /// What a request for the file is answered.
    pub status: Arc<AtomicU16>,
    /// Requests for the file.
    pub asked: Arc<AtomicUsize>,
    /// Bytes of the file that upstream sends before it breaks off, if it gives the file.
    pub cut: Arc<Mutex<Option<usize>>>,
    /// The beginning that it sends then has a wrong byte.
    pub wrong: Arc<std::sync::atomic::AtomicBool>,
    /// What it answers for pages instead.
    pub page_status: Arc<AtomicU16>,
    /// Whether the page names the file.
    pub named: Arc<std::sync::atomic::AtomicBool>,
}

impl Index {
    /// That gives no file: 403.
    pub async fn refusing(content: &Bytes) -> Self {
        Self::with(content, 403, true).await
    }

    /// `sized`: it states the file's size.
    pub async fn with(content: &Bytes, status: u16, sized: bool) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let page_status = Arc::new(AtomicU16::new(200));
        let (asked, cut, named) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)), Arc::new(true.into()));
        let wrong = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let wrongly = wrong.clone();
        let digest = hex::encode(Sha256::digest(content));
        let mut file = json!({"filename": "a-1.0.zip", "url": format!("/packages/{PATH}"), "hashes": {"sha256": digest}});
        if sized {
            file["size"] = content.len().into();
        }
        let answer = {
            let (status, asked, cut, page_status) =
                (status.clone(), asked.clone(), cut.clone(), page_status.clone());
            let (content, named): (_, Arc<std::sync::atomic::AtomicBool>) =
                (content.clone(), Arc::clone(&named));
            move |uri: Uri| {
                let page_status = StatusCode::from_u16(page_status.load(Ordering::SeqCst)).unwrap();
                let answer = match uri.path() {
                    _ if page_status != StatusCode::OK && uri.path().starts_with("/simple/") => {
                        page_status.into_response()
                    }
                    "/simple/" => page(&json!({"meta": {"api-version": "1.1"}, "projects": [{"name": "a"}]})),
                    "/simple/a/" => {
                        let files = if named.load(Ordering::SeqCst) { vec![file.clone()] } else { vec![] };
                        page(
                            &json!({"meta": {"api-version": "1.1"}, "name": "a", "versions": ["1.0"], "files": files}),
                        )
                    }
                    path if path == format!("/packages/{PATH}") => {
                        asked.fetch_add(1, Ordering::SeqCst);
                        let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
                        match (status, *cut.lock().unwrap()) {
                            (StatusCode::OK, None) => content.clone().into_response(),
                            (StatusCode::OK, Some(cut)) => {
                                broken(&content, cut, wrongly.load(Ordering::SeqCst))
                            }
                            _ => status.into_response(),
                        }
                    }
                    _ => StatusCode::NOT_FOUND.into_response(),
                };
                async move { answer }
            }
        };
        let url = serve(Router::new().fallback(any(answer))).await;
        Self { url, status, asked, cut, wrong, page_status, named }
    }
}

/// The beginning of a file, and then an error.
fn broken(content: &Bytes, cut: usize, wrong: bool) -> Response {
    let mut beginning = content[..cut].to_vec();
    beginning[7] ^= u8::from(wrong);
    let pieces = [Ok(Bytes::from(beginning)), Err(std::io::Error::other("cut"))];
    // A server drops what it has not written when a body fails; it writes when that has nothing to give.
    let pieces = futures_util::stream::iter(pieces).then(|piece| async {
        if piece.is_err() {
            tokio::task::yield_now().await;
        }
        piece
    });
    let body = axum::body::Body::from_stream(pieces);
    ([("content-length", content.len().to_string())], body).into_response()
}

fn page(value: &serde_json::Value) -> Response {
    ([("content-type", JSON)], value.to_string()).into_response()
}

/// Who is asked for files: notes the questions, and comes back only when the test does.
pub struct Master {
    pub url: Url,
    pub status: Arc<AtomicU16>,
    questions: Arc<Mutex<Vec<String>>>,
}

impl Master {
    pub async fn start() -> Self {
        let (questions, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(204)));
        let (seen, answer) = (questions.clone(), status.clone());
        let note = move |uri: Uri| {
            seen.lock().unwrap().push(uri.to_string());
            let status = StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap();
            async move { (status, [("retry-after", "3600")]) }
        };
        Self { url: serve(Router::new().fallback(any(note))).await, status, questions }
    }

    pub fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }

    pub fn asked(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    /// Waits for so many questions; the secret of the last.
    pub async fn secret(&self, questions: usize) -> String {
        until("no question comes", async || self.asked() >= questions).await;
        assert_eq!(self.asked(), questions);
        self.questions().pop().unwrap().rsplit_once("secret=").unwrap().1.to_owned()
    }
}

/// A mirror whose index refuses its file, and who is asked for that.
pub struct Mirror {
    pub relay: Relay,
    pub master: Master,
    pub index: Index,
    pub clock: Clock,
    pub content: Bytes,
}

impl Mirror {
    pub async fn start(settings: &[&str]) -> Self {
        let content = content();
        Self::before(Index::refusing(&content).await, content, settings).await
    }

    pub async fn before(index: Index, content: Bytes, settings: &[&str]) -> Self {
        let (master, clock) = (Master::start().await, Clock::standing_at(NOON));
        let relay = mirror(index.url.as_str(), &master, settings, &clock).await;
        Self { relay, master, index, clock, content }
    }

    /// A client that asks for the file, and reads it to its end.
    pub fn client(&self) -> tokio::task::JoinHandle<Answer> {
        let url = format!("{}packages/{PATH}", self.relay.url);
        tokio::spawn(async move { get(&url).await })
    }

    /// A client comes, and a question is asked; its secret.
    pub async fn asked(&self) -> (tokio::task::JoinHandle<Answer>, String) {
        let before = self.master.asked();
        let client = self.client();
        (client, self.master.secret(before + 1).await)
    }

    /// What `/mkupload/SECRET` answers.
    pub async fn session(&self, secret: &str) -> Answer {
        get(&format!("{}mkupload/{secret}", self.relay.url)).await
    }

    /// The path of the address of the upload.
    pub async fn address(&self, secret: &str) -> String {
        let answer = self.session(secret).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let address = answer.text().lines().nth(1).unwrap();
        address.strip_prefix("http://mirror.test:81").unwrap().to_owned()
    }

    /// A form as it should be.
    pub fn form(&self, secret: &str) -> Form {
        Form::present(secret, PATH, &self.content)
    }

    /// Posts a form to the address that the secret leads to.
    pub async fn upload(&self, secret: &str, form: &Form) -> Posted {
        let address = self.address(secret).await;
        self.post(&address, form).await
    }

    pub async fn post(&self, address: &str, form: &Form) -> Posted {
        Posted(exchange(&self.relay.url, &form.request(address)).await)
    }

    /// Nothing is kept, not even a part, and the file has no tombstone.
    pub async fn nothing_is_kept(&self) {
        let temporary = || std::fs::read_dir(self.relay.folder().join("files/tmp")).unwrap().count();
        until("a part of it is kept", async || temporary() == 0).await;
        assert_eq!(kept(&self.relay), 0);
    }
}

async fn mirror(upstream: &str, master: &Master, settings: &[&str], clock: &Clock) -> Relay {
    let from = format!("push.from={}", master.url);
    // No client waits for what nobody brings.
    let mut all = vec!["upstream.retries=0", "push.host=mirror.test:81", "push.wait=4m", from.as_str()];
    all.extend(settings);
    Relay::start_at(upstream, &all, clock).await
}

/// Files that are kept whole.
pub fn kept(relay: &Relay) -> usize {
    let shards = std::fs::read_dir(relay.folder().join("files/sha256"));
    shards.map_or(0, |shards| {
        shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
    })
}

/// A form, part by part.
#[derive(Clone)]
pub struct Form {
    /// Name, head lines and value of each part.
    pub parts: Vec<(String, Bytes)>,
    pub end: &'static str,
    pub content_type: String,
}

pub const BOUNDARY: &str = "0123456789abcdef0123";

impl Form {
    pub fn present(secret: &str, path: &str, content: &Bytes) -> Self {
        Self::of(&[
            ("secret", secret.as_bytes()),
            ("path", path.as_bytes()),
            ("present", b"1"),
            ("file", content),
        ])
    }

    pub fn deleted(secret: &str, path: &str) -> Self {
        Self::of(&[
            ("secret", secret.as_bytes()),
            ("path", path.as_bytes()),
            ("deleted", b"1"),
            ("file", b""),
        ])
    }

    pub fn of(parts: &[(&str, &[u8])]) -> Self {
        let parts =
            parts.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value))).collect();
        Self { parts, end: "--\r\n", content_type: format!("multipart/form-data; boundary={BOUNDARY}") }
    }

    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.parts {
            let file = if name == "file" {
                "; filename=\"ab/cd/a-1.0.zip\"\r\nContent-Type: application/octet-stream"
            } else {
                ""
            };
            body.extend(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                    .bytes(),
            );
            body.extend(value);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{BOUNDARY}{}", self.end).bytes());
        body
    }

    /// With `Host` as the old master writes it: without the port.
    pub fn request(&self, address: &str) -> Vec<u8> {
        post_request(address, &format!("Content-Type: {}\r\n", self.content_type), &self.body())
    }
}

/// An answer as it came.
pub struct Posted(pub String);

impl Posted {
    pub fn status(&self) -> u16 {
        self.0
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{:?}", self.0))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A connection on which a part of a request was sent.
pub async fn begun(url: &str, bytes: &[u8]) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = connect(url).await;
    stream.write_all(bytes).await.unwrap();
    stream
}
