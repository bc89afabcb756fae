//! Files that were answered from memory and are asked for again: answered without a route, with the head that they had.
//!
//! Finding the route, reading the path and writing the head take three times as long as everything else that is done
//! for a small file.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::{AGE, CONTENT_LENGTH, DATE, IF_NONE_MATCH, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use hashbrown::HashMap;

use super::date;
use super::fields::X_LAST_SERIAL;
use super::reply::{FileBody, Reply};
use super::sending::head_length;
use crate::model::Serial;
use crate::relay::{Again, Relay, RepeatableFile};
use crate::stats::File;

/// Files that are remembered, each with some 2 KB: with 16 KB each they fill the 64 MiB that small files have in memory by
/// default. When it is full all go; each comes back at its next request.
const MOST: usize = 4096;

/// What is remembered.
#[derive(Default)]
pub(super) struct Repeated {
    /// By the path of the request, as it was spelled.
    answers: RwLock<HashMap<Box<str>, Remembered>>,
}

/// An answer on its way out that can be given again.
#[derive(Debug)]
pub(super) struct Seen {
    path: Box<str>,
    repeatable: RepeatableFile,
    file: Option<Arc<File>>,
}

impl Seen {
    /// To a GET of that path: all of a file that is here. `file`: as what it is counted, if it is.
    pub(super) fn new(path: &str, repeatable: RepeatableFile, file: Option<Arc<File>>) -> Self {
        Self { path: path.into(), repeatable, file }
    }
}

/// An answer that is given again.
pub(super) struct Repetition {
    pub(super) response: Response<Reply>,
    /// As what it is counted, if it is.
    pub(super) file: Option<Arc<File>>,
    /// Bytes of its head, and of its body.
    pub(super) head: u64,
    pub(super) length: u64,
}

struct Remembered {
    seen: Arc<Seen>,
    head: RwLock<Head>,
    length: u64,
}

/// A head as it left the last time: within a second nothing of it is written anew.
struct Head {
    fields: HeaderMap,
    /// What changes in it.
    stamp: Option<Stamp>,
    /// Its bytes.
    length: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// In seconds since 1970.
    date: i64,
    /// In seconds.
    age: u64,
    serial: Option<Serial>,
}

impl Head {
    fn write(&mut self, stamp: Stamp) {
        let Self { fields, length, .. } = self;
        fields.insert(DATE, date::of(stamp.date));
        fields.insert(AGE, HeaderValue::from(stamp.age));
        if let Some(serial) = stamp.serial {
            fields.insert(X_LAST_SERIAL, HeaderValue::from(serial.0));
        }
        *length = head_length(fields, false);
        self.stamp = Some(stamp);
    }
}

impl Remembered {
    /// The fields, and the bytes of the whole head.
    fn head(&self, stamp: Stamp) -> (HeaderMap, u64) {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        if head.stamp == Some(stamp) {
            return (head.fields.clone(), head.length);
        }
        drop(head);
        let mut head = self.head.write().unwrap_or_else(PoisonError::into_inner);
        head.write(stamp);
        (head.fields.clone(), head.length)
    }
}

impl Repeated {
    /// Remembers an answer.
    pub(super) fn remember(&self, seen: Arc<Seen>, head: &HeaderMap) {
        let length = head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let Some(length) = length.filter(|_| head.contains_key(AGE)) else { return };
        let head = RwLock::new(Head { fields: head.clone(), stamp: None, length: 0 });
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST && !answers.contains_key(&seen.path) {
            answers.clear();
        }
        answers.insert(seen.path.clone(), Remembered { seen, head, length });
    }

    /// Forgets all.
    pub(super) fn forget(&self) {
        self.answers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The answer to a request, if it is for all of such a file and the file may still be given out.
    pub(super) fn answer<B>(&self, relay: &Relay, request: &Request<B>) -> Option<Repetition> {
        let asks = request.headers();
        if request.method() != Method::GET || asks.contains_key(RANGE) || asks.contains_key(IF_NONE_MATCH) {
            return None;
        }
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        let found = answers.get(request.uri().path())?;
        let Again { content, age, now } = relay.again(&found.seen.repeatable)?;
        let (fields, head) = found.head(Stamp { date: now, age: age.as_secs(), serial: relay.last_serial() });
        let (file, length) = (found.seen.file.clone(), found.length);
        drop(answers);
        let mut response = Response::new(Reply::File(FileBody::new(content, Some(length))));
        *response.headers_mut() = fields;
        Some(Repetition { response, file, head, length })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    use axum::routing::any;
    use http_body_util::BodyExt as _;
    use serde_json::json;
    use sha2::Digest as _;
    use tempfile::TempDir;
    use tokio_util::task::TaskTracker;
    use tower::ServiceExt as _;

    use super::*;
    use crate::blob::{Store, StoreSettings};
    use crate::http::clients::Client;
    use crate::http::cors::Cors;
    use crate::http::files::Files;
    use crate::http::guard::Guard;
    use crate::http::sending::Sending;
    use crate::index::{Index, IndexSettings};
    use crate::journal::{Journal, JournalSettings};
    use crate::model::{Clock, FilePath, ProjectName};
    use crate::relay::RelaySettings;
    use crate::upstream::{Upstream, UpstreamSettings};

    const CONTENT: &[u8] = b"a small file";

    /// An index with two projects. The page of `one` has a file of its own and one that by its name is another project's;
    /// that of `two` has a higher serial.
    async fn upstream() -> Upstream {
        let answer = |uri: axum::http::Uri| async move {
            let sha256 = hex::encode(sha2::Sha256::digest(CONTENT));
            let file = |name: &str| json!({"filename": name, "url": format!("/packages/a/{name}"), "hashes": {"sha256": sha256}});
            let (name, serial, files) = match uri.path() {
                "/simple/one/" => ("one", 7, vec![file("one-1.zip"), file("other-1.zip")]),
                "/simple/two/" => ("two", 9, vec![]),
                path if path.starts_with("/packages/") => return CONTENT.into_response(),
                _ => return StatusCode::NOT_FOUND.into_response(),
            };
            let meta = json!({"api-version": "1.1", "_last-serial": serial});
            let page = json!({"meta": meta, "name": name, "versions": ["1"], "files": files});
            ([("content-type", "application/vnd.pypi.simple.v1+json")], page.to_string()).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
        let allowed_hosts = "127.0.0.1".parse().unwrap();
        Upstream::new(UpstreamSettings { allowed_hosts, ..UpstreamSettings::new(url) }).unwrap()
    }

    struct Bench {
        _folder: TempDir,
        clock: Clock,
        files: Files,
        routes: Router,
        index: Index,
        tasks: TaskTracker,
    }

    impl Bench {
        /// With a journal that knows everything up to serial 7.
        async fn new() -> Self {
            let (folder, upstream) = (tempfile::tempdir().unwrap(), upstream().await);
            let clock = Clock::standing_at(Clock::system().unix());
            let settings = JournalSettings { clock: clock.clone(), ..JournalSettings::default() };
            let journal = Journal::open(folder.path(), settings).await.unwrap();
            journal.append(vec![], Serial(0), Serial(7)).await.unwrap();
            let index = Index::new(upstream.clone(), journal.clone(), IndexSettings::default());
            let settings = StoreSettings::new(folder.path().join("files"));
            let settings = StoreSettings { free_floor: 0, clock: clock.clone(), ..settings };
            let (store, tasks) = (Store::open(&settings).unwrap(), TaskTracker::new());
            let settings = RelaySettings::default();
            let relay = Relay::new(index.clone(), journal, upstream, store, settings, tasks.clone());
            let files = Files::new(relay, Cors::Any, None, Guard::open());
            let routes = Cors::Any.around(files.clone().routes());
            Self { _folder: folder, clock, files, routes, index, tasks }
        }

        fn at_once(&self, path: &str) -> Option<Response<Reply>> {
            self.asked_at_once(&get(path))
        }

        fn asked_at_once(&self, request: &Request<Body>) -> Option<Response<Reply>> {
            let client = Client::at([192, 0, 2, 1].into());
            self.files.at_once(request, client, &Sending::default()).map(|(response, _)| response)
        }

        /// As the edge answers what is not answered at once; no fetch goes on when it is over.
        async fn by_route(&self, path: &str) -> Response<Body> {
            let mut response = self.routes.clone().oneshot(get(path)).await.unwrap();
            self.files.remember(&mut response);
            let (head, body) = response.into_parts();
            let content = body.collect().await.unwrap().to_bytes();
            self.tasks.close();
            self.tasks.wait().await;
            self.tasks.reopen();
            Response::from_parts(head, Body::from(content))
        }

        /// Asks twice by route: the second time it is kept.
        async fn kept(&self, path: &str) -> Response<Body> {
            assert!(self.at_once(path).is_none(), "{path}: nobody has asked yet");
            self.by_route(path).await;
            self.by_route(path).await
        }

        /// The paths that the page states, without `/packages/`.
        async fn stated(&self) -> Vec<FilePath> {
            let page = self.index.page(&ProjectName::parse("one").unwrap()).await.unwrap();
            page.files.iter().map(|file| file.path.clone()).collect()
        }
    }

    fn get(path: &str) -> Request<Body> {
        Request::get(format!("/packages/{path}")).body(Body::empty()).unwrap()
    }

    fn text<B>(response: &Response<B>, name: &str) -> String {
        response.headers()[name].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_kept_file_is_answered_at_once_with_the_head_that_its_route_gives_by_each_of_its_paths() {
        let bench = Bench::new().await;
        let stated = bench.stated().await;
        assert!(stated[1].as_str().starts_with("x/"), "{stated:?}");
        // The page's own; of the other project's file the one that it had before, and that of today.
        for path in ["a/one-1.zip", "a/other-1.zip", stated[1].as_str()] {
            let by_route = bench.kept(path).await;
            let mut at_once = bench.at_once(path).unwrap_or_else(|| panic!("{path}: not at once"));
            let date = at_once.headers_mut().remove(DATE);
            assert_eq!(date, Some(date::of(bench.clock.unix())));
            assert_eq!(
                (at_once.status(), at_once.headers()),
                (by_route.status(), by_route.headers()),
                "{path}"
            );
            assert!(at_once.headers().contains_key("access-control-allow-origin"), "{path}");
            assert_eq!(at_once.into_body().collect().await.unwrap().to_bytes(), CONTENT);
        }
    }

    #[tokio::test]
    async fn what_asks_for_a_part_or_has_a_condition_goes_by_its_route() {
        let bench = Bench::new().await;
        bench.kept("a/one-1.zip").await;
        for (name, value) in [("range", "bytes=0-1"), ("if-none-match", "\"x\"")] {
            let mut request = get("a/one-1.zip");
            request.headers_mut().insert(name, HeaderValue::from_static(value));
            assert!(bench.asked_at_once(&request).is_none(), "{name}");
        }
        let mut head = get("a/one-1.zip");
        *head.method_mut() = Method::HEAD;
        assert!(bench.asked_at_once(&head).is_none());
        assert!(bench.at_once("a/one-1.zip").is_some());
    }

    #[tokio::test]
    async fn date_age_and_serial_are_those_of_the_moment_at_which_the_file_goes_out() {
        let bench = Bench::new().await;
        bench.kept("a/one-1.zip").await;
        // Files have fractions of seconds, this clock has none.
        let begun = bench.clock.unix() + 60;
        bench.clock.set(begun);
        let age = |at_once: &Response<Reply>| text(at_once, "age").parse::<i64>().unwrap();
        let first = bench.at_once("a/one-1.zip").unwrap();
        assert_eq!(text(&first, "x-pypi-last-serial"), "7");
        for later in [0, 7, 7, 8, 3] {
            bench.clock.set(begun + later);
            let again = bench.at_once("a/one-1.zip").unwrap();
            assert_eq!(
                (&again.headers()[DATE], age(&again)),
                (&date::of(begun + later), age(&first) + later)
            );
        }
        bench.index.page(&ProjectName::parse("two").unwrap()).await.unwrap();
        assert_eq!(text(&bench.at_once("a/one-1.zip").unwrap(), "x-pypi-last-serial"), "9");
    }

    #[tokio::test]
    async fn what_is_removed_by_its_path_of_today_is_not_answered_by_the_one_before() {
        let bench = Bench::new().await;
        let today = bench.stated().await.remove(1);
        bench.kept("a/other-1.zip").await;
        assert!(bench.at_once("a/other-1.zip").is_some());
        let (project, lifetime) = (ProjectName::parse("one").unwrap(), Duration::from_mins(10));
        bench.index.note_absent(&today, &project, "gone".to_owned(), lifetime).await;
        assert!(bench.at_once("a/other-1.zip").is_none());
        assert_eq!(bench.by_route("a/other-1.zip").await.status(), StatusCode::NOT_FOUND);
    }
}
