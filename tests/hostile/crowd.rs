//! More connections than there may be: who waits longest for nothing makes room.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bodies::head;
use super::slow::non_reader;
use super::{CALL, Victim, status};
use crate::support::{connect, within};

/// Far beyond a test: who gets room by these limits, waits.
const LONG: [&str; 4] =
    ["http.max_connections=8", "http.idle_timeout=10m", "http.header_timeout=10m", "http.body_timeout=10m"];

#[tokio::test]
async fn idle_connections_past_the_bound_lock_nobody_out() {
    let victim = Victim::start(&LONG).await;
    let mut idle = join_all((0..100).map(|_| connect(victim.url()))).await;
    // Some have asked, and wait with the next question; some have begun one.
    for stream in idle.iter_mut().step_by(3) {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n").await.ok();
    }
    for stream in idle.iter_mut().skip(1).step_by(3) {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a.te").await.ok();
    }
    within("there is no room", victim.serves()).await;
    // The oldest are gone.
    let mut rest = Vec::new();
    within("it is still there", idle[0].read_to_end(&mut rest)).await.ok();
}

#[tokio::test]
async fn clients_that_never_read_make_room_too() {
    let victim = Victim::start(&LONG).await;
    let _stuck = join_all((0..30).map(|_| non_reader(victim.url()))).await;
    within("there is no room", victim.serves()).await;
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_not_sent_away() {
    let victim = Victim::start(&LONG).await;
    let mut busy = connect(victim.url()).await;
    // Its body is on its way.
    busy.write_all(head(CALL.len()).as_bytes()).await.unwrap();
    victim.serves().await;
    let _idle = join_all((0..50).map(|_| connect(victim.url()))).await;
    within("there is no room", victim.serves()).await;
    busy.write_all(CALL.as_bytes()).await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
}

#[tokio::test]
async fn large_bodies_on_their_way_are_bounded_together_and_small_calls_go_by() {
    let victim = Victim::start(&["http.bodies_limit=1MiB", "http.body_timeout=1s"]).await;
    let large = 900_000;
    let mut first = connect(victim.url()).await;
    first.write_all(head(large).as_bytes()).await.unwrap();
    first.write_all(&vec![b' '; 100_000]).await.unwrap();
    let second = async {
        let mut second = connect(victim.url()).await;
        second.write_all(head(large).as_bytes()).await.unwrap();
        second.write_all(&vec![b' '; large]).await.ok();
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.ok();
        answer
    };
    // The first holds the room until its time is over; the second gets it then, or is told to come back.
    let answer = victim.survives(second).await;
    assert!(matches!(status(&answer), "503" | "200"), "{answer}");
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "408", "{answer}");
}
