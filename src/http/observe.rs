//! Counts every request by route and status, logs it at debug, and has its line of the access log written.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use metrics::{Counter, Histogram};

use super::access::{Line, shown};
use super::clients::{Caller, Client};
use super::outgoing::Outgoing;
use super::reply::Reply;
use super::sending::Tracked;
use super::timeouts::SharedPhase;
use crate::metric;

/// What counts the requests on one route.
pub(super) struct Meter {
    route: Box<str>,
    /// Each is looked up once: by name it takes longer than answering from memory.
    ok: OnceLock<Counter>,
    others: RwLock<Vec<(StatusCode, Counter)>>,
    first_byte: Histogram,
}

impl Meter {
    fn new(route: &str) -> Self {
        let first_byte = metrics::histogram!(metric::HTTP_FIRST_BYTE_SECONDS, "route" => route.to_owned());
        Self { route: route.into(), ok: OnceLock::new(), others: RwLock::default(), first_byte }
    }

    fn requests(&self, status: StatusCode) -> Counter {
        let (route, status) = (self.route.to_string(), status.as_str().to_owned());
        metrics::counter!(metric::HTTP_REQUESTS_TOTAL, "route" => route, "status" => status)
    }

    fn ok(&self) -> &Counter {
        self.ok.get_or_init(|| self.requests(StatusCode::OK))
    }

    fn count(&self, status: StatusCode) {
        if status == StatusCode::OK {
            return self.ok().increment(1);
        }
        let seen = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, requests)) = seen.iter().find(|(of, _)| *of == status) {
            return requests.increment(1);
        }
        drop(seen);
        let requests = self.requests(status);
        requests.increment(1);
        self.others.write().unwrap_or_else(PoisonError::into_inner).push((status, requests));
    }
}

/// The meters of all routes. There are as many as routes.
#[derive(Default)]
pub(super) struct Meters(RwLock<HashMap<Box<str>, Arc<Meter>>>);

impl Meters {
    /// The meter of a route.
    pub(super) fn of(&self, route: &str) -> Arc<Meter> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = seen.get(route) {
            return meter.clone();
        }
        drop(seen);
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.entry(route.into()).or_insert_with(|| Arc::new(Meter::new(route))).clone()
    }

    /// The same of one that is shown before its first request.
    pub(super) fn shown(&self, route: &str) -> Arc<Meter> {
        let meter = self.of(route);
        meter.ok();
        meter
    }
}

/// A request that is being answered.
pub(super) struct Exchange {
    pub(super) started: Instant,
    /// For the log at debug.
    asked: Option<Box<(Method, Uri)>>,
    /// For the access log; dropped without an answer, it says so.
    line: Option<Box<Line>>,
}

impl Exchange {
    /// Begins when the head is there.
    pub(super) fn begin<B>(client: Client, request: &Request<B>) -> Self {
        let started = Instant::now();
        let asked = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| Box::new((request.method().clone(), request.uri().clone())));
        Self { started, asked, line: Line::begin(started, client, request) }
    }

    /// Notes the method of a call, and where its answer comes from if that is known: an answer's head does not say it.
    pub(super) fn is_call(&mut self, method: &'static str, cache: Option<&'static str>) {
        if let Some(line) = &mut self.line {
            line.is_call(method, cache);
        }
    }

    /// Counts an answer, which leaves with what is held until it is gone, and with the download that it is.
    #[inline]
    pub(super) fn answered<B: Into<Reply>>(
        self,
        meter: &Meter,
        mut response: Response<B>,
        mut download: Option<Box<Tracked>>,
        caller: Option<Caller>,
        phase: SharedPhase,
    ) -> Response<Outgoing> {
        let Self { started, asked, mut line } = self;
        let (status, elapsed) = (response.status(), started.elapsed());
        meter.count(status);
        meter.first_byte.record(elapsed.as_secs_f64());
        if let Some(asked) = asked {
            let (method, uri) = *asked;
            tracing::debug!(%method, path = shown(uri.path()), status = status.as_u16(), ?elapsed, "answered");
        }
        if let Some(line) = &mut line {
            line.answered(&meter.route, &response);
        }
        let is_last = phase.is_leaving();
        if is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(download) = &mut download {
            download.count_head(response.headers(), is_last);
        }
        let bounds = caller.and_then(Caller::into_bounds);
        phase.sending().begin(download.as_mut());
        response.map(|body| Outgoing::new(body.into(), line, download, bounds, phase.idle_after()))
    }
}
