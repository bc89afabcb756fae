//! Whose path it is: no page takes or changes the path of another project's file, whichever is seen first, and every relay
//! states the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::scripted::serve;
use crate::support::{Relay, get, get_with};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const OWN: &[u8] = b"the victim's file";
const OTHER: &[u8] = b"what another put there";
/// Where the victim's file is.
const PATH: &str = "vi/victim/victim-1.0.zip";

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn file(url: &str, content: &[u8]) -> Value {
    json!({"filename": "victim-1.0.zip", "url": url, "hashes": {"sha256": sha256(content)}})
}

/// An index with the projects victim, alias and evil; evil's page has these files.
struct Index {
    url: String,
    /// Pages and listings fail.
    down: Arc<AtomicBool>,
}

impl Index {
    async fn start(evil: Vec<Value>) -> Self {
        let down = Arc::new(AtomicBool::new(false));
        let fails = down.clone();
        let answer = move |uri: Uri| {
            let response = respond(&uri, &evil, fails.load(Ordering::SeqCst));
            async move { response }
        };
        Self { url: serve(Router::new().fallback(any(answer))).await.to_string(), down }
    }
}

fn respond(uri: &Uri, evil: &[Value], down: bool) -> Response {
    let own = || vec![file(&format!("../../packages/{PATH}"), OWN)];
    let files = match uri.path() {
        path if path == format!("/packages/{PATH}") => return OWN.into_response(),
        _ if down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/simple/" => {
            let projects = ["alias", "evil", "victim"].map(|name| json!({"name": name}));
            return ([("content-type", JSON)], json!({"projects": projects}).to_string()).into_response();
        }
        "/simple/evil/" => evil.to_vec(),
        "/simple/victim/" | "/simple/alias/" => own(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let page = json!({"meta": {"api-version": "1.1"}, "name": "a", "versions": ["1.0"], "files": files});
    ([("content-type", JSON)], page.to_string()).into_response()
}

/// A host besides the index's, which has the other bytes everywhere.
async fn other_host() -> String {
    serve(Router::new().fallback(any(|| async { OTHER }))).await.to_string()
}

/// The paths below `/packages/` that a project's page states.
async fn paths(relay: &Relay, project: &str) -> Vec<String> {
    let page =
        get_with(Method::GET, &format!("{}simple/{project}/", relay.url), &[("accept", JSON)]).await.unwrap();
    let page = page.json();
    let files = page["files"].as_array().unwrap().iter();
    files.map(|file| file["url"].as_str().unwrap().split_once("/packages/").unwrap().1.to_owned()).collect()
}

async fn content(relay: &Relay, path: &str) -> (u16, Vec<u8>) {
    let answer = get(&format!("{}packages/{path}", relay.url)).await;
    (answer.status, answer.bytes().to_vec())
}

fn own() -> (u16, Vec<u8>) {
    (200, OWN.to_vec())
}

#[tokio::test]
async fn no_page_takes_or_changes_the_path_of_another_projects_file_whichever_is_seen_first() {
    let other = other_host().await;
    let content_path = format!("packages/aa/bb/{}/victim-1.0.zip", "0".repeat(60));
    let evil = vec![
        // The same path on another host, and deep in one.
        file(&format!("{other}packages/{PATH}"), OTHER),
        file(&format!("{other}evil/packages/{PATH}"), OTHER),
        file(&format!("{other}{content_path}"), OTHER),
        // The very address with another digest, and with none.
        file(&format!("../../packages/{PATH}"), b"what is nowhere"),
        json!({"filename": "victim-1.0.zip", "url": format!("../../packages/{PATH}"), "hashes": {}}),
    ];
    let index = Index::start(evil).await;
    let mut stated = Vec::new();
    let first_seen = [["victim", "evil", "alias"], ["evil", "alias", "victim"]];
    // Without following there is never a listing that tells whose the path can be.
    for (order, following) in first_seen.into_iter().flat_map(|order| [(order, true), (order, false)]) {
        let relay = Relay::start(&index.url, &[&format!("follow.enabled={following}")]).await;
        let mut seen = std::collections::BTreeMap::new();
        for project in order {
            seen.insert(project, paths(&relay, project).await);
            if project != "victim" || order[0] == "victim" {
                // Kept or not, the victim's path is the victim's.
                let what = format!("{order:?}, after {project}, following: {following}");
                assert_eq!(content(&relay, PATH).await, own(), "{what}");
            }
        }
        assert_eq!(seen["victim"], [PATH]);
        let evil = &seen["evil"];
        assert!(evil.iter().all(|path| path.starts_with("x/")), "{evil:?}");
        for path in &evil[..3] {
            assert_eq!(content(&relay, path).await, (200, OTHER.to_vec()), "{path}");
        }
        assert_eq!(content(&relay, &evil[3]).await.0, 502, "its bytes have another digest");
        assert_eq!(content(&relay, &seen["alias"][0]).await, own());
        assert_eq!(content(&relay, PATH).await, own());
        stated.push(seen);
    }
    assert!(stated.iter().all(|seen| *seen == stated[0]), "what was seen first decides nothing: {stated:?}");
}

#[tokio::test]
async fn a_lock_file_finds_the_victims_file_where_only_the_other_page_was_seen() {
    let other = other_host().await;
    let index = Index::start(vec![file(&format!("{other}packages/{PATH}"), OTHER)]).await;
    let relay = Relay::start(&index.url, &[]).await;
    paths(&relay, "evil").await;
    assert_eq!(content(&relay, PATH).await, own());
}

#[tokio::test]
async fn a_folder_of_before_goes_on_serving_by_old_paths_and_new_ones() {
    let other = other_host().await;
    let index = Index::start(vec![file(&format!("{other}packages/{PATH}"), OTHER)]).await;
    let relay = Relay::start(&index.url, &[]).await;
    let new: Vec<_> = [paths(&relay, "alias").await, paths(&relay, "evil").await].concat();
    paths(&relay, "victim").await;
    for path in &new {
        assert_eq!(content(&relay, path).await.0, 200);
    }
    let folder = relay.stop().await;
    // As the version before left it: the page that came last had the path.
    let journal = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    for sql in [
        "INSERT INTO files (path, document, filename, url) \
         SELECT 'vi/victim/victim-1.0.zip', id, 'victim-1.0.zip', url FROM documents WHERE project = 'evil'",
        "DROP TABLE paths; DROP TABLE file_lists; DROP TRIGGER document_changed; PRAGMA user_version = 15",
    ] {
        journal.execute_batch(sql).unwrap();
    }
    drop(journal);
    index.down.store(true, Ordering::SeqCst);
    let relay = Relay::start_in(folder, &index.url, &[]).await;
    assert_eq!(content(&relay, PATH).await, own(), "although the journal says that it is evil's");
    assert_eq!([paths(&relay, "alias").await, paths(&relay, "evil").await].concat(), new);
    let relay = Relay::start_in(relay.stop().await, &index.url, &[]).await;
    assert_eq!(content(&relay, &new[0]).await, own(), "found without its page being asked for");
    assert_eq!(content(&relay, &new[1]).await, (200, OTHER.to_vec()));
    assert_eq!(content(&relay, PATH).await, own());
}

#[tokio::test]
async fn a_path_of_before_leads_to_its_project_and_host_only() {
    let other = other_host().await;
    let index = Index::start(vec![
        json!({"filename": "evil-1.0.zip", "url": format!("{other}packages/e/evil-1.0.zip"),
               "hashes": {"sha256": sha256(OTHER)}}),
        json!({"filename": "main.zip", "url": format!("../../packages/{PATH}?main.zip"), "hashes": {"sha256": sha256(OWN)}}),
        file(&format!("{other}packages/v/victim-0.9.zip"), OTHER),
    ])
    .await;
    let relay = Relay::start(&index.url, &[]).await;
    let stated = paths(&relay, "evil").await;
    assert!(stated[0].starts_with("x/") && stated[0].ends_with("/evil-1.0.zip"), "{stated:?}");
    // Of the project itself, on another host: by both.
    for path in [stated[0].as_str(), "e/evil-1.0.zip"] {
        assert_eq!(content(&relay, path).await, (200, OTHER.to_vec()), "{path}");
    }
    assert_eq!(content(&relay, "v/victim-0.9.zip").await.0, 404, "another project's, on another host");
    assert_eq!(content(&relay, &stated[2]).await, (200, OTHER.to_vec()));
}
