//! How an encrypted connection begins, and what is cut before it has begun.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{Encrypted, HTTP1};
use crate::support::{connect, exchange, until, within};

/// Reads until the connection is closed, in whatever way.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = within("it is never closed", stream.read_to_end(&mut rest)).await;
    rest
}

/// It still serves.
async fn serves(bench: &Encrypted) {
    let answer = bench.client(HTTP1).get(format!("{}healthz", bench.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn who_speaks_http_without_tls_is_told_so_and_what_is_no_http_is_closed() {
    let bench = Encrypted::start(&[]).await;
    let clear = bench.url.replace("https:", "http:");
    for request in [
        "GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n".to_owned(),
        "POST /RPC2 HTTP/1.0\r\nContent-Length: 100000\r\n\r\n".to_owned() + &"x".repeat(100_000),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let answer = exchange(&clear, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("this port speaks HTTPS only: begin the address so too\n"), "{answer}");
    }
    for garbage in [&b"\x00\x01\x02"[..], b"\x80\x2e\x01\x00\x02", b"\xff"] {
        assert_eq!(exchange(&clear, garbage).await, "", "{garbage:?}");
    }
    serves(&bench).await;
}

#[tokio::test]
async fn a_handshake_that_is_broken_or_does_not_end_is_cut() {
    let bench = Encrypted::start(&["tls.handshake_timeout=50ms"]).await;
    for begun in [
        &b""[..],
        // A record of a hello, of which the rest does not come.
        b"\x16",
        b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03",
        // No hello.
        b"\x16\x03\x01\x00\x05hello",
        // A record larger than any.
        b"\x16\x03\x01\xff\xff\x01\x00\x00\x00",
        // A TLS of before.
        b"\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00",
    ] {
        let mut stream = connect(&bench.relay.url).await;
        stream.write_all(begun).await.unwrap();
        rest(&mut stream).await;
    }
    drop(bench);
    // With time enough it is served all the same.
    serves(&Encrypted::start(&[]).await).await;
}

#[tokio::test]
async fn a_hello_without_end_is_refused_long_before_its_end() {
    let bench = Encrypted::start(&["tls.handshake_timeout=5m"]).await;
    let mut stream = connect(&bench.relay.url).await;
    // A message of 16 MiB in records of 16 KiB.
    let mut record = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff".to_vec();
    record.resize(5 + (16 << 10), 0);
    let mut taken = 0;
    let (mut reader, mut writer) = stream.split();
    let send = async {
        for _ in 0..1024 {
            if writer.write_all(&record).await.is_err() {
                break;
            }
            taken += record.len();
            record[5..9].fill(0);
        }
    };
    let mut answer = Vec::new();
    let read = async { reader.read_to_end(&mut answer).await.is_ok() };
    within("it is never refused", async { tokio::join!(send, read) }).await;
    // What the sockets hold is lost with it.
    assert!(taken < 12 << 20, "{taken} bytes were taken");
    serves(&bench).await;
}

/// A connection to a relay from an address of this machine.
async fn from(address: &str, url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    let to = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn of_one_client_so_many_are_at_it_at_once_and_others_do_not_wait_for_it() {
    let settings = ["tls.handshakes_at_once=2", "tls.handshake_timeout=5m"];
    let bench = Encrypted::start(&settings).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = from("127.0.0.2", &bench.relay.url).await;
        stream.write_all(b"\x16\x03\x01").await.unwrap();
        held.push(stream);
    }
    // Who sends nothing keeps no place.
    let _mute = from("127.0.0.3", &bench.relay.url).await;
    let _mute_too = from("127.0.0.3", &bench.relay.url).await;
    for other in ["127.0.0.1", "127.0.0.3"] {
        let stream = from(other, &bench.relay.url).await;
        within("another waits", bench.authority.encrypt(stream, HTTP1)).await;
    }
    let stream = from("127.0.0.2", &bench.relay.url).await;
    let mut third = Box::pin(bench.authority.encrypt(stream, HTTP1));
    // Ten of another client's come and go; this one is not let in meanwhile.
    for _ in 0..10 {
        let stream = from("127.0.0.1", &bench.relay.url).await;
        bench.authority.encrypt(stream, HTTP1).await;
        assert!((&mut third).now_or_never().is_none(), "it does not wait");
    }
    held.pop();
    within("it is never let in", third).await;
}

#[tokio::test]
async fn when_the_connection_limit_is_reached_who_does_not_begin_makes_room() {
    let bench = Encrypted::start(&["http.max_connections=3", "tls.handshake_timeout=5m"]).await;
    let mut mute = Vec::new();
    for _ in 0..3 {
        mute.push(connect(&bench.relay.url).await);
    }
    serves(&bench).await;
    until("nobody was sent away", async || {
        let read = mute.iter_mut().map(|stream| stream.read_u8().now_or_never());
        read.flatten().any(|read| read.is_err())
    })
    .await;
}
