//! Requests byte for byte, as no client library would send them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ENDLESS;

/// A connection to `http://HOST:PORT/`.
pub async fn connect(url: &str) -> TcpStream {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    TcpStream::connect(address).await.unwrap()
}

/// Sends bytes as they are, and reads until the connection is closed.
pub async fn exchange(url: &str, request: &[u8]) -> String {
    let (mut reader, mut writer) = connect(url).await.into_split();
    // Both at once: who only writes while the other side only writes waits for ever.
    let send = async { writer.write_all(request).await.ok() };
    let mut answer = Vec::new();
    // A relay that cuts while we still write resets; what came until then counts.
    let read = async { reader.read_to_end(&mut answer).await.ok() };
    let both = async { tokio::join!(send, read) };
    if tokio::time::timeout(ENDLESS, both).await.is_err() {
        let [request, answer] =
            [request, &answer].map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
        panic!("the connection is never closed; asked: {request}; answered: {answer}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A POST with these header lines, closed after its answer.
pub fn post_request(target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n{headers}");
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
