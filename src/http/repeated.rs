//! Files that were answered from memory and are asked for again: answered without a route, with the head that they had.
//!
//! Finding the route, reading the path and writing the head take three times as long as everything else that is done
//! for a small file.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::http::header::{AGE, CONTENT_LENGTH, IF_NONE_MATCH, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::files::{FileBody, ROUTE, X_LAST_SERIAL};
use super::observe::Meter;
use super::reply::Reply;
use crate::relay::{Hold, Relay};

/// Files that are remembered, each with some 1.5 KB: with 16 KB each they fill the 64 MiB that small files have in memory by
/// default. When it is full all go; each comes back at its next request.
const MOST: usize = 4096;

/// What is remembered.
pub(super) struct Repeated {
    meter: Meter,
    /// By the path of the request, as it was spelled.
    answers: RwLock<HashMap<Box<str>, Remembered>>,
}

/// An answer on its way out that can be given again.
#[derive(Debug)]
pub(super) struct Seen {
    path: Box<str>,
    hold: Hold,
}

impl Seen {
    /// To a GET of that path: all of a file that is here.
    pub(super) fn new(path: &str, hold: Hold) -> Self {
        Self { path: path.into(), hold }
    }
}

struct Remembered {
    seen: Arc<Seen>,
    head: HeaderMap,
    length: u64,
}

impl Repeated {
    pub(super) fn new() -> Self {
        Self { meter: Meter::new(ROUTE), answers: RwLock::default() }
    }

    /// Remembers an answer.
    pub(super) fn remember(&self, seen: Arc<Seen>, head: &HeaderMap) {
        let length = head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let Some(length) = length.filter(|_| head.contains_key(AGE)) else { return };
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST && !answers.contains_key(&seen.path) {
            answers.clear();
        }
        answers.insert(seen.path.clone(), Remembered { seen, head: head.clone(), length });
    }

    /// The answer to a request, if it is for all of such a file and the file may still be given out.
    pub(super) fn answer<B>(&self, relay: &Relay, request: &Request<B>) -> Option<Response<Reply>> {
        let started = Instant::now();
        let asks = request.headers();
        if request.method() != Method::GET || asks.contains_key(RANGE) || asks.contains_key(IF_NONE_MATCH) {
            return None;
        }
        let (mut head, length, (content, age)) = {
            let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
            let found = answers.get(request.uri().path())?;
            let again = relay.again(&found.seen.hold)?;
            (found.head.clone(), found.length, again)
        };
        // In its place: a map that grows is made anew.
        *head.get_mut(AGE)? = HeaderValue::from(age.as_secs());
        if let (Some(place), Some(serial)) = (head.get_mut(X_LAST_SERIAL), relay.last_serial()) {
            *place = HeaderValue::from(serial.0);
        }
        let mut response = Response::new(Reply::File(FileBody::new(content, length)));
        *response.headers_mut() = head;
        let asked = tracing::enabled!(tracing::Level::DEBUG).then(|| (Method::GET, request.uri().clone()));
        self.meter.count(StatusCode::OK, started, asked);
        Some(response)
    }
}
