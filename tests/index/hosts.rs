//! Clients that know the relay at many addresses: each gets its own, and nothing is kept for one.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::Method;
use serde_json::Value;

use super::quick;
use crate::support::{Answer, IndexRelay, get_with, sandbox};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

async fn ask(relay: &IndexRelay, path: &str, host: &str, more: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> =
        [("accept", JSON), ("host", host)].into_iter().chain(more.iter().copied()).collect();
    get_with(Method::GET, &relay.url(path), &headers).await.unwrap()
}

#[tokio::test]
async fn what_is_kept_does_not_grow_with_the_hosts_that_clients_name() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let project = super::name(&sandbox.projects()[0].name);
    let paths = [format!("/simple/{project}/"), format!("/pypi/{project}/json")];
    for path in &paths {
        for coding in ["identity", "gzip"] {
            let answer = ask(&relay, path, "first.test", &[("accept-encoding", coding)]).await;
            assert_eq!(answer.status, 200);
        }
    }
    let kept = relay.index.rendered();
    assert_eq!(kept.0, 2);
    for host in 0..50 {
        let host = format!("host-{host}.test:8080");
        for path in &paths {
            let answer = ask(&relay, path, &host, &[]).await;
            let text = answer.text();
            assert!(text.contains(&format!("\"http://{host}/packages/")), "{text}");
            assert!(!text.contains("first.test"), "{text}");
            let coded = ask(&relay, path, &host, &[("accept-encoding", "gzip")]).await;
            assert_eq!(coded.header("content-encoding"), "gzip");
            let mut decoded = String::new();
            GzDecoder::new(coded.bytes()).read_to_string(&mut decoded).unwrap();
            assert_eq!(decoded, text);
        }
    }
    let (entries, bytes) = relay.index.rendered();
    assert_eq!(entries, kept.0);
    // The one compressed form may be another address's by now.
    assert!(bytes.abs_diff(kept.1) < 1000, "{bytes} for {}", kept.1);
}

#[tokio::test]
async fn each_address_has_its_own_validator_and_length() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let path = format!("/simple/{}/", super::name(&sandbox.projects()[0].name));
    let (one, other) = (ask(&relay, &path, "a.test", &[]).await, ask(&relay, &path, "b.test", &[]).await);
    let (tag, other_tag) = (one.header("etag").to_owned(), other.header("etag").to_owned());
    assert_ne!(tag, other_tag);
    assert_eq!(one.header("content-length"), one.text().len().to_string());
    let moved: Value = serde_json::from_str(&one.text().replace("http://a.test/", "http://b.test/")).unwrap();
    assert_eq!(other.json(), moved);
    for (host, status) in [("a.test", 304), ("b.test", 200)] {
        assert_eq!(ask(&relay, &path, host, &[("if-none-match", &tag)]).await.status, status, "{host}");
    }
}
