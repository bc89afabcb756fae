//! What has been asked for: counts by route and path, and the last requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Route;

/// As many paths are counted apart; the rest only by route. Far above what a test asks for.
const PATHS: usize = 10_000;
/// As many requests are remembered.
const REMEMBERED: usize = 1_000;

/// Counts since the start, or since [`super::Sandbox::forget_requests`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestCounts {
    /// By route.
    routes: BTreeMap<Route, u64>,
    /// By path; a call's path is `/pypi METHOD`, whatever address it came to.
    paths: BTreeMap<String, u64>,
    /// The last thousand, oldest first.
    last: VecDeque<Seen>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// `GET`, `POST` …
    pub method: String,
    /// The path, or `/pypi METHOD`.
    pub path: String,
    /// `User-Agent`.
    pub agent: Option<String>,
    /// `Range`.
    pub range: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

impl RequestCounts {
    /// Requests of a kind.
    pub fn route(&self, route: Route) -> u64 {
        self.routes.get(&route).copied().unwrap_or(0)
    }

    /// Requests whose path is `path`.
    pub fn path(&self, path: &str) -> u64 {
        self.paths.get(path).copied().unwrap_or(0)
    }

    /// Calls of a method, refused ones too.
    pub fn method(&self, method: &str) -> u64 {
        self.path(&format!("/pypi {method}"))
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.routes.values().sum()
    }

    /// The last thousand requests, oldest first.
    pub fn last(&self) -> impl Iterator<Item = &Seen> {
        self.last.iter()
    }
}

#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<RequestCounts>);

impl Requests {
    pub(super) fn count(&self, route: Route, seen: Seen) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.routes.entry(route).or_default() += 1;
        if counts.paths.len() < PATHS || counts.paths.contains_key(&seen.path) {
            *counts.paths.entry(seen.path.clone()).or_default() += 1;
        }
        if counts.last.len() == REMEMBERED {
            counts.last.pop_front();
        }
        counts.last.push_back(seen);
    }

    pub(super) fn counts(&self) -> RequestCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = RequestCounts::default();
    }
}
