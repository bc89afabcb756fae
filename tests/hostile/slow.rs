//! Clients that take their time: each phase of a request has its limit.

use std::time::Duration;

use cheesewire::xmlrpc::{Value, encode_call};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

use super::bodies::head;
use super::{CALL, Victim, status};
use crate::support::connect;

/// Sends what comes first at once and the rest byte by byte, until the relay has had enough: its answer, and how many
/// bytes of the rest it took.
async fn drip(victim: &Victim, at_once: &str, rest: &str) -> (String, usize) {
    let (mut reader, mut writer) = connect(victim.url()).await.into_split();
    writer.write_all(at_once.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut taken = 0;
    let dripping = async {
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for byte in rest.bytes() {
            ticks.tick().await;
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            taken += 1;
        }
        // Whoever is not cut by now would wait for ever.
        std::future::pending::<()>().await;
    };
    // A reset, where we wrote on, ends it as well, and what came before it stays.
    let reading = async { while reader.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = dripping => {}
        () = reading => {}
    }
    (String::from_utf8(answer).unwrap(), taken)
}

#[tokio::test]
async fn a_body_that_drips_is_answered_at_its_limit() {
    let victim = Victim::start(&["http.body_timeout=400ms"]).await;
    let body = CALL.repeat(100);
    let (answer, taken) = victim.survives(drip(&victim, &head(body.len()), &body)).await;
    assert_eq!(status(&answer), "408", "{answer}");
    assert!(taken < body.len());
}

#[tokio::test]
async fn headers_that_drip_are_cut_at_their_limit() {
    let victim = Victim::start(&["http.header_timeout=400ms"]).await;
    let lines = "X-A: b\r\n".repeat(1000);
    let (answer, taken) = victim.survives(drip(&victim, "POST /pypi HTTP/1.1\r\n", &lines)).await;
    assert_eq!(status(&answer), "cut", "{answer}");
    assert!(taken < lines.len());
    // Also where an earlier request on the connection was answered.
    let first = "GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let (answer, taken) = victim.survives(drip(&victim, first, &lines)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && taken < lines.len(), "{answer}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed_at_its_limit() {
    let victim = Victim::start(&["http.idle_timeout=300ms", "http.header_timeout=300ms"]).await;
    for first in ["", "GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n"] {
        let (answer, _) = victim.survives(drip(&victim, first, "")).await;
        assert_eq!(answer.is_empty(), first.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn who_closes_his_half_still_gets_his_answer() {
    let victim = Victim::start(&[]).await;
    let attack = async {
        let mut stream = connect(victim.url()).await;
        let request = format!("{}{CALL}", head(CALL.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), "200", "{answer}");
    };
    victim.survives(attack).await;
}

/// A connection that asks for many large answers and reads none. Its own buffer is small, so the relay's soon is full.
pub(super) async fn non_reader(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let body = encode_call("changelog_since_serial", &[Value::Int(0)]).unwrap();
    let request = [head(body.len()).replace("Connection: close\r\n", "").as_bytes(), &body].concat();
    stream.write_all(&request.repeat(50)).await.unwrap();
    stream
}

/// Writes until the other side has had enough: what it never reads fills its buffer, and its end is a reset.
pub(super) async fn until_cut(stream: &mut TcpStream) {
    while stream.write_all(&[b' '; 4096]).await.is_ok() {}
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_is_cut_at_its_limit() {
    let victim = Victim::start(&["http.idle_timeout=300ms"]).await;
    let attack = async { until_cut(&mut non_reader(victim.url()).await).await };
    victim.survives(attack).await;
}
