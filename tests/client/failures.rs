//! What a client says of a relay that does not answer, or not with what was asked for.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use cheesewire::client::{Client, ClientError, ClientSettings, Reason, Whole};
use cheesewire::model::Serial;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::quick;
use crate::support::{scripted, within};

const XML: [(&str, &str); 1] = [("content-type", "text/xml")];

/// A server that gives one answer after the other, and the requests that it got.
async fn answers(answers: Vec<axum::response::Response>) -> (String, Arc<Mutex<Vec<(HeaderMap, String)>>>) {
    let (left, seen) = (Arc::new(Mutex::new(VecDeque::from(answers))), Arc::default());
    let noted: Arc<Mutex<Vec<(HeaderMap, String)>>> = Arc::clone(&seen);
    let answer = async move |headers: HeaderMap, body: String| {
        noted.lock().unwrap().push((headers, body));
        left.lock().unwrap().pop_front().expect("asked once too often")
    };
    (scripted::serve(Router::new().route("/pypi", post(answer))).await.to_string(), seen)
}

fn xml(value: &str) -> axum::response::Response {
    (XML, format!("<methodResponse><params><param>{value}</param></params></methodResponse>")).into_response()
}

fn fault(code: i32, words: &str) -> axum::response::Response {
    let members = format!(
        "<member><name>faultCode</name><value><int>{code}</int></value></member>\
         <member><name>faultString</name><value><string>{words}</string></value></member>"
    );
    (
        XML,
        format!("<methodResponse><fault><value><struct>{members}</struct></value></fault></methodResponse>"),
    )
        .into_response()
}

fn rows(rows: &[(i64, &str)]) -> axum::response::Response {
    let row = |(serial, more): &(i64, &str)| {
        let ints =
            format!("<value><int>5</int></value><value>create</value><value><int>{serial}</int></value>");
        format!(
            "<value><array><data><value>a</value><value><nil/></value>{ints}{more}</data></array></value>"
        )
    };
    xml(&format!("<value><array><data>{}</data></array></value>", rows.iter().map(row).collect::<String>()))
}

async fn error(answer: axum::response::Response) -> ClientError {
    let (url, _) = answers(vec![answer]).await;
    Client::with(&url, quick()).unwrap().changelog_last_serial().await.unwrap_err()
}

#[tokio::test]
async fn an_error_names_the_relay_the_method_and_the_fault_and_says_when_to_come_back() {
    let (url, _) = answers(vec![fault(-32403, "server error; service unavailable; retry in 7 s")]).await;
    let with_password = url.replace("http://", "http://user:s3cr3t@");
    let client = Client::with(&with_password, quick()).unwrap();
    let error = client.list_packages().await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains(url.trim_start_matches("http://")) && said.contains(": list_packages: "), "{said}");
    assert!(said.ends_with("fault -32403: server error; service unavailable; retry in 7 s"), "{said}");
    assert!(!format!("{said} {error:?} {client:?}").contains("s3cr3t"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn whoever_follows_comes_back_when_a_fault_says_and_loses_no_event() {
    let (url, seen) = answers(vec![
        rows(&[(8, ""), (9, "")]),
        fault(-32403, "server error; service unavailable; retry in 1 s"),
        fault(-32500, "HTTPTooManyRequests: too many. Limit may reset in 1 seconds."),
        (StatusCode::BAD_REQUEST, "no").into_response(),
        // One day with a sixth member.
        rows(&[(12, "<value>more</value>")]),
    ])
    .await;
    let client = Client::with(&url, ClientSettings { events_at_once: Some(2), ..quick() }).unwrap();
    let mut changes = client.changelog(Serial(7));
    for serial in [8, 9] {
        assert_eq!(changes.next().await.unwrap().serial, Serial(serial));
    }
    let refused = within("the faults do not pass", changes.next()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Status { status: 400, retry: None });
    assert_eq!(within("an error is the end", changes.next()).await.unwrap().serial, Serial(12));
    let asked: Vec<_> = seen.lock().unwrap().iter().map(|(_, body)| body.contains("<i4>9</i4>")).collect();
    assert_eq!(asked, [false, true, true, true, true], "each question is behind the last event");
}

#[tokio::test]
async fn events_that_do_not_ascend_are_refused_and_not_given_out_again_for_ever() {
    for told in [&[(7, "")][..], &[(9, ""), (8, "")], &[(8, ""), (8, "")]] {
        let (url, _) = answers(vec![rows(told)]).await;
        let mut changes = Client::with(&url, quick()).unwrap().changelog(Serial(7));
        let error = changes.next().await.unwrap_err();
        assert!(error.to_string().contains("events that do not ascend from serial 7"), "{error}");
        assert_eq!(changes.last_serial(), Serial(7));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_xml_rpc_is_told_by_what_it_is() {
    let html = [("content-type", "text/html; charset=utf-8")];
    for (answer, expected) in [
        ((html, "<html>s3cr3t").into_response(), "text/html where XML-RPC belongs"),
        ((XML, "<html>s3cr3t</html>").into_response(), "XML that is no answer of XML-RPC"),
        ((XML, "s3cr3t").into_response(), "XML that is no answer of XML-RPC"),
        ((XML, vec![0xff, b'x']).into_response(), "XML that is not in UTF-8"),
        (xml("<value>s3cr3t</value>"), "another value: Type mismatch: got string, expected i4"),
    ] {
        let error = error(answer).await;
        assert_eq!(error.reason.to_string(), format!("the relay answered with {expected}"));
        assert!(error.retry_after().is_some() && !format!("{error:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn a_number_past_32_bits_is_read_where_a_smaller_one_is() {
    let (url, _) =
        answers(vec![xml("<value><i8>4294967296</i8></value>"), xml("<value><int>7</int></value>")]).await;
    let client = Client::with(&url, quick()).unwrap();
    for expected in [1 << 32, 7] {
        assert_eq!(client.call::<Whole>("m", ()).await.unwrap(), Whole(expected));
    }
}

#[tokio::test]
async fn a_status_is_told_and_a_call_is_not_redirected() {
    let busy = (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "4")], "busy").into_response();
    assert_eq!(error(busy).await.retry_after(), Some(Duration::from_secs(4)));
    let moved = (StatusCode::FOUND, [("location", "/pypi")], "").into_response();
    let error = error(moved).await;
    assert_eq!((error.retry_after(), error.reason), (None, Reason::Status { status: 302, retry: None }));
}

#[tokio::test]
async fn an_answer_is_taken_up_to_the_limit_also_if_it_is_compressed() {
    let value = format!("<value>{}</value>", "a".repeat(100_000));
    let text = format!("<methodResponse><params><param>{value}</param></params></methodResponse>");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let coded =
        || ([("content-type", "text/xml"), ("content-encoding", "gzip")], gzip.clone()).into_response();
    let cut =
        ([("content-type", "text/xml"), ("content-encoding", "gzip")], gzip[..50].to_vec()).into_response();
    let (url, seen) = answers(vec![xml(&value), coded(), coded(), cut]).await;
    let small = Client::with(&url, ClientSettings { answer_limit: text.len() - 1, ..quick() }).unwrap();
    let fits = Client::with(&url, ClientSettings { answer_limit: text.len(), ..quick() }).unwrap();
    for _ in 0..2 {
        let refused = small.call::<String>("m", ()).await.unwrap_err();
        assert_eq!((refused.retry_after(), refused.reason), (None, Reason::TooLarge(text.len() - 1)));
    }
    assert_eq!(fits.call::<String>("m", ()).await.unwrap().len(), 100_000);
    let broken = fits.call::<String>("m", ()).await.unwrap_err();
    assert!(matches!(broken.reason, Reason::Broken(_)), "{broken}");
    assert_eq!(seen.lock().unwrap()[0].0["accept-encoding"], "gzip");
}

#[tokio::test]
async fn a_relay_that_is_silent_or_takes_too_long_is_given_up() {
    let silent = Router::new().route("/pypi", post(async || std::future::pending::<()>().await));
    let url = scripted::serve(silent).await.to_string();
    let short = Duration::from_millis(50);
    for settings in
        [ClientSettings { read_timeout: short, ..quick() }, ClientSettings { call_timeout: short, ..quick() }]
    {
        let client = Client::with(&url, settings).unwrap();
        let error = within("it waits for ever", client.list_packages()).await.unwrap_err();
        assert_eq!(error.reason, Reason::TimedOut);
        assert!(error.retry_after().is_some());
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_named() {
    // Bound and not listening: nobody else gets the port, and nobody answers.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let error = Client::with(&url, quick()).unwrap().list_packages().await.unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("{url}: list_packages: the relay cannot be reached: ")),
        "{error}"
    );
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn an_address_that_cannot_be_asked_is_refused_without_its_password() {
    for address in ["ftp://user:s3cr3t@relay.test/", "user:s3cr3t@relay.test", "http://user:s3cr3t@", "relay"]
    {
        let error = Client::new(address).unwrap_err();
        assert!(matches!(error.reason, Reason::Unusable(_)), "{error:?}");
        assert!(error.retry_after().is_none() && !format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
}
