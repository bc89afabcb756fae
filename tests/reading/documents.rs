//! The JSON API of indexes that have it in part, or something else in its place.

use axum::http::StatusCode;
use cheesewire::xmlrpc::Value;
use serde_json::{Value as Json, json};

use super::{HTML, JSON, Site, quick};
use crate::support::{IndexRelay, Relay, call, get};

const DOCUMENT: &str = "application/json";

fn page() -> String {
    let files = ["1", "2"].map(|version| json!({"url": format!("/f/a-{version}.zip")}));
    json!({"meta": {"api-version": "1.1"}, "versions": ["1", "2"], "files": files}).to_string()
}

/// A file as the JSON API has it, with a member that no page has.
fn file() -> Json {
    json!({"filename": "a-2.zip", "url": "/f/a-2.zip", "packagetype": "sdist", "comment_text": "mine"})
}

#[tokio::test]
async fn what_a_document_lacks_comes_from_the_page() {
    for lacking in [
        json!({"info": {"name": "a", "version": "2"}, "urls": [file()]}),
        json!({"info": {"name": "a", "version": "2"}, "urls": [file()], "releases": null}),
        json!({"info": {"name": "a", "version": "2"}, "urls": [file()], "releases": []}),
        json!({"info": {"name": "a", "version": null}, "urls": null, "releases": {"1": [], "2": [file()]}}),
        json!({"info": {"name": "a"}}),
    ] {
        let site =
            Site::new([("/pypi/a/json", DOCUMENT, &lacking.to_string()), ("/simple/a/", JSON, &page())]);
        let relay = Relay::start(site.serve().await.as_str(), &["follow.enabled=false"]).await;
        let ask = async |method: &str, params: &[Value]| call(&relay.url, method, params).await.unwrap();
        let name = Value::from("a");
        let all = ask("package_releases", &[name.clone(), Value::Bool(true)]).await;
        assert_eq!(all, Value::from_iter(["2", "1"]), "{lacking}");
        assert_eq!(
            ask("package_releases", std::slice::from_ref(&name)).await,
            Value::from_iter(["2"]),
            "{lacking}"
        );
        let urls = ask("release_urls", &[name, Value::from("2")]).await;
        assert_eq!(urls.as_array().unwrap()[0].get("filename"), Some(&Value::from("a-2.zip")), "{lacking}");
        let document = get(&format!("{}pypi/a/json", relay.url)).await.json();
        if lacking.to_string().contains("mine") {
            assert_eq!(document["releases"]["2"][0]["comment_text"], json!("mine"), "{lacking}");
        }
        assert_eq!(document["urls"].as_array().map(Vec::len), Some(1), "{lacking}");
    }
}

#[tokio::test]
async fn a_list_of_releases_that_cannot_be_had_is_not_guessed() {
    let document = json!({"info": {"name": "a", "version": "2"}, "urls": [file()]}).to_string();
    let site = Site::new([("/pypi/a/json", DOCUMENT, &document)]);
    let relay =
        Relay::start(site.serve().await.as_str(), &["follow.enabled=false", "upstream.retries=0"]).await;
    let ask = async || call(&relay.url, "package_releases", &[Value::from("a"), Value::Bool(true)]).await;
    site.say_of_missing(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(ask().await.is_err());
    // Of a project without a page the document knows all there is.
    site.say_of_missing(StatusCode::NOT_FOUND);
    let all = async {
        loop {
            if let Ok(all) = ask().await {
                return all;
            }
        }
    };
    assert_eq!(tokio::time::timeout(super::LONG, all).await.unwrap(), Value::from_iter(["2"]));
}

#[tokio::test]
async fn something_else_in_the_place_of_a_document_is_none() {
    for (media_type, body) in [
        (HTML, "<!DOCTYPE html><title>Application</title>"),
        (DOCUMENT, "{\"message\":\"no such route\"}"),
        (DOCUMENT, "{\"info\":null}"),
        (DOCUMENT, "[]"),
        (DOCUMENT, "{\"info\":{"),
        ("text/plain", "hello"),
    ] {
        let site = Site::new([("/pypi/a/json", media_type, body), ("/simple/a/", JSON, &page())]);
        let relay = IndexRelay::start(site.serve().await.as_str(), quick()).await;
        let document = get(&relay.url("/pypi/a/json")).await;
        assert_eq!(document.status, 200, "{body}");
        assert_eq!(document.json()["releases"].as_object().map(serde_json::Map::len), Some(2), "{body}");
    }
    let site = Site::new([("/simple/a/", JSON, &page())]);
    site.say_of_missing(StatusCode::FORBIDDEN);
    let relay = IndexRelay::start(site.serve().await.as_str(), quick()).await;
    assert_eq!(get(&relay.url("/pypi/a/json")).await.status, 200);
}

#[tokio::test]
async fn an_odd_document_is_read_as_far_as_it_can_be() {
    let document = r#"{"info":{"name":"a","version":"1","summary":5,"classifiers":"x","project_urls":[],"keywords":null,
        "description":"\ud800","requires_dist":[1,"b"],"x":NaN},"urls":[{"filename":"a-1.zip","url":"/f/a-1.zip","digests":null,
        "size":"7","upload_time":5},null,{"filename":null}],"releases":{"1":[{"filename":"a-1.zip","url":"/f/a-1.zip",
        "digests":null,"size":"7","upload_time":5}],"0":null},"last_serial":"x"}"#;
    for media_type in [DOCUMENT, "text/plain", "application/octet-stream", ""] {
        let site = Site::new([("/pypi/a/json", media_type, &format!("\u{feff}{document}"))]);
        let relay = Relay::start(site.serve().await.as_str(), &["follow.enabled=false"]).await;
        let params = [Value::from("a"), Value::from("1")];
        let data = call(&relay.url, "release_data", &params).await.unwrap();
        assert_eq!(
            (data.get("version"), data.get("summary")),
            (Some(&Value::from("1")), Some(&Value::from("")))
        );
        let urls = call(&relay.url, "release_urls", &params).await.unwrap();
        let file = &urls.as_array().unwrap()[0];
        assert_eq!(
            (file.get("filename"), file.get("size")),
            (Some(&Value::from("a-1.zip")), Some(&Value::Int(7)))
        );
    }
}
