//! Indexes of every hand: what pip and uv take of them directly, the relay takes too, and no part is taken for the whole.

mod clients;
mod digests;
mod documents;
mod odd_pages;
mod pages;
mod places;
mod whole;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cheesewire::index::IndexSettings;
use cheesewire::model::ProjectName;
use url::Url;

use crate::support::scripted::serve;

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "text/html";
const ZIP: &str = "application/zip";

/// What an address answers: type and body.
type Answers = BTreeMap<String, (&'static str, Bytes)>;

/// An index that a test writes by hand.
#[derive(Clone, Default)]
struct Site {
    answers: Arc<Mutex<Answers>>,
    /// What addresses answer that are not there; 404 if none is set.
    missing: Arc<Mutex<Option<StatusCode>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// One with these answers: path, type and body.
    fn new<const N: usize>(answers: [(&str, &'static str, &str); N]) -> Self {
        let site = Self::default();
        for (path, media_type, body) in answers {
            site.put(path, media_type, body.to_owned());
        }
        site
    }

    fn put(&self, path: &str, media_type: &'static str, body: impl Into<Bytes>) {
        self.answers.lock().unwrap().insert(path.to_owned(), (media_type, body.into()));
    }

    fn take(&self, path: &str) {
        self.answers.lock().unwrap().remove(path);
    }

    /// From now on this is what is said of what is not there.
    fn say_of_missing(&self, status: StatusCode) {
        *self.missing.lock().unwrap() = Some(status);
    }

    async fn serve(&self) -> Url {
        let site = self.clone();
        serve(Router::new().fallback(move |request: Request| {
            let answer = site.answer(&request);
            async move { answer }
        }))
        .await
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path().to_owned();
        let found = self.answers.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        match found {
            Some(("", body)) => body.into_response_without_type(),
            Some((media_type, body)) => ([("content-type", media_type)], body).into_response(),
            None => self.missing.lock().unwrap().unwrap_or(StatusCode::NOT_FOUND).into_response(),
        }
    }

    /// The paths that were asked for since the last look, but for calls.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.retain(|path| !path.ends_with("/pypi"));
        asked
    }
}

trait WithoutType {
    fn into_response_without_type(self) -> Response;
}

impl WithoutType for Bytes {
    fn into_response_without_type(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().remove("content-type");
        response
    }
}

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);

/// The default settings with pauses that a test can wait for.
fn quick() -> IndexSettings {
    let pause = Duration::from_millis(1);
    IndexSettings {
        behind_pauses: vec![pause; 2],
        absent_max_age: pause,
        failure_pause: pause,
        ..IndexSettings::default()
    }
}

fn name(spelling: &str) -> ProjectName {
    ProjectName::parse(spelling).unwrap()
}
