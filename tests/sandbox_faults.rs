//! Every fault does exactly what it says, as often as it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cheesewire::sandbox::{Effect, Fault, File, Publication, Route, Sandbox, SandboxError};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{get, get_with, post, sandbox, until};

fn wheel(sandbox: &Sandbox, project: &str) -> Arc<File> {
    let project = sandbox.project(project).unwrap();
    project.files().find(|(_, upload)| upload.file.tag == "py3").unwrap().1.file.clone()
}

/// What arrives on a bare connection: the head as text, and the bytes after it.
async fn raw(sandbox: &Sandbox, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    let body = all.split_off(end);
    (String::from_utf8(all).unwrap(), body)
}

#[tokio::test]
async fn a_cut_leaves_exactly_the_bytes_before_it() {
    let sandbox = sandbox().await;
    let big = wheel(&sandbox, "big-wheel");
    let path = format!("packages/{}", big.path);
    for at in [0, 1, 1_000, 131_072, 40_000_001, big.content.size() - 1] {
        sandbox.faults().add(Fault::on(Route::File, Effect::Cut { at }).times(1)).unwrap();
        let (head, body) = raw(&sandbox, &path).await;
        assert!(head.contains(&format!("content-length: {}\r\n", big.content.size())), "{head}");
        assert_eq!(body.len() as u64, at);
        let last = at.saturating_sub(1);
        assert_eq!(body.last(), big.content.read(last, 1).first().filter(|_| at > 0));
    }
    assert_eq!(sandbox.faults().list(), []);
    assert!(sandbox.requests().last().all(|seen| seen.path == format!("/{path}") && seen.agent.is_none()));
}

#[tokio::test]
async fn wrong_bytes_are_wrong_and_all_others_right() {
    let sandbox = sandbox().await;
    let file = wheel(&sandbox, "wire-core");
    let right = file.content.to_vec();
    for at in [0, right.len() / 2, right.len() - 1] {
        let wrong = Effect::WrongByte { at: at as u64 };
        sandbox.faults().add(Fault::on(Route::File, wrong).times(1)).unwrap();
        let answer = get(&sandbox.file_url(&file)).await;
        let differ: Vec<usize> = (0..right.len()).filter(|&n| right[n] != answer.bytes()[n]).collect();
        assert_eq!((differ, answer.bytes().len()), (vec![at], right.len()));
    }
}

#[tokio::test]
async fn a_longer_or_shorter_file_is_a_whole_answer_of_the_wrong_length() {
    let sandbox = sandbox().await;
    let file = wheel(&sandbox, "wire-core");
    let right = file.content.to_vec();
    sandbox.faults().add(Fault::on(Route::File, Effect::Longer { by: 100_000 }).times(1)).unwrap();
    let longer = get(&sandbox.file_url(&file)).await;
    assert_eq!(longer.bytes(), [&right[..], &vec![0; 100_000]].concat());
    sandbox.faults().add(Fault::on(Route::File, Effect::Shorter { by: 7 }).times(1)).unwrap();
    let shorter = get(&sandbox.file_url(&file)).await;
    assert_eq!(shorter.bytes(), &right[..right.len() - 7]);
    assert_eq!(get(&sandbox.file_url(&file)).await.bytes(), right);
}

#[tokio::test]
async fn a_drip_takes_its_time_and_brings_everything() {
    let sandbox = sandbox().await;
    let file = wheel(&sandbox, "wire-core");
    let size = usize::try_from(file.content.size()).unwrap();
    let drip = Effect::Drip { bytes: size / 4, every_millis: 20 };
    sandbox.faults().add(Fault::on(Route::File, drip)).unwrap();
    let start = Instant::now();
    let answer = get(&sandbox.file_url(&file)).await;
    assert!(start.elapsed() >= Duration::from_millis(80));
    assert_eq!(answer.bytes(), file.content.to_vec());
}

#[tokio::test]
async fn a_reset_closes_before_any_answer_and_a_delay_comes_before_one() {
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::on(Route::Page, Effect::Reset).path("wire-core").times(1)).unwrap();
    let (head, body) = raw(&sandbox, "simple/wire-core/").await;
    assert_eq!((head.as_str(), body.len()), ("", 0));
    sandbox.faults().add(Fault::on(Route::Page, Effect::Delay { millis: 3_600_000 }).times(1)).unwrap();
    let url = format!("{}simple/wire-core/", sandbox.url());
    let mut waiting = std::pin::pin!(get(&url));
    let asked = async || sandbox.requests().route(Route::Page) == 2;
    tokio::select! {
        _ = &mut waiting => panic!("it does not wait"),
        () = until("it is not asked", asked) => {}
    }
    sandbox.faults().clear();
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn a_status_or_another_answer_stands_instead() {
    let sandbox = sandbox().await;
    let url = format!("{}simple/wire-core/", sandbox.url());
    sandbox.faults().add(Fault::on(Route::Page, Effect::Status { code: 503 }).after(1).times(2)).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&url).await.status);
    }
    assert_eq!(statuses, [200, 503, 503, 200]);
    let headers = [("content-type", "text/html"), ("location", "/elsewhere/")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let answer = Effect::Answer { status: 302, headers, body: "<html>".to_owned() };
    sandbox.faults().add(Fault::on(Route::Page, answer).times(1)).unwrap();
    let answer = get(&url).await;
    assert_eq!((answer.status, answer.header("location"), answer.text()), (302, "/elsewhere/", "<html>"));
    let gone = Effect::Status { code: 410 };
    sandbox
        .faults()
        .add(Fault { route: None, path: Some("last_serial".to_owned()), skip: 0, times: None, effect: gone })
        .unwrap();
    let call = "<methodCall><methodName>changelog_last_serial</methodName></methodCall>";
    assert_eq!(post(&format!("{}pypi", sandbox.url()), call).await.status, 410);
}

#[tokio::test]
async fn a_stale_page_is_older_than_the_journal_and_says_so() {
    let sandbox = sandbox().await;
    let url = format!("{}simple/wire-core/", sandbox.url());
    let before = get(&url).await;
    let serial = sandbox.publish(Publication::new("wire-core", "7.0")).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 100 }).times(1)).unwrap();
    let stale = get(&url).await;
    assert_eq!(stale.text(), before.text());
    assert_eq!(stale.header("x-pypi-last-serial"), before.header("x-pypi-last-serial"));
    let fresh = get(&url).await;
    assert!(fresh.text().contains("wire_core-7.0.tar.gz") && !before.text().contains("wire_core-7.0.tar.gz"));
    assert_eq!(fresh.header("x-pypi-last-serial"), serial.to_string());
    sandbox.publish(Publication::new("newcomer", "1.0")).await.unwrap();
    let newcomer = format!("{}simple/newcomer/", sandbox.url());
    sandbox.faults().add(Fault::on(Route::Page, Effect::Stale { behind: 100 }).times(1)).unwrap();
    assert_eq!([get(&newcomer).await.status, get(&newcomer).await.status], [404, 200]);
    let serial = sandbox.last_serial();
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Stale { behind: 100 }).times(1)).unwrap();
    let listing = get(&format!("{}simple/", sandbox.url())).await;
    assert_eq!(listing.header("x-pypi-last-serial"), (serial.0 - 100).to_string());
    assert!(!listing.text().contains("newcomer"));
}

#[tokio::test]
async fn a_paused_sandbox_refuses_connections_until_it_resumes() {
    let sandbox = sandbox().await;
    // A connection from before is closed too.
    let mut kept = TcpStream::connect(sandbox.address()).await.unwrap();
    sandbox.pause().await.unwrap();
    assert_eq!(kept.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let refused = TcpStream::connect(sandbox.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let squatter = tokio::net::TcpListener::bind(sandbox.address()).await.unwrap();
    let error = sandbox.resume().await.unwrap_err();
    assert!(matches!(error, SandboxError::Listen { address, .. } if address == sandbox.address()), "{error}");
    drop(squatter);
    sandbox.resume().await.unwrap();
    assert_eq!(get(&sandbox.url()).await.status, 200);
    let (address, url) = (sandbox.address(), sandbox.url());
    sandbox.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(get_with(Method::GET, &url, &[]).await.is_err());
}

#[tokio::test]
async fn the_same_is_done_over_http() {
    let sandbox = sandbox().await;
    let control = |path: &str| format!("{}_sandbox/{path}", sandbox.url());
    let fault =
        r#"{"route": "page", "path": "wire", "skip": 1, "times": 2, "effect": {"kind": "cut", "at": 10}}"#;
    let answer = post(&control("faults"), fault).await;
    let expected = Fault::on(Route::Page, Effect::Cut { at: 10 }).path("wire").after(1).times(2);
    assert_eq!((answer.status, sandbox.faults().list()), (200, vec![expected]));
    assert_eq!(get(&control("faults")).await.json()[0]["effect"]["at"], 10);
    get_with(Method::DELETE, &control("faults"), &[]).await.unwrap();
    assert_eq!(sandbox.faults().list(), []);
    for bad in
        ["", "{}", r#"{"effect": {"kind": "melt"}}"#, r#"{"effect": {"kind": "reset"}, "rout": "page"}"#]
    {
        assert_eq!(post(&control("faults"), bad).await.status, 400, "{bad}");
    }
    let changes = [
        (
            r#"{"change": "publish", "name": "fresh", "version": "1.0"}"#,
            200,
            "add py3 file fresh-1.0-py3-none-any.whl",
        ),
        (
            r#"{"change": "remove_file", "name": "fresh", "filename": "fresh-1.0.tar.gz"}"#,
            200,
            "remove file fresh-1.0.tar.gz",
        ),
        (
            r#"{"change": "publish", "name": "fresh", "version": "1.0", "files": ["py3-none-any"]}"#,
            409,
            "remove file fresh-1.0.tar.gz",
        ),
        (r#"{"change": "yank", "name": "fresh", "version": "1.0", "reason": ""}"#, 200, "yank release"),
        (r#"{"change": "quarantine", "name": "fresh"}"#, 200, "project quarantined"),
        (r#"{"change": "remove_project", "name": "absent"}"#, 404, "project quarantined"),
        (r#"{"change": "remove_project", "name": "fresh"}"#, 200, "remove project"),
        (r#"{"change": "explode", "name": "fresh"}"#, 400, "remove project"),
    ];
    for (change, status, action) in changes {
        let answer = post(&control("publish"), change).await;
        let last = sandbox.events_after(cheesewire::model::Serial(sandbox.last_serial().0 - 1), 1).remove(0);
        assert_eq!((answer.status, last.action.as_str()), (status, action), "{change}: {}", answer.text());
    }
    assert_eq!(post(&control("xmlrpc"), r#"{"status": 404}"#).await.status, 200);
    assert_eq!(post(&format!("{}pypi", sandbox.url()), "").await.status, 404);
    get(&format!("{}simple/wire-core/", sandbox.url())).await;
    let counts = get(&control("requests")).await.json();
    assert_eq!((&counts["routes"]["page"], &counts["paths"]["/simple/wire-core/"]), (&1.into(), &1.into()));
    assert_eq!(counts["last"][1]["path"], "/simple/wire-core/");
    assert_eq!(sandbox.requests().total(), 2);
    get_with(Method::DELETE, &control("requests"), &[]).await.unwrap();
    assert_eq!(sandbox.requests().total(), 0);
    assert_eq!(post(&control("pause"), r#"{"seconds": -1}"#).await.status, 400);
    let mut kept = TcpStream::connect(sandbox.address()).await.unwrap();
    assert_eq!(post(&control("pause"), r#"{"seconds": 0.1}"#).await.status, 200);
    // Closed by the pause; then it is back by itself.
    assert_eq!(kept.read(&mut [0; 1]).await.unwrap_or(0), 0);
    while TcpStream::connect(sandbox.address()).await.is_err() {}
}
