//! What upstream's door does by itself: rests, and answers that are too slow.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use bytes::Bytes;
use cheesewire::upstream::{Upstream, UpstreamError, UpstreamSettings, Validators};
use futures_util::{StreamExt as _, stream};

use crate::support::scripted::serve;
use crate::support::within;

#[tokio::test]
async fn after_a_429_for_a_file_that_one_is_not_asked_for_and_none_of_its_host_for_a_moment() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let refuse = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "600")])
    };
    let base = serve(Router::new().fallback(refuse)).await;
    let upstream = Upstream::new(UpstreamSettings::new(base.to_string().parse().unwrap())).unwrap();
    let retry = async |path: &str| match upstream.file(&base.join(path).unwrap(), None).await {
        Err(UpstreamError::Limited { retry }) => retry,
        other => panic!("{other:?}"),
    };
    assert_eq!(retry("/files/a").await, Duration::from_mins(10));
    assert!(retry("/files/a").await > Duration::from_mins(1));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for n in 0..40 {
        retry(&format!("/files/b{n}")).await;
    }
    // None, unless this machine takes seconds: then one for each pause that has passed.
    assert!(asked.load(Ordering::SeqCst) < 10);
}

#[tokio::test]
async fn a_listing_and_a_call_that_drip_end_though_nobody_needs_their_turn() {
    let drip = || async {
        let byte = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"<"))]);
        ([(CONTENT_TYPE, "text/xml")], Body::from_stream(byte.chain(stream::pending())))
    };
    let base = serve(Router::new().fallback(drip)).await;
    let settings = UpstreamSettings {
        rate_window: Duration::from_millis(50),
        longest_slow: Duration::from_millis(100),
        read_timeout: Duration::from_hours(1),
        answer_timeout: Duration::from_hours(1),
        retries: 0,
        ..UpstreamSettings::new(base.to_string().parse().unwrap())
    };
    let upstream = Upstream::new(settings).unwrap();
    let call = within("the call goes on", upstream.call("changelog_last_serial", &[])).await;
    assert_eq!(call, Err(UpstreamError::TimedOut));
    let listing = within("the listing goes on", upstream.listing_unless(&Validators::default())).await;
    assert_eq!(listing.err(), Some(UpstreamError::TimedOut));
}
