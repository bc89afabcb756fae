//! Upstreams that answer what a test tells them to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use cheesewire::upstream::{Upstream, UpstreamSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// Serves a router on a port of its own, until the test ends.
pub async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Answers each connection with the next of `answers`, byte for byte, then closes it. Returns the heads of
/// the requests that came.
pub async fn raw(answers: Vec<Vec<u8>>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (url, heads)
}

/// A door to `base` that does not repeat itself.
pub fn upstream(base: Url) -> Upstream {
    // Its pages and redirects may lead to other ports.
    let allowed_hosts = "127.0.0.1".parse().unwrap();
    let settings = UpstreamSettings { retries: 0, allowed_hosts, ..UpstreamSettings::new(base) };
    Upstream::new(settings).unwrap()
}

fn url_of(address: SocketAddr) -> Url {
    format!("http://{address}/").parse().unwrap()
}
