//! Counts every request by route and status, and logs it at debug.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Method, Request, Response, StatusCode, Uri};
use metrics::{Counter, Histogram, SharedString};
use tower::{Layer, Service};

use crate::metric;

/// A request that no route took; one label, or a scanner would fill the metrics.
const UNMATCHED: &str = "other";

/// What counts the requests on one route.
pub(super) struct Meter {
    route: SharedString,
    /// Looked up when it is made, for routes where that would take as long as the answer.
    ok: Counter,
    first_byte: Histogram,
}

impl Meter {
    pub(super) fn new(route: impl Into<SharedString>) -> Self {
        let route = route.into();
        let ok = counter(route.clone(), StatusCode::OK);
        let first_byte = metrics::histogram!(metric::HTTP_FIRST_BYTE_SECONDS, "route" => route.clone());
        Self { route, ok, first_byte }
    }

    /// Counts an answer; `head` is logged.
    pub(super) fn count(&self, status: StatusCode, started: Instant, head: Option<(Method, Uri)>) {
        let elapsed = started.elapsed();
        match status {
            StatusCode::OK => self.ok.increment(1),
            _ => counter(self.route.clone(), status).increment(1),
        }
        self.first_byte.record(elapsed.as_secs_f64());
        if let Some((method, uri)) = head {
            tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
        }
    }
}

fn counter(route: SharedString, status: StatusCode) -> Counter {
    metrics::counter!(metric::HTTP_REQUESTS_TOTAL, "route" => route, "status" => status.as_str().to_owned())
}

/// The counters by route and status, looked up once each: by name it takes longer than answering from memory.
/// There are as many as routes and statuses.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed(Arc<RwLock<HashMap<u16, HashMap<String, Of>>>>);

#[derive(Clone)]
struct Of {
    requests: Counter,
    first_byte: Histogram,
}

impl std::fmt::Debug for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Of")
    }
}

impl Observed {
    fn of(&self, route: &str, status: u16) -> Of {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = seen.get(&status).and_then(|routes| routes.get(route)) {
            return of.clone();
        }
        drop(seen);
        let of = Of {
            requests: metrics::counter!(
                metric::HTTP_REQUESTS_TOTAL,
                "route" => route.to_owned(), "status" => status.to_string()
            ),
            first_byte: metrics::histogram!(metric::HTTP_FIRST_BYTE_SECONDS, "route" => route.to_owned()),
        };
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.entry(status).or_default().entry(route.to_owned()).or_insert(of).clone()
    }
}

impl<S> Layer<S> for Observed {
    type Service = Observing<S>;

    fn layer(&self, inner: S) -> Observing<S> {
        Observing { inner, observed: self.clone() }
    }
}

/// A service of which every request is counted. Written out: axum's middleware by function takes three
/// allocations a request more.
#[derive(Debug, Clone)]
pub(super) struct Observing<S> {
    inner: S,
    observed: Observed,
}

impl<S> Service<Request<Body>> for Observing<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let head = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.uri().clone()));
        let answer = self.inner.call(request);
        Answering { answer, observed: self.observed.clone(), started, route, head }
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answering<F> {
    answer: F,
    observed: Observed,
    started: Instant,
    route: Option<MatchedPath>,
    head: Option<(Method, Uri)>,
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        if let Ok(response) = &answer {
            let (status, elapsed) = (response.status(), self.started.elapsed());
            let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
            let of = self.observed.of(route, status.as_u16());
            of.requests.increment(1);
            of.first_byte.record(elapsed.as_secs_f64());
            if let Some((method, uri)) = &self.head {
                tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
            }
        }
        Poll::Ready(answer)
    }
}
