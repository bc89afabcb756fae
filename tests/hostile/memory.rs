//! All attacks at once on a whole process, whose memory stays flat while others are served.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::bodies::{bomb, head};
use super::slow::non_reader;
use super::{CALL, XML, with_param};
use crate::support::process::Process;
use crate::support::{call, connect, exchange, post_request, sandbox};

/// Attackers at once of all kinds together.
const AT_ONCE: usize = 200;
/// How long they go on.
const LASTING: Duration = Duration::from_secs(20);
/// Idle connections besides: more than the relay takes by default.
const IDLE: usize = 5000;
/// The most memory of an unoptimised relay: at rest it has some 25, the most connections take some 150, large bodies on
/// their way 32, and what is read of them five times that. 339 were measured beside other tests.
const MEBIBYTES: u64 = 450;

/// Requests that are sent whole, over and over.
fn requests() -> Vec<Vec<u8>> {
    let call = |headers: &str, body: &[u8]| post_request("/pypi", &format!("{XML}{headers}"), body);
    let laughs = format!("<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '{}'>]>", "&a;".repeat(10_000));
    let flat =
        format!("<value><struct>{}</struct></value>", "<member><name/><value/></member>".repeat(30_000));
    let chunks = "1\r\nx\r\n".repeat(150_000);
    let chunked = format!(
        "POST /pypi HTTP/1.1\r\nHost: a.test\r\n{XML}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    );
    vec![
        call("", format!("{laughs}{}", with_param("<value>&b;</value>")).as_bytes()),
        call("", with_param(&"<value><array><data>".repeat(50_000)).as_bytes()),
        call("", with_param(&flat).as_bytes()),
        call("Content-Encoding: gzip\r\n", &bomb(512)),
        call(
            "",
            format!("<methodCall><methodName>{}</methodName></methodCall>", "m".repeat(1_000_000)).as_bytes(),
        ),
        call("", &vec![0xff; 1 << 20]),
        call("", &vec![b' '; 8 << 20]),
        call(&format!("X-A: {}\r\n", "a".repeat(60_000)), CALL.as_bytes()),
        call(&format!("X-A: {}\r\n", "a".repeat(1 << 20)), CALL.as_bytes()),
        chunked.into_bytes(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "20 s of attacks on a whole process, with 6,000 sockets"]
async fn all_attacks_at_once_leave_memory_flat_and_others_served() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = ["http.body_timeout=2s", "http.header_timeout=2s"];
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    let url: &'static str = relay.url.clone().leak();
    let until = Instant::now() + LASTING;
    let mut attackers = JoinSet::new();
    let requests = requests();
    for n in 0..AT_ONCE {
        let request = requests[n % requests.len()].clone();
        attackers.spawn(async move {
            while Instant::now() < until {
                match n % 4 {
                    // Sent whole.
                    0 | 1 => drop(exchange(url, &request).await),
                    // Stops half-way, and waits to be cut.
                    2 => {
                        let half = [head(1 << 20).as_bytes(), &vec![b' '; 1 << 19]].concat();
                        exchange(url, &half).await;
                    }
                    // Reads nothing.
                    _ => {
                        let mut stream = non_reader(url).await;
                        let endless = vec![b' '; 1 << 20];
                        let stuck = stream.write_all(&endless);
                        tokio::time::timeout(Duration::from_secs(3), stuck).await.ok();
                    }
                }
            }
        });
    }
    let idle = tokio::spawn(async move { join_all((0..IDLE).map(|_| connect(url))).await });
    let (mut served, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let begun = Instant::now();
        call(url, "changelog_last_serial", &[]).await.unwrap();
        served += 1;
        slowest = slowest.max(begun.elapsed());
    }
    while attackers.join_next().await.is_some() {}
    drop(idle.await.unwrap());
    let peak = relay.peak_memory();
    println!("peak {peak} MiB; {served} good answers meanwhile, the slowest in {slowest:?}");
    assert!(peak < MEBIBYTES, "{peak} MiB");
    assert!(served > 10, "{served}");
}
