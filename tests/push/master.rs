//! As the master: who may ask, what is asked of the mirror, and what it is sent. The mirror is played by the test.

mod hosts;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cheesewire::push::Form;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::parts::{Index, PATH, content, of_size};
use crate::support::{Relay, get, until, within};

/// A request that the mirror got.
#[derive(Debug, Clone)]
struct Asked {
    head: String,
    body: Vec<u8>,
}

/// A mirror that answers what a test tells it to, and notes what it gets.
struct Played {
    /// `HOST:PORT`.
    host: String,
    requests: mpsc::UnboundedReceiver<Asked>,
    count: Arc<Mutex<usize>>,
}

/// What the mirror answers to a GET: the whole of it.
type Answers = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

impl Played {
    async fn with(answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (note, requests) = mpsc::unbounded_channel();
        let (answers, count): (Answers, _) = (Arc::new(answers), Arc::new(Mutex::new(0)));
        let (own, counted) = (host.clone(), count.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                tokio::spawn(answer(stream, own.clone(), answers.clone(), note.clone()));
            }
        });
        Self { host, requests, count }
    }

    /// One that wants a path, at an address of its own.
    async fn wanting(path: &str) -> Self {
        let path = path.to_owned();
        Self::with(move |host| ok(&format!("{path}\nhttp://{host}/up/1\n"))).await
    }

    async fn next(&mut self) -> Asked {
        within("the mirror gets nothing", self.requests.recv()).await.unwrap()
    }

    fn connections(&self) -> usize {
        *self.count.lock().unwrap()
    }

    /// The upload that comes: its parts, by name.
    async fn upload(&mut self) -> Vec<(String, Vec<u8>)> {
        let question = self.next().await;
        assert!(question.head.starts_with("get /mkupload/"), "{}", question.head);
        let upload = self.next().await;
        assert!(upload.head.starts_with("post /up/1 http/1.1"), "{}", upload.head);
        parts(&upload).await
    }
}

async fn answer(
    mut stream: TcpStream,
    host: String,
    answers: Answers,
    note: mpsc::UnboundedSender<Asked>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    let answer = if head.starts_with("get ") {
        answers(&host)
    } else {
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n".to_vec()
    };
    note.send(Asked { head, body }).ok()?;
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()
}

/// The parts of a form, by another reader of them than the relay's own: split at the boundary.
async fn parts(asked: &Asked) -> Vec<(String, Vec<u8>)> {
    let boundary = asked
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: multipart/form-data; boundary="))
        .unwrap();
    let text = String::from_utf8_lossy(&asked.body).to_ascii_lowercase();
    assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")), "the form is not closed");
    // The case of the boundary was lost with that of the head.
    let first = asked.body.split(|byte| *byte == b'\r').next().unwrap();
    let boundary = String::from_utf8(first[2..].to_vec()).unwrap();
    let body = stream::iter([Ok(Bytes::from(asked.body.clone()))]);
    let mut form = Form::new(&format!("multipart/form-data; boundary={boundary}"), body).unwrap();
    let mut parts = Vec::new();
    while let Some(mut part) = form.part().await.unwrap() {
        let (name, mut value) = (part.name().to_owned(), Vec::new());
        while let Some(bytes) = part.bytes().await.unwrap() {
            value.extend_from_slice(&bytes);
        }
        parts.push((name, value));
    }
    parts
}

async fn master(index: &Index, hosts: &str) -> Relay {
    master_with(index, hosts, &[]).await
}

async fn master_with(index: &Index, hosts: &str, settings: &[&str]) -> Relay {
    let hosts = format!("push.hosts={hosts}");
    let mut all = vec!["upstream.retries=0", hosts.as_str()];
    all.extend(settings);
    Relay::start(index.url.as_str(), &all).await
}

async fn ask(relay: &Relay, query: &str) -> crate::support::Answer {
    get(&format!("{}pypi?:action=gae_file{query}", relay.url)).await
}

async fn asks(relay: &Relay, host: &str, secret: &str) -> u16 {
    ask(relay, &format!("&host={host}&secret={secret}")).await.status
}

/// Waits until no transfer runs any more.
async fn over(relay: Relay) {
    within("a transfer does not end", relay.stop()).await;
}

#[tokio::test]
async fn a_question_is_answered_at_once_and_the_file_posted_as_a_form() {
    let index = Index::with(&content(), 200, true).await;
    let mut mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    assert_eq!(asks(&relay, &mirror.host, "s3cret_-").await, 204);
    let question = mirror.next().await;
    assert!(question.head.starts_with("get /mkupload/s3cret_- http/1.1"), "{}", question.head);
    assert!(question.head.contains(&format!("\r\nhost: {}\r\n", mirror.host)), "{}", question.head);
    let upload = mirror.next().await;
    assert!(
        upload.head.contains("\r\ncontent-length: ") && !upload.head.contains("transfer-encoding"),
        "{}",
        upload.head
    );
    let parts = parts(&upload).await;
    let names: Vec<_> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["secret", "path", "present", "file"]);
    let values: Vec<_> = parts.iter().map(|(_, value)| &value[..]).collect();
    assert_eq!(values, [&b"s3cret_-"[..], PATH.as_bytes(), b"1", &content()[..]]);
    // It is in the cache by now: the next mirror costs upstream nothing.
    until("the file is not kept", async || super::parts::kept(&relay) == 1).await;
    assert_eq!(asks(&relay, &mirror.host, "another").await, 204);
    assert_eq!(mirror.upload().await[3].1, content());
    assert_eq!(index.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_file_whose_size_nobody_states_is_posted_with_its_length() {
    let index = Index::with(&content(), 200, false).await;
    let mut mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    assert_eq!(mirror.upload().await[3].1, content());
}

#[tokio::test]
async fn a_question_that_lacks_something_or_has_it_twice_or_odd_is_refused() {
    let index = Index::with(&content(), 200, true).await;
    let relay = master(&index, "mirror.test").await;
    let long = format!("&host=mirror.test&secret={}", "s".repeat(129));
    for odd in [
        "",
        "&host=mirror.test",
        "&secret=s",
        "&host=mirror.test&secret=",
        "&host=&secret=s",
        "&host=mirror.test&host=mirror.test&secret=s",
        "&host=mirror.test&secret=s&secret=s",
        "&host=mirror.test&secret=a/b",
        "&host=mirror.test&secret=a%2Fb",
        "&host=mirror.test&secret=..",
        "&host=mirror.test/x&secret=s",
        "&host=u@mirror.test&secret=s",
        "&host=http://mirror.test&secret=s",
        "&host=mirror.test:0&secret=s",
        "&host=mirror.test%0d%0a&secret=s",
        &long,
    ] {
        assert_eq!(ask(&relay, odd).await.status, 400, "{odd}");
    }
    let both =
        get(&format!("{}pypi?:action=gae_file&:action=gae_file&host=mirror.test&secret=s", relay.url)).await;
    assert_eq!(both.status, 400);
    for address in ["pypi/?:action=gae_file", "pypi?%3Aaction=gae_file"] {
        assert_eq!(
            get(&format!("{}{address}&host=other.test&secret=s", relay.url)).await.status,
            403,
            "{address}"
        );
    }
}

#[tokio::test]
async fn the_same_question_again_is_one_transfer() {
    let index = Index::with(&content(), 200, true).await;
    let mut mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    for _ in 0..5 {
        assert_eq!(asks(&relay, &mirror.host, "same").await, 204);
    }
    mirror.upload().await;
    assert_eq!(asks(&relay, &mirror.host, "same").await, 204);
    assert_eq!(asks(&relay, &mirror.host, "other").await, 204);
    mirror.upload().await;
    assert_eq!(mirror.connections(), 4);
}

#[tokio::test]
async fn of_ten_thousand_questions_a_few_run_some_wait_and_the_rest_is_told_to_come_back() {
    let index = Index::with(&content(), 200, true).await;
    // It takes the questions, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let mut mirror = Played::wanting(PATH).await;
    let hosts = format!("{host}, {}", mirror.host);
    let relay = master_with(&index, &hosts, &["push.at_once=2", "push.queue=3"]).await;
    let questions = stream::iter(0..10_000).map(|n| {
        let (relay, host) = (&relay, &host);
        async move { ask(relay, &format!("&host={host}&secret=s{n}")).await }
    });
    let answers: Vec<_> = questions.buffered(50).collect().await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(204) + count(503), 10_000);
    // Those that run end after 20 s; on a slow machine a few more run meanwhile.
    assert!((5..100).contains(&count(204)), "{}", count(204));
    let full = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert!(full.header("retry-after").parse::<u64>().unwrap() > 0);
    // Nobody else waits for it.
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    mirror.upload().await;
}

#[tokio::test]
async fn an_upload_address_of_another_host_gets_nothing() {
    let index = Index::with(&content(), 200, true).await;
    let other = Played::wanting(PATH).await;
    let there = other.host.clone();
    let mut mirror = Played::with(move |_| ok(&format!("{PATH}\nhttp://{there}/up/1\n"))).await;
    // Even one that is listed.
    let relay = master(&index, &format!("{}, {}", mirror.host, other.host)).await;
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    mirror.next().await;
    over(relay).await;
    assert_eq!((mirror.connections(), other.connections()), (1, 0));
    assert_eq!(index.asked.load(SeqCst), 0, "the file was fetched for nobody");
}

#[tokio::test]
async fn a_redirect_is_followed_neither_to_the_lines_nor_from_the_upload() {
    let index = Index::with(&content(), 200, true).await;
    let other = Played::wanting(PATH).await;
    let there = other.host.clone();
    let moved = move |_: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: http://{there}/mkupload/s\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    };
    let mut mirror = Played::with(moved).await;
    let relay = master(&index, &format!("{}, {}", mirror.host, other.host)).await;
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    mirror.next().await;
    over(relay).await;
    assert_eq!((mirror.connections(), other.connections()), (1, 0));
    // What is played answers each upload with a redirect: one connection for the lines, and one for the upload.
    let mut mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    mirror.upload().await;
    over(relay).await;
    assert_eq!(mirror.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_has_another_form_gets_nothing() {
    let index = Index::with(&content(), 200, true).await;
    let long = |_: &str| ok(&format!("{PATH}\nhttp://x/{}\n", "x".repeat(4096)));
    let odd = |_: &str| ok(PATH);
    let slash = |host: &str| ok(&format!("/{PATH}\nhttp://{host}/up/1\n"));
    let climbing = |host: &str| ok(&format!("../{PATH}\nhttp://{host}/up/1\n"));
    let failing = |host: &str| {
        let body = format!("{PATH}\nhttp://{host}/up/1\n");
        format!("HTTP/1.1 404 No\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let answers: [Answers; 5] =
        [Arc::new(long), Arc::new(odd), Arc::new(slash), Arc::new(climbing), Arc::new(failing)];
    for (n, answer) in answers.into_iter().enumerate() {
        let mut mirror = Played::with(move |host| answer(host)).await;
        let relay = master(&index, &mirror.host).await;
        assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
        mirror.next().await;
        over(relay).await;
        assert_eq!(mirror.connections(), 1, "{n}");
    }
    assert_eq!(index.asked.load(SeqCst), 0, "the file was fetched for nobody");
}

#[tokio::test]
async fn a_mirror_that_takes_the_file_too_slowly_is_left() {
    let file = of_size(40_000_000);
    let index = Index::with(&file, 200, true).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let settings = ["upstream.least_rate=100000000", "upstream.rate_window=200ms", "http.drain=10m"];
    let relay = master_with(&index, &host, &settings).await;
    // What is kept is not waited for.
    assert_eq!(get(&format!("{}packages/{PATH}", relay.url)).await.status, 200);
    until("it is not kept", async || super::parts::kept(&relay) == 1).await;
    assert_eq!(asks(&relay, &host, "s").await, 204);
    let (mut lines, _) = within("it is not asked", listener.accept()).await.unwrap();
    let mut head = vec![0; 4096];
    assert!(lines.read(&mut head).await.unwrap() > 0);
    lines.write_all(&ok(&format!("{PATH}\nhttp://{host}/up/1\n"))).await.unwrap();
    drop(lines);
    // It accepts the upload, and takes enough of it for the system to be content: what takes next to nothing the system cuts by itself,
    // after half a minute.
    let (mut upload, _) = within("nothing is sent", listener.accept()).await.unwrap();
    let dripping = tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        while upload.read_exact(&mut piece).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    // Of any other end another word is told.
    let ended = "cheesewire_push_transfers_total{outcome=\"too_slow\"}";
    until("the mirror is not left", async || {
        get(&format!("{}metrics", relay.url)).await.text().contains(ended)
    })
    .await;
    // Stopping waits for it, and cuts nothing before ten minutes.
    over(relay).await;
    dripping.abort();
}

#[tokio::test]
async fn a_file_that_the_index_does_not_name_or_its_host_has_no_more_was_deleted() {
    // Its host says 404, or 410.
    for status in [404, 410] {
        let index = Index::with(&content(), status, true).await;
        let mut mirror = Played::wanting(PATH).await;
        let relay = master(&index, &mirror.host).await;
        assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
        is_deleted(&mirror.upload().await, PATH);
        // Each time that it is asked, also when that is remembered.
        assert_eq!(asks(&relay, &mirror.host, "t").await, 204);
        is_deleted(&mirror.upload().await, PATH);
    }
    // No page names it, and no project has it.
    let index = Index::with(&content(), 200, true).await;
    for path in ["ab/cd/a-2.0.zip", "source/a/a/a-2.0.zip", "source/n/none/none-1.0.zip"] {
        let mut mirror = Played::wanting(path).await;
        let relay = master(&index, &mirror.host).await;
        assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
        is_deleted(&mirror.upload().await, path);
    }
}

fn is_deleted(parts: &[(String, Vec<u8>)], path: &str) {
    let parts: Vec<_> =
        parts.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value))).collect();
    assert_eq!((parts[1].0, &*parts[1].1), ("path", path));
    assert_eq!(parts[2..], [("deleted", "1".into()), ("file", "".into())]);
}

#[tokio::test]
async fn a_file_that_upstream_refuses_or_cannot_be_asked_for_is_not_said_to_be_deleted() {
    // Its host refuses it.
    let index = Index::refusing(&content()).await;
    let mut mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
    mirror.next().await;
    over(relay).await;
    assert_eq!(mirror.connections(), 1);
    // The index is down: nothing is kept; then a page that is old, and does not name it.
    for kept in [false, true] {
        let index = Index::with(&content(), 200, true).await;
        let mut mirror = Played::wanting(PATH).await;
        let settings = ["index.page_max_age=1ms", "follow.enabled=false"];
        let relay = master_with(&index, &mirror.host, &settings).await;
        if kept {
            index.named.store(false, SeqCst);
            assert_eq!(get(&format!("{}simple/a/", relay.url)).await.status, 200);
        }
        index.page_status.store(503, SeqCst);
        assert_eq!(asks(&relay, &mirror.host, "s").await, 204);
        mirror.next().await;
        over(relay).await;
        assert_eq!(mirror.connections(), 1, "a file was said to be deleted by an old page");
    }
}

#[tokio::test]
async fn what_is_asked_by_head_has_no_effect() {
    let index = Index::with(&content(), 200, true).await;
    let mirror = Played::wanting(PATH).await;
    let relay = master(&index, &mirror.host).await;
    let url = format!("{}pypi?:action=gae_file&host={}&secret=s", relay.url, mirror.host);
    let head = crate::support::get_with(reqwest::Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!(head.status, 204);
    let metrics = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    assert!(metrics.contains("cheesewire_http_requests_total"));
    assert_eq!(mirror.connections(), 0);
}
