//! Each setting of push has an effect, with a value that is not its default. `push.only` and `push.wait` are in `mirror.rs`,
//! `push.hosts` in `master.rs`.

use cheesewire::model::Clock;
use tokio::net::{TcpListener, TcpStream};

use super::parts::{Index, Master, Mirror, NOON, PATH, content};
use crate::support::{Relay, get, until, within};

/// A client that comes now is told at once to come back after so long: nothing can come before.
async fn comes_back_after(mirror: &Mirror, seconds: &str) {
    let answer = within("a client waits for what cannot come", mirror.client()).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, seconds), "{}", answer.text());
}

#[tokio::test]
async fn the_delay_between_questions_their_number_and_the_life_of_a_secret_are_settings() {
    let settings = ["push.retry_delay=20s", "push.secret_lifetime=7s", "push.attempts=3"];
    let mirror = Mirror::start(&settings).await;
    let (first, secret) = mirror.asked().await;
    mirror.clock.set(NOON + 6);
    assert_eq!(mirror.session(&secret).await.status, 200);
    mirror.clock.set(NOON + 7);
    assert_eq!(mirror.session(&secret).await.status, 404);
    assert_eq!(within("a client waits for what cannot come", first).await.unwrap().status, 503);
    // 20 s after the first question, and 40 s after the second.
    comes_back_after(&mirror, "13").await;
    mirror.clock.set(NOON + 20);
    mirror.master.secret(2).await;
    mirror.clock.set(NOON + 27);
    comes_back_after(&mirror, "33").await;
    mirror.clock.set(NOON + 60);
    mirror.master.secret(3).await;
    mirror.clock.set(NOON + 67);
    until("it is asked for for ever", async || mirror.client().await.unwrap().status == 502).await;
    assert_eq!(mirror.master.asked(), 3);
}

#[tokio::test]
async fn who_is_asked_may_be_below_a_path_and_the_name_of_the_relay_is_that_of_its_public_address() {
    let content = content();
    let (index, master) = (Index::refusing(&content).await, Master::start().await);
    let from = format!("push.from={}below/", master.url);
    let public = "http.public_url=http://relay.test:82/";
    for (host, expected) in [(None, "relay.test:82"), (Some("push.host=own.test:83"), "own.test:83")] {
        let before = master.asked();
        let mut settings = vec!["upstream.retries=0", from.as_str(), public];
        settings.extend(host);
        let relay = Relay::start_at(index.url.as_str(), &settings, &Clock::standing_at(NOON)).await;
        let url = format!("{}packages/{PATH}", relay.url);
        let client = tokio::spawn(async move { get(&url).await });
        let secret = master.secret(before + 1).await;
        let question = format!("/below/pypi?:action=gae_file&host={expected}&secret={secret}");
        assert_eq!(master.questions().last(), Some(&question));
        let lines = get(&format!("{}mkupload/{secret}", relay.url)).await;
        let address = lines.text().lines().nth(1).unwrap();
        assert!(address.starts_with(&format!("http://{expected}/mkupload/")), "{address}");
        client.abort();
    }
}

#[tokio::test]
async fn how_many_files_go_to_a_mirror_at_once_and_how_many_wait_are_settings() {
    let index = Index::with(&content(), 200, true).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let hosts = format!("push.hosts={host}");
    let settings = ["upstream.retries=0", &hosts, "push.at_once=2", "push.queue=1"];
    let relay = Relay::start(index.url.as_str(), &settings).await;
    let ask = async |secret: &str| {
        get(&format!("{}pypi?:action=gae_file&host={host}&secret={secret}", relay.url)).await.status
    };
    let accepted =
        async || within("the mirror is not asked", silent.accept()).await.map(|(stream, _)| stream).unwrap();
    let secret = async |stream: &TcpStream| {
        let mut head = [0; 64];
        until("nothing is asked", async || stream.try_read(&mut head).is_ok()).await;
        head["GET /mkupload/".len()]
    };
    // Two run, one waits, and one is too many.
    for (name, status) in [("a", 204), ("b", 204), ("c", 204), ("d", 503)] {
        assert_eq!(ask(name).await, status, "{name}");
    }
    let (one, other) = (accepted().await, accepted().await);
    let mut running = [secret(&one).await, secret(&other).await];
    running.sort_unstable();
    assert_eq!(running, *b"ab");
    // One is over: the one that waited runs, and another may wait.
    drop(one);
    let third = accepted().await;
    assert_eq!(secret(&third).await, b'c');
    assert_eq!((ask("d").await, ask("e").await), (204, 503));
}
