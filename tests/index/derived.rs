//! An upstream without the JSON API, or with a part of it: pages and metadata tell instead.

use axum::Router;
use axum::routing::get as route;
use cheesewire::index::{IndexError, IndexSettings};
use cheesewire::model::Stamp;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, SandboxSettings};
use cheesewire::xmlrpc::Value;
use serde_json::Value as Json;

use super::{name, quick};
use crate::support::scripted::serve;
use crate::support::{IndexRelay, Relay, call, get, sandbox};

/// What core metadata does not have, or files' pages do not tell.
const UNTOLD: [&str; 6] =
    ["bugtrack_url", "docs_url", "downloads", "package_url", "project_url", "release_url"];

/// A sandbox that answers 404 to questions for documents.
async fn without_json() -> Sandbox {
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 404 })).unwrap();
    sandbox
}

/// Null, empty and missing say the same.
fn said(value: &Json) -> Json {
    match value {
        Json::String(text) if text.is_empty() => Json::Null,
        Json::Object(map) if map.is_empty() => Json::Null,
        other => other.clone(),
    }
}

#[tokio::test]
async fn documents_made_of_pages_and_metadata_say_what_upstreams_own_do() {
    let sandbox = sandbox().await;
    let own = IndexRelay::start(&sandbox.url(), quick()).await;
    let mut expected = Vec::new();
    for project in ["wire-top", "wire-core", "extra-bits", "many-versions", "Registered.Spelling_x"] {
        let Ok(document) = own.index.json(&name(project), None).await else { continue };
        expected.push((project, document));
    }
    assert!(expected.len() > 3);
    let less = without_json().await;
    let relay = IndexRelay::start(&less.url(), quick()).await;
    for (project, document) in expected {
        let derived = relay.index.json(&name(project), None).await.unwrap();
        let (theirs, ours) = (&document.value, &derived.value);
        for (key, value) in theirs["info"].as_object().unwrap() {
            if !UNTOLD.contains(&key.as_str()) && key != "name" {
                assert_eq!(said(&ours["info"][key]), said(value), "{project}: info.{key}");
            }
        }
        let versions =
            |json: &Json| json["releases"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let sorted = |mut versions: Vec<String>| {
            versions.sort();
            versions
        };
        assert_eq!(sorted(versions(ours)), sorted(versions(theirs)), "{project}");
        for version in versions(theirs) {
            let (theirs, ours) = (&theirs["releases"][&version], &ours["releases"][&version]);
            let (theirs, ours) = (theirs.as_array().unwrap(), ours.as_array().unwrap());
            assert_eq!(theirs.len(), ours.len(), "{project} {version}");
            for theirs in theirs {
                let same = |ours: &&Json| ours["filename"] == theirs["filename"];
                let ours = ours.iter().find(same).unwrap();
                for key in
                    ["packagetype", "python_version", "requires_python", "size", "upload_time", "yanked"]
                {
                    assert_eq!(ours[key], theirs[key], "{project} {version} {key}");
                }
                assert_eq!(ours["digests"]["sha256"], theirs["digests"]["sha256"]);
            }
        }
        assert_eq!(ours["last_serial"], less.project(project).unwrap().last_serial.0);
    }
    let none = relay.index.json(&name("wire-core"), Some("77")).await;
    assert!(matches!(none, Err(IndexError::NoSuchRelease)), "{none:?}");
    let none = relay.index.json(&name("no-such-thing"), None).await;
    assert!(matches!(none, Err(IndexError::NoSuchProject)), "{none:?}");
}

#[tokio::test]
async fn an_index_with_a_document_a_project_and_none_a_release_tells_of_old_releases() {
    let whole = sandbox().await;
    let part = sandbox().await;
    let (theirs, ours) = (Relay::start(&whole.url(), &[]).await, Relay::start(&part.url(), &[]).await);
    let all = [Value::from("many-versions"), Value::Bool(true)];
    let versions = call(&theirs.url, "package_releases", &all).await.unwrap();
    let versions = versions.as_array().unwrap();
    assert!(versions.len() > 5);
    for version in versions {
        let version = version.as_str().unwrap();
        let path = format!("/pypi/many-versions/{version}/json");
        part.faults().add(Fault::on(Route::Json, Effect::Status { code: 404 }).path(&path)).unwrap();
        let params = [Value::from("many-versions"), Value::from(version)];
        let expected = call(&theirs.url, "release_data", &params).await.unwrap();
        let got = call(&ours.url, "release_data", &params).await.unwrap();
        let (Value::Struct(expected), Value::Struct(_)) = (expected, &got) else { panic!() };
        let told = |name: &str| !UNTOLD.contains(&name) || name == "project_url";
        for (key, value) in expected.iter().filter(|(key, _)| told(key)) {
            assert_eq!(got.get(key), Some(value), "{version}: {key}");
        }
    }
}

#[tokio::test]
async fn wrong_metadata_is_not_believed() {
    let sandbox = without_json().await;
    sandbox.faults().add(Fault::on(Route::Metadata, Effect::WrongByte { at: 30 })).unwrap();
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let params = [Value::from("wire-top"), Value::from("2.0")];
    let fault = call(&relay.url, "release_data", &params).await.unwrap_err();
    assert_eq!(fault.string, "RuntimeError: the index upstream tells no metadata of this release");
}

#[tokio::test]
async fn of_a_bare_page_versions_and_files_are_told_and_no_metadata_is_made_up() {
    let html =
        "<a href='a-1.0.tar.gz#sha256=00'>a-1.0.tar.gz</a><a href='a-1.1rc1.tar.gz'>a-1.1rc1.tar.gz</a>";
    let page = route(move || async move { ([("content-type", "text/html")], html) });
    let base = serve(Router::new().route("/simple/a/", page)).await;
    let relay = Relay::start(base.as_str(), &["follow.enabled=false"]).await;
    let name = || Value::from("a");
    let all = call(&relay.url, "package_releases", &[name(), Value::Bool(true)]).await;
    assert_eq!(all, Ok(["1.1rc1", "1.0"].into_iter().collect()));
    assert_eq!(call(&relay.url, "package_releases", &[name()]).await, Ok(["1.0"].into_iter().collect()));
    let files = call(&relay.url, "release_urls", &[name(), Value::from("1.0")]).await.unwrap();
    let file = &files.as_array().unwrap()[0];
    assert_eq!(file.get("filename"), Some(&Value::from("a-1.0.tar.gz")));
    assert_eq!(file.get("packagetype"), Some(&Value::from("sdist")));
    let fault = call(&relay.url, "release_data", &[name(), Value::from("1.0")]).await.unwrap_err();
    assert!(fault.string.contains("tells no metadata"), "{fault}");
    let document = get(&format!("{}pypi/a/1.0/json", relay.url)).await;
    assert_eq!((document.status, &document.json()["info"]["version"]), (200, &Json::from("1.0")));
    for path in ["pypi/b/json", "pypi/a/7/json"] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 404, "{path}");
    }
}

/// A sandbox whose pages are HTML alone, which has neither sizes nor times, and that has no documents.
async fn html_only() -> Sandbox {
    let settings = SandboxSettings { simple_json: false, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 404 })).unwrap();
    sandbox
}

/// How often files were asked for without their bytes.
fn heads(sandbox: &Sandbox) -> usize {
    sandbox.requests().last().filter(|seen| seen.method == "HEAD").count()
}

#[tokio::test]
async fn sizes_and_times_that_a_page_does_not_state_are_asked_of_the_files_server_once() {
    let sandbox = html_only().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let files = |project: &str| {
        let project = sandbox.project(project).unwrap();
        project.files().map(|(_, upload)| upload.clone()).collect::<Vec<_>>()
    };
    let before = files("wire-core").len();
    let document = relay.index.json(&name("wire-core"), None).await.unwrap();
    for (kind, expected) in [("first", before), ("second", before)] {
        assert_eq!(heads(&sandbox), expected, "{kind}");
        // Of another version only what is new is asked for.
        relay.index.json(&name("wire-core"), Some("1.0")).await.unwrap();
    }
    let objects: Vec<&Json> = document.value["releases"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|files| files.as_array().unwrap())
        .collect();
    assert_eq!(objects.len(), before);
    for upload in files("wire-core") {
        let named = |object: &&&Json| object["filename"] == upload.file.filename;
        let object = objects.iter().find(named).unwrap();
        assert_eq!(object["size"], upload.file.content.size());
        let time = Stamp::from_unix(upload.time).unwrap();
        assert_eq!(object["upload_time"], time.json_seconds());
        assert_eq!(object["upload_time_iso_8601"], time.rfc3339_micros());
    }
}

#[tokio::test]
async fn of_more_files_than_are_asked_for_a_document_says_that_it_does_not_know() {
    let sandbox = html_only().await;
    let count = sandbox.project("wire-core").unwrap().files().count();
    for (asked_files, asked) in [(count - 1, 0), (count, count)] {
        sandbox.forget_requests();
        let relay = IndexRelay::start(&sandbox.url(), IndexSettings { asked_files, ..quick() }).await;
        let document = relay.index.json(&name("wire-core"), None).await.unwrap();
        assert_eq!(heads(&sandbox), asked);
        let object = &document.value["urls"][0];
        assert_eq!(object["size"] == -1, asked == 0);
        // No client is ready for a document without a time.
        assert_eq!(object["upload_time_iso_8601"] == "1970-01-01T00:00:00.000000Z", asked == 0);
    }
}

#[tokio::test]
async fn a_silent_server_of_files_is_asked_a_few_times_and_one_that_wants_silence_makes_a_failure() {
    let sandbox = html_only().await;
    let count = sandbox.project("many-versions").unwrap().files().count();
    assert!(count > 100);
    sandbox.faults().add(Fault::on(Route::File, Effect::Reset)).unwrap();
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let document = relay.index.json(&name("many-versions"), None).await.unwrap();
    assert_eq!(document.value["urls"][0]["size"], -1);
    assert!((1..=20).contains(&sandbox.requests().route(Route::File)), "{count}");
    sandbox.faults().clear();
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 404 })).unwrap();
    sandbox.faults().add(Fault::on(Route::File, Effect::Status { code: 429 })).unwrap();
    let failed = relay.index.json(&name("wire-top"), None).await;
    assert!(matches!(failed, Err(IndexError::Upstream(_))), "{failed:?}");
}
