//! The upstream door against scripted servers: what is sent, what is believed, what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get, post};
use cheesewire::model::{Clock, ProjectName, Serial};
use cheesewire::upstream::{Coding, Fetched, Resume, Upstream, UpstreamError, UpstreamSettings};
use cheesewire::xmlrpc::Value;
use futures_util::TryStreamExt;
use url::Url;

use crate::support::scripted::{raw, serve, upstream};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn name() -> ProjectName {
    ProjectName::parse("a").unwrap()
}

async fn page(base: Url) -> Result<Fetched, UpstreamError> {
    upstream(base).project_page(&name(), None).await
}

fn http(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn a_page_is_asked_for_with_our_name_our_wishes_and_a_final_slash() {
    let handler = |headers: HeaderMap| async move {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert!(text("accept").starts_with(JSON));
        assert!(
            text("user-agent").starts_with("cheesewire/") && text("user-agent").ends_with("(+me@here.test)")
        );
        assert_eq!(text("authorization"), "Basic dTpw");
        ([("content-type", JSON), ("etag", "\"1\""), ("x-pypi-last-serial", "7")], "{}")
    };
    let mut base = serve(Router::new().route("/simple/a/", get(handler))).await;
    base.set_username("u").unwrap();
    base.set_password(Some("p")).unwrap();
    let settings =
        UpstreamSettings { contact: Some("me@here.test".to_owned()), ..UpstreamSettings::new(base) };
    let fetched = Upstream::new(settings).unwrap().project_page(&name(), None).await.unwrap();
    let Fetched::Fresh(document) = fetched else { panic!("not fresh") };
    assert_eq!((document.validators.etag.as_deref(), document.last_serial), (Some("\"1\""), Some(Serial(7))));
    assert!(document.url.username().is_empty(), "{}", document.url);
}

#[tokio::test]
async fn a_validator_is_sent_and_304_believed_only_then() {
    let router = Router::new().route("/simple/a/", get(|| async { StatusCode::NOT_MODIFIED }));
    let upstream = upstream(serve(router).await);
    let fetched = upstream.project_page(&name(), Some("\"1\"")).await;
    assert!(matches!(fetched, Ok(Fetched::NotModified)), "{fetched:?}");
    let fetched = upstream.project_page(&name(), None).await;
    assert!(matches!(fetched, Err(UpstreamError::Unexpected(_))), "{fetched:?}");
}

#[tokio::test]
async fn html_where_json_belongs_and_an_empty_page_say_what_was_seen() {
    let html = ([("content-type", "text/html; charset=utf-8")], "<h1>secret</h1>");
    let empty = ([("content-type", JSON)], "");
    let router = Router::new()
        .route("/pypi/a/json", get(move || async move { html }))
        .route("/simple/a/", get(move || async move { empty }));
    let upstream = upstream(serve(router).await);
    let error = upstream.json_document(&name(), None, None).await.unwrap_err();
    assert_eq!(error.to_string(), "upstream answered with HTML where a JSON document belongs");
    let error = upstream.project_page(&name(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "upstream answered with an empty body");
}

#[tokio::test]
async fn absent_is_not_broken() {
    let router = Router::new().route("/simple/a/", get(|| async { StatusCode::GONE }));
    assert_eq!(page(serve(router).await).await.unwrap_err(), UpstreamError::Absent(410));
}

#[tokio::test]
async fn a_bomb_is_cut_at_the_limit_of_its_decoded_size() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![b' '; 4 << 20]).unwrap();
    let coded = gzip.finish().unwrap();
    let handler =
        move || async move { ([("content-type", JSON), ("content-encoding", "gzip")], coded.clone()) };
    let base = serve(Router::new().route("/simple/a/", get(handler))).await;
    let settings = UpstreamSettings { page_limit: 1 << 20, ..UpstreamSettings::new(base) };
    let error = Upstream::new(settings).unwrap().project_page(&name(), None).await.unwrap_err();
    assert_eq!(error, UpstreamError::TooLarge(1 << 20));
}

#[tokio::test]
async fn a_failing_get_is_repeated_a_few_times_and_no_more() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let handler = move || {
        let before = counter.fetch_add(1, Ordering::SeqCst);
        async move {
            if before == 1 {
                ([("content-type", JSON)], "{}").into_response()
            } else {
                StatusCode::BAD_GATEWAY.into_response()
            }
        }
    };
    let base = serve(Router::new().route("/simple/a/", get(handler))).await;
    let upstream = Upstream::new(UpstreamSettings { retries: 1, ..UpstreamSettings::new(base) }).unwrap();
    assert!(upstream.project_page(&name(), None).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(upstream.project_page(&name(), None).await.unwrap_err(), UpstreamError::Status(502));
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn redirects_end_and_credentials_do_not_follow_them_elsewhere() {
    let other = |headers: HeaderMap| async move {
        assert!(!headers.contains_key("authorization"));
        ([("content-type", JSON)], "{}")
    };
    let target = serve(Router::new().route("/a", get(other))).await.join("a").unwrap();
    let router = Router::new()
        .route("/simple/a/", get(move || async move { Redirect::permanent(target.as_str()) }))
        .route("/simple/b/", get(|| async { Redirect::permanent("/simple/b/") }));
    let mut base = serve(router).await;
    base.set_username("u").unwrap();
    assert!(matches!(page(base.clone()).await.unwrap(), Fetched::Fresh(_)));
    let looping = upstream(base).project_page(&ProjectName::parse("b").unwrap(), None).await.unwrap_err();
    assert!(looping.to_string().contains("more than 5 redirects"), "{looping}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unreachable() {
    let (base, _) = raw(vec![]).await;
    let error = page(base).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable(_)) && error.retry_after().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_call_brings_a_value_or_a_fault() {
    let answer = |body: String| async move {
        let value = if body.contains("changelog_last_serial") {
            cheesewire::xmlrpc::encode_response(&Value::Int(42), false).unwrap()
        } else {
            cheesewire::xmlrpc::encode_fault(&cheesewire::xmlrpc::Fault::raised("RuntimeError", "gone"))
        };
        ([("content-type", "text/xml")], value)
    };
    let base = serve(Router::new().route("/pypi", post(answer))).await;
    let upstream =
        Upstream::new(UpstreamSettings { calls_per_second: 1e6, ..UpstreamSettings::new(base) }).unwrap();
    assert_eq!(upstream.call("changelog_last_serial", &[]).await, Ok(Value::Int(42)));
    let fault = upstream.call("list_packages", &[]).await;
    assert!(
        matches!(&fault, Err(UpstreamError::Fault(fault)) if fault.string == "RuntimeError: gone"),
        "{fault:?}"
    );
}

#[tokio::test]
async fn after_a_rate_limit_fault_no_call_leaves() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let answer = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let fault =
            cheesewire::xmlrpc::Fault::raised("HTTPTooManyRequests", "Limit may reset in 600 seconds.");
        let answer = ([("content-type", "text/xml")], cheesewire::xmlrpc::encode_fault(&fault));
        async move { answer }
    };
    let base = serve(Router::new().route("/pypi", post(answer))).await;
    let settings =
        UpstreamSettings { waiting_calls: 1, calls_per_second: 1e6, ..UpstreamSettings::new(base) };
    let upstream = Upstream::new(settings).unwrap();
    let limited = upstream.call("x", &[]).await.unwrap_err();
    assert_eq!(limited.retry_after().unwrap().as_secs(), 600);
    // The next takes the only place in the queue and waits there; the one after it is told how long.
    let mut waiting = Box::pin(upstream.call("x", &[]));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let refused = upstream.call("x", &[]).await.unwrap_err();
    assert!(refused.retry_after().unwrap().as_secs() > 590, "{refused:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirected_call_is_not_followed() {
    let router = Router::new().route("/pypi", any(|| async { Redirect::to("/elsewhere") }));
    let error = upstream(serve(router).await).call("x", &[]).await.unwrap_err();
    assert_eq!(error, UpstreamError::Status(303));
}

#[tokio::test]
async fn listings_come_as_json_or_html() {
    let json =
        r#"{"meta":{"_last-serial":5,"api-version":"1.4"},"projects":[{"name":"A.b","_last-serial":5}]}"#;
    let router = Router::new()
        .route("/simple/", get(move || async move { ([("content-type", JSON)], json) }))
        .route(
            "/html/simple/",
            get(|| async {
                (
                    [("content-type", "text/html"), ("x-pypi-last-serial", "6")],
                    "<a href='/html/simple/a-b/'>A.b</a>",
                )
            }),
        )
        .route(
            "/cut/simple/",
            get(|| async { ([("content-type", JSON)], r#"{"meta":{},"projects":[{"na"#) }),
        );
    let base = serve(router).await;
    let listing = upstream(base.clone()).listing().await.unwrap();
    assert_eq!((listing.last_serial, listing.projects[0].serial), (Some(Serial(5)), Some(Serial(5))));
    let listing = upstream(base.join("html/").unwrap()).listing().await.unwrap();
    assert_eq!((listing.last_serial, listing.projects[0].name.as_str()), (Some(Serial(6)), "A.b"));
    let error = upstream(base.join("cut/").unwrap()).listing().await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unexpected(_)), "{error:?}");
}

async fn file(
    answer: Vec<u8>,
    resume: Option<&Resume>,
) -> Result<(u64, Option<u64>, Vec<u8>), UpstreamError> {
    let (base, heads) = raw(vec![answer]).await;
    let response = upstream(base.clone()).file(&base.join("f").unwrap(), resume).await?;
    let (start, size) = (response.start, response.size);
    let body: Vec<bytes::Bytes> = response.body.try_collect().await?;
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains("accept-encoding: identity"), "{}", heads[0]);
    assert_eq!(
        heads[0].contains("range: bytes=3-") && heads[0].contains("if-range: \"e\""),
        resume.is_some()
    );
    Ok((start, size, body.concat()))
}

#[tokio::test]
async fn a_file_comes_whole_or_fails() {
    let whole = file(http("200 OK\r\ncontent-length: 5", b"bytes"), None).await;
    assert_eq!(whole, Ok((0, Some(5), b"bytes".to_vec())));
    let cut = file(http("200 OK\r\ncontent-length: 5", b"byt"), None).await;
    assert!(matches!(cut, Err(UpstreamError::Broken(_))), "{cut:?}");
}

#[tokio::test]
async fn what_may_be_no_file_comes_with_the_reason_and_as_it_was_sent() {
    for (field, coding) in [("content-encoding: gzip", Some(Coding::Gzip)), ("content-type: text/html", None)]
    {
        let head = format!("200 OK\r\n{field}\r\ncontent-length: 5");
        let (base, _) = raw(vec![http(&head, b"bytes")]).await;
        let response = upstream(base.clone()).file(&base.join("f").unwrap(), None).await.unwrap();
        assert!(matches!(response.oddity, Some(UpstreamError::Unexpected(_))), "{response:?}");
        assert_eq!(response.coding, coding);
        let body: Vec<bytes::Bytes> = response.body.try_collect().await.unwrap();
        assert_eq!(body.concat(), b"bytes");
    }
}

#[tokio::test]
async fn a_part_of_the_rest_is_taken_and_then_breaks_off() {
    let resume = Resume { from: 1, if_range: Some("\"e\"".to_owned()) };
    let part = http("206 Partial Content\r\ncontent-range: bytes 1-2/5\r\ncontent-length: 2", b"yt");
    let (base, _) = raw(vec![part]).await;
    let response = upstream(base.clone()).file(&base.join("f").unwrap(), Some(&resume)).await.unwrap();
    assert_eq!((response.start, response.size), (1, Some(5)));
    let body: Vec<bytes::Bytes> = response.body.try_collect().await.unwrap();
    assert_eq!(body.concat(), b"yt");
}

#[tokio::test]
async fn a_resumed_file_goes_on_where_it_was_asked_to_or_starts_again() {
    let resume = Resume { from: 3, if_range: Some("\"e\"".to_owned()) };
    let rest = http("206 Partial Content\r\ncontent-range: bytes 3-4/5\r\ncontent-length: 2", b"es");
    assert_eq!(file(rest, Some(&resume)).await, Ok((3, Some(5), b"es".to_vec())));
    let other = http("206 Partial Content\r\ncontent-range: bytes 2-4/5\r\ncontent-length: 3", b"tes");
    assert!(matches!(file(other, Some(&resume)).await, Err(UpstreamError::Unexpected(_))));
    let again = http("200 OK\r\ncontent-length: 5", b"bytes");
    assert_eq!(file(again, Some(&resume)).await, Ok((0, Some(5), b"bytes".to_vec())));
}

/// What a 429 with these headers is understood as.
async fn limited<const N: usize>(headers: [(&'static str, &'static str); N]) -> Duration {
    let answer = move || async move { (StatusCode::TOO_MANY_REQUESTS, headers) };
    let error = page(serve(Router::new().route("/simple/a/", get(answer))).await).await.unwrap_err();
    let UpstreamError::Limited { retry } = error else { panic!("{error:?}") };
    retry
}

#[tokio::test]
async fn too_many_requests_says_when_to_come_back_in_seconds_or_as_a_date_by_its_own_clock() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(limited([("retry-after", "17")]).await.as_secs(), 17);
    assert_eq!(limited([date, ("retry-after", "Wed, 21 Oct 2015 07:28:19 GMT")]).await.as_secs(), 19);
    assert_eq!(limited([date, ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]).await.as_secs(), 0);
    assert_eq!(limited([("retry-after", "soon")]).await, limited([]).await);
    assert!(limited([("retry-after", "99999999999")]).await < Duration::from_hours(2));
}

#[tokio::test]
async fn an_upstream_that_tells_no_time_is_understood_by_our_clock() {
    // Wed, 21 Oct 2015 07:28:00 GMT
    let clock = Clock::standing_at(1_445_412_480);
    let door = |base: Url| {
        let settings = UpstreamSettings { retries: 0, clock: clock.clone(), ..UpstreamSettings::new(base) };
        Upstream::new(settings).unwrap()
    };
    let body = br#"{"meta":{"api-version":"1.0"},"projects":[]}"#;
    let head = format!("200 OK\r\ncontent-type: {JSON}\r\nage: 20\r\ncontent-length: {}", body.len());
    let limit =
        http("429 Too Many Requests\r\nretry-after: Wed, 21 Oct 2015 07:28:19 GMT\r\ncontent-length: 0", b"");
    let (base, _) = raw(vec![http(&head, body), limit]).await;
    let upstream = door(base);
    assert_eq!(upstream.listing().await.unwrap().taken, 1_445_412_460);
    let limited = upstream.project_page(&name(), None).await.unwrap_err();
    assert_eq!(limited, UpstreamError::Limited { retry: Duration::from_secs(19) });
}

#[tokio::test]
async fn a_429_after_a_redirect_silences_the_host_that_gave_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let limited = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]) }
    };
    let target = serve(Router::new().route("/a", get(limited))).await.join("a").unwrap();
    let elsewhere = target.clone();
    let router = Router::new()
        .route("/simple/a/", get(move || async move { Redirect::temporary(elsewhere.as_str()) }))
        .route("/simple/b/", get(|| async { ([("content-type", JSON)], "{}") }));
    let upstream = upstream(serve(router).await);
    let limited = Err(UpstreamError::Limited { retry: Duration::from_mins(10) });
    assert_eq!(upstream.project_page(&name(), None).await.map(drop), limited);
    assert!(upstream.project_page(&ProjectName::parse("b").unwrap(), None).await.is_ok());
    let file = upstream.file(&target, None).await.map(drop);
    assert!(matches!(file, Err(UpstreamError::Limited { .. })), "{file:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_listing_does_not_wait_behind_pages() {
    let router = Router::new()
        .route("/simple/a/", get(std::future::pending::<StatusCode>))
        .route("/simple/", get(|| async { ([("content-type", JSON)], r#"{"meta":{},"projects":[]}"#) }));
    let settings = UpstreamSettings {
        fetches_at_once: 1,
        waiting_fetches: 0,
        ..UpstreamSettings::new(serve(router).await)
    };
    let upstream = Upstream::new(settings).unwrap();
    let (page, other) = (name(), ProjectName::parse("b").unwrap());
    let mut page = Box::pin(upstream.project_page(&page, None));
    assert!(futures_util::poll!(page.as_mut()).is_pending());
    let full = upstream.project_page(&other, None).await;
    assert!(matches!(full, Err(UpstreamError::Limited { .. })), "{full:?}");
    assert!(upstream.listing().await.unwrap().projects.is_empty());
}
