//! Nobody pays for another: peers that never come to an end, and clients that ask for more than their share.

mod alone;
mod calls;

use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::support::process::Process;
use crate::support::scripted::serve;
use crate::support::{Relay, client, get as fetch, get_with, until, within};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// What the good files have in them.
const GOOD: &[u8] = b"a small file that is right";
/// What a file has of which no end ever comes.
const ENDLESS_FILE: u64 = 1_000_000;

/// A server: what is called `drip…` sends a byte and then nothing more, what is called `large…` has more than sockets take,
/// and what is called `good…` is there at once.
#[derive(Clone, Default)]
struct Server {
    pages: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
    dripping: Arc<AtomicUsize>,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let mut server = Self::default();
        let own = server.clone();
        let answer = get(move |uri: Uri| async move { own.answer(uri.path()) });
        server.url = serve(Router::new().fallback(answer)).await.to_string();
        server
    }

    fn answer(&self, path: &str) -> Response {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap();
        if last.starts_with("drip") {
            self.dripping.fetch_add(1, Ordering::SeqCst);
            let kind = if path.starts_with("/simple/") { JSON } else { "application/octet-stream" };
            let byte = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
            let body = Body::from_stream(byte.chain(stream::pending()));
            return ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_LENGTH, ENDLESS_FILE.to_string())], body)
                .into_response();
        }
        if last.starts_with("large") {
            let pieces = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![7; 1 << 20])));
            return Body::from_stream(pieces.take(1 << 10)).into_response();
        }
        if last.starts_with("good") {
            return GOOD.into_response();
        }
        let page = self.pages.lock().unwrap().iter().find(|(name, _)| name == last).cloned();
        let json =
            page.map_or_else(|| json!({"meta": {"api-version": "1.1"}, "projects": []}), |(_, page)| page);
        ([(CONTENT_TYPE, JSON)], json.to_string()).into_response()
    }

    /// A project's page; its files are named by their whole addresses.
    fn page(&self, project: &str, files: &[String], digests: bool) {
        let file = |url: &String| {
            let name = url.rsplit('/').next().unwrap();
            let digest = if name.starts_with("good") { GOOD.to_vec() } else { url.clone().into_bytes() };
            let digest = hex::encode(Sha256::digest(digest));
            let hashes = if digests { json!({ "sha256": digest }) } else { json!({}) };
            let size = if name.starts_with("good") { GOOD.len() as u64 } else { ENDLESS_FILE };
            let size = if digests { json!(size) } else { json!(null) };
            json!({"filename": name, "url": url, "hashes": hashes, "size": size})
        };
        let files: Vec<_> = files.iter().map(file).collect();
        let page = json!({"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files});
        self.pages.lock().unwrap().push((project.to_owned(), page));
    }

    fn files(&self, kind: &str, number: usize) -> Vec<String> {
        (0..number).map(|n| format!("{}files/{kind}{n}/{kind}-{n}.tar.gz", self.url)).collect()
    }
}

/// A relay that polls nothing and waits for no server's pauses.
async fn relay(upstream: &Server, settings: &[&str]) -> Relay {
    let own = ["follow.enabled=false", "clients.trusted_proxies=127.0.0.1", "upstream.read_timeout=1h"];
    Relay::start(&upstream.url, &[&own, settings].concat()).await
}

/// The same as a process of its own: whose metrics are nobody else's.
async fn process(folder: &Path, upstream: &Server, settings: &[&str]) -> Process {
    let own = ["follow.enabled=false", "clients.trusted_proxies=127.0.0.1", "upstream.read_timeout=1h"];
    Process::start(folder, &upstream.url, &[&own, settings].concat()).await
}

/// Waits until the metrics have this line.
async fn counted(relay: &Process, line: &str) {
    let url = format!("{}metrics", relay.url);
    until(line, async || fetch(&url).await.text().lines().any(|counted| counted == line)).await;
}

/// The addresses at the relay of a project's files.
async fn at_relay(relay: &str, project: &str) -> Vec<String> {
    let url = format!("{relay}simple/{project}/");
    let page = get_with(Method::GET, &url, &[("accept", JSON)]).await.unwrap();
    assert_eq!(page.status, 200, "{project}");
    let page = page.json();
    let files = page["files"].as_array().unwrap().clone();
    files.iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect()
}

/// Requests that have no end, each by a client of its own if `apart`; they last as long as the test.
fn ask(urls: &[String], apart: bool) -> Vec<AbortHandle> {
    let ask = |(n, url): (usize, &String)| {
        let from = if apart { format!("10.0.0.{}", n + 1) } else { "10.0.0.1".to_owned() };
        let request = client().get(url).header("x-forwarded-for", from);
        let asks = async move {
            let answer = request.send().await;
            std::future::pending::<()>().await;
            drop(answer);
        };
        tokio::spawn(asks).abort_handle()
    };
    urls.iter().enumerate().map(ask).collect()
}

/// Another client's request.
async fn other(url: &str) -> crate::support::Answer {
    within("it is never answered", get_with(Method::GET, url, &[("x-forwarded-for", "192.0.2.77")]))
        .await
        .unwrap()
}

/// Comes back as often as it is told to.
async fn in_the_end(url: &str) {
    until("the file is never had", async || {
        let answer = other(url).await;
        if answer.status == 200 {
            assert_eq!(answer.bytes(), GOOD);
            return true;
        }
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        false
    })
    .await;
}

async fn drips(server: &Server, least: usize) {
    until("they do not drip", async || server.dripping.load(Ordering::SeqCst) >= least).await;
}

#[tokio::test]
async fn thirty_two_files_that_never_end_keep_none_of_another_host_waiting() {
    for apart in [true, false] {
        let (index, elsewhere) = (Server::start().await, Server::start().await);
        index.page("stuck", &index.files("drip", 32), true);
        index.page("fine", &elsewhere.files("good", 1), true);
        // No transfer is ever taken for slow.
        let relay = relay(&index, &["upstream.least_rate=0", "upstream.turn_timeout=1h"]).await;
        let (stuck, fine) = (at_relay(&relay.url, "stuck").await, at_relay(&relay.url, "fine").await);
        let _clients = ask(&stuck, apart);
        // Three quarters of all, or of one client half.
        let share = if apart { 24 } else { 16 };
        drips(&index, share).await;
        assert_eq!(other(&fine[0]).await.bytes(), GOOD);
        assert_eq!(index.dripping.load(Ordering::SeqCst), share);
    }
}

#[tokio::test]
async fn thirty_two_files_that_never_end_keep_none_of_their_own_host_waiting_for_ever() {
    for apart in [true, false] {
        let index = Server::start().await;
        index.page("stuck", &index.files("drip", 32), true);
        index.page("fine", &index.files("good", 1), true);
        let settings = ["upstream.rate_window=300ms", "upstream.longest_slow=600ms"];
        let folder = tempfile::tempdir().unwrap();
        let relay = process(folder.path(), &index, &settings).await;
        let (stuck, fine) = (at_relay(&relay.url, "stuck").await, at_relay(&relay.url, "fine").await);
        let _clients = ask(&stuck, apart);
        drips(&index, if apart { 24 } else { 16 }).await;
        if apart {
            in_the_end(&fine[0]).await;
            let metrics = fetch(&format!("{}metrics", relay.url)).await.text().to_owned();
            let needed = "cheesewire_upstream_dropped_total{pool=\"files\",reason=\"needed\"}";
            assert!(metrics.contains(needed), "{metrics}");
        } else {
            // A single client leaves its host's share some turns.
            let answer = other(&fine[0]).await;
            assert_eq!((answer.status, answer.bytes()), (200, GOOD));
        }
    }
}

#[tokio::test]
async fn sixteen_pages_that_never_end_keep_no_page_of_another_client_waiting() {
    let index = Server::start().await;
    index.page("fine", &[], true);
    let relay = relay(&index, &["upstream.least_rate=0", "upstream.turn_timeout=1h"]).await;
    let pages: Vec<_> = (0..16).map(|n| format!("{}simple/drip-{n}/", relay.url)).collect();
    let _clients = ask(&pages, false);
    drips(&index, 8).await;
    assert_eq!(other(&format!("{}simple/fine/", relay.url)).await.status, 200);
    assert_eq!(index.dripping.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn sixteen_pages_that_never_end_for_as_many_clients_keep_none_waiting_for_ever() {
    let index = Server::start().await;
    index.page("fine", &[], true);
    let settings = ["upstream.rate_window=300ms", "upstream.longest_slow=600ms"];
    let relay = relay(&index, &settings).await;
    let pages: Vec<_> = (0..16).map(|n| format!("{}simple/drip-{n}/", relay.url)).collect();
    let _clients = ask(&pages, true);
    drips(&index, 12).await;
    until("the page is never had", async || other(&format!("{}simple/fine/", relay.url)).await.status == 200)
        .await;
}

#[tokio::test]
async fn sixty_four_clients_that_do_not_read_keep_no_file_of_another_host_waiting() {
    let (index, elsewhere) = (Server::start().await, Server::start().await);
    index.page("stuck", &index.files("large", 64), false);
    index.page("fine", &elsewhere.files("good", 1), false);
    let relay = relay(&index, &["upstream.least_rate=0", "upstream.turn_timeout=1h"]).await;
    let (stuck, fine) = (at_relay(&relay.url, "stuck").await, at_relay(&relay.url, "fine").await);
    let _clients = ask(&stuck, true);
    assert_eq!(other(&fine[0]).await.bytes(), GOOD);
}

#[tokio::test]
async fn sixty_four_clients_that_do_not_read_keep_no_file_of_their_own_host_waiting_for_ever() {
    let index = Server::start().await;
    index.page("stuck", &index.files("large", 64), false);
    index.page("fine", &index.files("good", 1), false);
    let settings = ["upstream.rate_window=300ms", "upstream.longest_slow=600ms"];
    let relay = relay(&index, &settings).await;
    let (stuck, fine) = (at_relay(&relay.url, "stuck").await, at_relay(&relay.url, "fine").await);
    let _clients = ask(&stuck, true);
    in_the_end(&fine[0]).await;
}

/// Sends a request and nothing more.
async fn send(url: &str) -> TcpStream {
    let url: reqwest::Url = url.parse().unwrap();
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", url.path());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn who_closes_its_connection_is_gone_also_while_there_is_nothing_to_send_to_it() {
    let (index, folder) = (Server::start().await, tempfile::tempdir().unwrap());
    index.page("stuck", &index.files("drip", 1), true);
    // Nothing else is dropped: nobody needs the turn.
    let settings = [
        "upstream.rate_window=300ms",
        "upstream.longest_slow=1h",
        "http.closed_timeout=100ms",
        "index.deadline=1h",
    ];
    let relay = process(folder.path(), &index, &settings).await;
    let file = at_relay(&relay.url, "stuck").await.remove(0);
    let (file, page) = (send(&file).await, send(&format!("{}simple/drip-0/", relay.url)).await);
    drips(&index, 2).await;
    // As long as somebody waits they go on, however slow.
    for pool in ["files", "pages"] {
        counted(&relay, &format!("cheesewire_upstream_slow_total{{pool=\"{pool}\"}} 1")).await;
    }
    let metrics = fetch(&format!("{}metrics", relay.url)).await;
    assert!(!metrics.text().contains("cheesewire_upstream_dropped_total"), "{}", metrics.text());
    drop((file, page));
    for pool in ["files", "pages"] {
        let line = format!("cheesewire_upstream_dropped_total{{pool=\"{pool}\",reason=\"nobody_waits\"}} 1");
        counted(&relay, &line).await;
    }
}

#[tokio::test]
async fn who_has_closed_its_side_only_gets_its_answer() {
    let index = Server::start().await;
    index.page("fine", &index.files("good", 1), true);
    let relay = relay(&index, &["http.closed_timeout=1h"]).await;
    let mut client = send(&at_relay(&relay.url, "fine").await.remove(0)).await;
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    within("it waits for more", client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(GOOD), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_wait_for_a_turn_ends_with_an_answer_that_says_when_to_come_back() {
    let (index, folder) = (Server::start().await, tempfile::tempdir().unwrap());
    index.page("stuck", &index.files("drip", 3), true);
    let settings = ["upstream.least_rate=0", "upstream.turn_timeout=2s", "relay.transfers=1"];
    let relay = process(folder.path(), &index, &settings).await;
    let stuck = at_relay(&relay.url, "stuck").await;
    let _clients = ask(&stuck[..1], false);
    drips(&index, 1).await;
    let waiting = |number| format!("cheesewire_upstream_waiting{{pool=\"files\"}} {number}");
    let (one, none) = (waiting(1), waiting(0));
    let (answer, ()) = tokio::join!(other(&stuck[1]), counted(&relay, &one));
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text());
    counted(&relay, &none).await;
    counted(&relay, "cheesewire_upstream_refused_total{pool=\"files\",reason=\"late\"} 1").await;
}

#[tokio::test]
async fn a_file_passed_through_that_makes_way_is_cut() {
    let index = Server::start().await;
    index.page("stuck", &index.files("drip", 1), false);
    index.page("fine", &index.files("good", 1), false);
    let settings = ["upstream.rate_window=300ms", "upstream.longest_slow=600ms", "relay.directs=1"];
    let relay = relay(&index, &settings).await;
    let (stuck, fine) = (at_relay(&relay.url, "stuck").await, at_relay(&relay.url, "fine").await);
    let mut slow = send(&stuck[0]).await;
    drips(&index, 1).await;
    in_the_end(&fine[0]).await;
    let mut answer = Vec::new();
    // An error or an end, but an end before all that was announced.
    let _ = within("it goes on", slow.read_to_end(&mut answer)).await;
    assert!(answer.len() < 10_000, "{}", answer.len());
}
