//! An index of static files: pages as a test writes them, no XML-RPC.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::scripted::serve;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub status: u16,
}

#[derive(Default)]
struct Inside {
    pages: BTreeMap<String, (u16, &'static str, String)>,
    asked: Vec<Asked>,
    tagged: bool,
    timed: bool,
}

/// When a timed index was written, and what its clock says.
const WRITTEN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const NOW: &str = "Thu, 01 Jan 2026 00:01:00 GMT";

/// Clones are the same index.
#[derive(Clone)]
pub struct Plain {
    pub url: String,
    inside: Arc<Mutex<Inside>>,
}

impl Plain {
    /// With an `ETag` on each page, or without any validator.
    pub async fn start(tagged: bool) -> Self {
        Self::with(Inside { tagged, ..Inside::default() }).await
    }

    /// With a `Last-Modified` on each page, and nothing else to ask again by. Its pages do not change.
    pub async fn timed() -> Self {
        Self::with(Inside { timed: true, ..Inside::default() }).await
    }

    async fn with(inside: Inside) -> Self {
        let inside = Arc::new(Mutex::new(inside));
        let url = serve(Router::new().fallback(answer).with_state(inside.clone())).await;
        Self { url: url.to_string(), inside }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub fn put(&self, path: &str, status: u16, kind: &'static str, body: String) {
        self.lock().pages.insert(path.to_owned(), (status, kind, body));
    }

    /// A listing in JSON with these serials.
    pub fn list(&self, projects: &[(&str, Option<i64>)]) {
        let row = |(name, serial): &(&str, Option<i64>)| match serial {
            Some(serial) => json!({"name": name, "_last-serial": serial}),
            None => json!({"name": name}),
        };
        let projects: Vec<Value> = projects.iter().map(row).collect();
        let body = json!({"meta": {"api-version": "1.1"}, "projects": projects});
        self.put("/simple/", 200, JSON, body.to_string());
    }

    /// A project's page in JSON.
    pub fn page(&self, name: &str, serial: Option<i64>, files: &[&str]) {
        let files: Vec<Value> = files.iter().map(|file| file_of(file, file)).collect();
        self.page_of(name, serial, &files, &json!(null));
    }

    pub fn page_of(&self, name: &str, serial: Option<i64>, files: &[Value], status: &Value) {
        let mut body = json!({"meta": {"api-version": "1.1"}, "name": name, "files": files});
        if let Some(serial) = serial {
            body["meta"]["_last-serial"] = serial.into();
        }
        if !status.is_null() {
            body["project-status"] = status.clone();
        }
        self.put(&format!("/simple/{name}/"), 200, JSON, body.to_string());
    }

    /// The same in HTML, as file servers have it.
    pub fn html(&self, path: &str, links: &[&str]) {
        let links: Vec<_> = links.iter().map(|link| format!("<a href='{link}'>{link}</a><br>")).collect();
        let links = links.concat();
        self.put(path, 200, "text/html", format!("<title>Simple index</title>{links}"));
    }

    pub fn remove(&self, path: &str) {
        self.lock().pages.remove(path);
    }

    /// How often a path was asked for, and answered with that status.
    pub fn asked(&self, path: &str, status: u16) -> usize {
        self.lock().asked.iter().filter(|asked| asked.path == path && asked.status == status).count()
    }

    pub fn forget(&self) {
        self.lock().asked.clear();
    }
}

/// A line of a page: a file whose bytes are `content`.
pub fn file_of(filename: &str, content: &str) -> Value {
    let sha256 = hex::encode(Sha256::digest(content));
    json!({"filename": filename, "url": format!("/packages/{filename}"), "hashes": {"sha256": sha256}})
}

async fn answer(State(inside): State<Arc<Mutex<Inside>>>, headers: HeaderMap, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let mut inside = inside.lock().unwrap();
    let found = if request.method() == "POST" { Some((405, "text/plain", String::new())) } else { None };
    let (status, kind, body) =
        found.or_else(|| inside.pages.get(&path).cloned()).unwrap_or((404, "text/plain", "none".to_owned()));
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..8]));
    let says = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let known = inside.tagged && says(IF_NONE_MATCH) == Some(tag.as_str())
        || inside.timed && says(IF_MODIFIED_SINCE) == Some(WRITTEN);
    let status = if known && status == 200 { 304 } else { status };
    inside.asked.push(Asked { path, status });
    let code = StatusCode::from_u16(status).unwrap();
    let mut response =
        (code, [(CONTENT_TYPE, kind)], if status == 304 { String::new() } else { body }).into_response();
    if inside.tagged && matches!(status, 200 | 304) {
        response.headers_mut().insert(ETAG, tag.parse().unwrap());
    }
    if inside.timed && matches!(status, 200 | 304) {
        response.headers_mut().insert(LAST_MODIFIED, WRITTEN.parse().unwrap());
        response.headers_mut().insert(DATE, NOW.parse().unwrap());
    }
    response
}
