//! TLS of the relay's own: what is served by it, how a connection begins, and what a certificate has to be.

mod certificates;
mod clients;
mod handshakes;
mod http2;

use cheesewire::sandbox::Sandbox;
use reqwest::{Client, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::authority::{Authority, settings};
use crate::support::{Relay, call, get, sandbox, within};

const HTTP1: &[&str] = &["http/1.1"];
const HTTP2: &[&str] = &["h2", "http/1.1"];

/// A relay that shows a certificate of an authority, and has a listener in the clear beside.
struct Encrypted {
    authority: Authority,
    /// Of the certificate and its key.
    folder: tempfile::TempDir,
    relay: Relay,
    /// Of the encrypted listener, with a `/` at the end.
    url: String,
    /// Of the plain one.
    plain: String,
    sandbox: Sandbox,
}

impl Encrypted {
    async fn start(more: &[&str]) -> Self {
        let (authority, folder, sandbox) = (Authority::new(), tempfile::tempdir().unwrap(), sandbox().await);
        authority.pair().put(folder.path());
        let relay = start(&sandbox.url(), folder.path(), more).await;
        let (url, plain) = (relay.url.replace("http:", "https:"), relay.urls[1].clone());
        Self { authority, folder, relay, url, plain, sandbox }
    }

    fn client(&self, protocols: &[&str]) -> Client {
        self.authority.client(protocols)
    }
}

async fn start(upstream: &str, pair: &std::path::Path, more: &[&str]) -> Relay {
    let pair = settings(pair);
    let own = ["http.listen=127.0.0.1:0, 127.0.0.1:0?plain", "tls.interval=10ms", &pair[0], &pair[1]];
    Relay::start(upstream, &[&own, more].concat()).await
}

async fn body(client: &Client, url: &str) -> (Version, String) {
    let answer =
        client.get(url).header("accept", "application/vnd.pypi.simple.v1+json").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    (answer.version(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_same_goes_out_encrypted_by_http1_and_http2_and_in_the_clear_with_links_that_stay_so() {
    let bench = Encrypted::start(&[]).await;
    let (_, plain) = body(crate::support::client(), &format!("{}simple/wire-top/", bench.plain)).await;
    assert!(plain.contains(&format!("\"{}packages/", bench.plain)), "{plain}");
    for (protocols, version) in [(HTTP1, Version::HTTP_11), (HTTP2, Version::HTTP_2), (&[], Version::HTTP_11)]
    {
        let client = bench.client(protocols);
        let (spoken, page) = body(&client, &format!("{}simple/wire-top/", bench.url)).await;
        assert_eq!(spoken, version);
        assert_eq!(page, plain.replace(&bench.plain, &bench.url), "{version:?}");
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let file = page["files"][0]["url"].as_str().unwrap();
        // Fetched, kept, and answered without a route.
        for _ in 0..3 {
            let encrypted = client.get(file).send().await.unwrap().bytes().await.unwrap();
            let clear = get(&file.replace(&bench.url, &bench.plain)).await;
            assert_eq!(encrypted, clear.bytes(), "{version:?}");
        }
        let part = client.get(file).header("range", "bytes=1-3").send().await.unwrap();
        assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().len()), (206, 3));
        let question =
            cheesewire::xmlrpc::encode_call("release_urls", &["wire-top".into(), "2.0".into()]).unwrap();
        let told =
            client.post(format!("{}RPC2", bench.url)).header("content-type", "text/xml").body(question);
        let told = told.send().await.unwrap().text().await.unwrap();
        assert!(told.contains(&format!("<string>{}packages/", bench.url)), "{told}");
    }
    assert!(call(&bench.plain, "package_releases", &["wire-top".into()]).await.is_ok());
    assert!(bench.sandbox.requests().total() > 0);
}

#[tokio::test]
async fn without_http2_clients_get_http1() {
    let bench = Encrypted::start(&["tls.http2=false"]).await;
    let (version, _) = body(&bench.client(HTTP2), &format!("{}simple/", bench.url)).await;
    assert_eq!(version, Version::HTTP_11);
}

#[tokio::test]
async fn who_says_goodbye_while_it_waits_for_an_answer_is_gone_and_one_that_sends_on_is_not() {
    use cheesewire::sandbox::{Effect, Fault, Route};
    let bench = Encrypted::start(&["http.closed_timeout=50ms"]).await;
    bench.sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 86_400_000 })).unwrap();
    let ask = b"GET /simple/wire-top/ HTTP/1.1\r\nHost: relay.test\r\n\r\n";
    let mut leaves = bench.authority.connect(&bench.url, HTTP1).await;
    let mut stays = bench.authority.connect(&bench.url, HTTP1).await;
    leaves.write_all(ask).await.unwrap();
    stays.write_all(ask).await.unwrap();
    // The next request, of which nothing is read before this one is answered.
    stays.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    leaves.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // Cut, with or without a word.
    let _ = within("it is never cut", leaves.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    bench.sandbox.faults().clear();
    stays.write_all(b"Host: relay.test\r\nConnection: close\r\n\r\n").await.unwrap();
    within("it is not answered", stays.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 ") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test]
async fn a_relay_that_stops_lets_an_answer_end_and_says_goodbye_to_who_waits() {
    let bench =
        Encrypted::start(&["http.drain=1h", "http.idle_timeout=1h", "tls.handshake_timeout=1h"]).await;
    let idle = bench.client(HTTP2);
    body(&idle, &format!("{}simple/", bench.url)).await;
    let mut mute = bench.authority.connect(&bench.url, HTTP1).await;
    let begun = crate::support::connect(&bench.relay.url).await;
    within("it does not stop", bench.relay.stop()).await;
    assert_eq!(
        within("no goodbye", mute.read_u8()).await.unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
    drop(begun);
}
