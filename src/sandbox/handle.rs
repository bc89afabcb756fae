//! From a request to its answer.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::model::{FilePath, ProjectName, Serial};
use crate::xmlrpc::Fault as RpcFault;

use super::body::{Body, whole};
use super::call::{self, Call};
use super::catalogue::Listed;
use super::limit::{Limiter, Verdict};
use super::odd_answer;
use super::page;
use super::plan::Plan;
use super::requests::Seen;
use super::respond::{self, Manner, RequestHead, document, moved, set, streamed, text};
use super::serials::Stated;
use super::shared::{Shared, XmlRpc};
use super::wire::Flushes;
use super::{Route, control, rpc};
use crate::metric;

/// The largest body that is read. A call of a real client has a few hundred bytes.
const MAX_BODY: usize = 1 << 20;
/// Names that are written into the listing at once.
const ROWS: usize = 1_000;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset on demand")]
pub(super) struct Reset;

/// Answers a request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    flushes: Flushes,
    request: Request<Incoming>,
) -> Result<Response<Body>, Reset> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let route = Route::of(&path, head.method == Method::POST);
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB")),
    };
    if route == Route::Control {
        return Ok(control::answer(&shared, &head.method, &path, &body).await);
    }
    let call = (route == Route::Rpc).then(|| Call::read(&body));
    let label = match &call {
        Some(Ok(call)) => format!("/pypi {}", call.method),
        _ => path.clone(),
    };
    shared.requests.count(route, seen(&head.method, &label, &head.headers));
    metrics::counter!(metric::SANDBOX_REQUESTS_TOTAL).increment(1);
    tracing::debug!(method = %head.method, path = label, "asked");
    let mut plan = Plan::of(shared.faults.take(route, &label));
    shared.faults.delay(plan.delay).await;
    if plan.reset {
        return Err(Reset);
    }
    let conditions = head.headers.clone();
    if !plan.odd.is_empty() {
        // Only the odd answer's own validator counts.
        head.headers.remove(header::IF_NONE_MATCH);
    }
    let conditional = RequestHead { method: &head.method, headers: &conditions };
    let asked = RequestHead { method: &head.method, headers: &head.headers };
    let agent = head.headers.get(header::USER_AGENT).is_some_and(|agent| !agent.is_empty());
    let response = match (plan.answer.take(), call) {
        (Some(answer), _) => answer,
        _ if shared.settings.refuse_anonymous && !agent => {
            text(StatusCode::NOT_ACCEPTABLE, "name your program and a contact in User-Agent")
        }
        (None, Some(call)) => shared.call(call, &plan.stated).await,
        (None, None) if head.method == Method::OPTIONS && route.is_open() => text(StatusCode::OK, ""),
        (None, None) if head.method != Method::GET && head.method != Method::HEAD => {
            text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only")
        }
        (None, None) => shared.get(route, &asked, &path, &plan),
    };
    let mut response = response;
    if route.is_open() || path == "/simple" {
        respond::open_to_all(&mut response);
    }
    if let Some(clock) = &shared.settings.clock {
        respond::date(&mut response, clock.unix());
    }
    let response = match std::mem::take(&mut plan.odd) {
        oddities if oddities.is_empty() => response,
        oddities => odd_answer::apply(oddities, &conditional, response).await,
    };
    Ok(plan.finish(response, flushes))
}

/// Sleeps; not at all for no time, which the timer would round up to a millisecond.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn seen(method: &Method, path: &str, headers: &HeaderMap) -> Seen {
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Seen {
        method: method.to_string(),
        path: path.to_owned(),
        agent: field(header::USER_AGENT),
        range: field(header::RANGE),
        if_none_match: field(header::IF_NONE_MATCH),
    }
}

impl Shared {
    async fn call(&self, call: Result<Call, RpcFault>, stated: &Stated) -> Response<Body> {
        let verdict = self.limiter.as_ref().map(Limiter::call);
        let mode = self.xmlrpc.read().unwrap_or_else(PoisonError::into_inner).clone();
        let result = match (mode, verdict, call) {
            (XmlRpc::Status(code), _, _) => return text(respond::status(code), "no XML-RPC here"),
            (_, Some(Verdict { allowed: false, reset, .. }), _) => Err(RpcFault::raised(
                "HTTPTooManyRequests",
                &format!(
                    "The action could not be performed because there were too many requests by the client. \
                     Limit may reset in {reset} seconds."
                ),
            )),
            (XmlRpc::Removed, _, _) => {
                Err(RpcFault::raised("RuntimeError", "The XML-RPC interface has been removed."))
            }
            (_, _, Err(fault)) => Err(fault),
            (XmlRpc::Live, _, Ok(call)) => {
                let delays = self.settings.delays.iter().filter(|(method, _)| *method == call.method);
                pause(delays.map(|(_, delay)| *delay).sum()).await;
                rpc::answer(&self.catalogue, &call, self.settings.changelog_rows, stated)
            }
        };
        let body = match result {
            Ok(body) => body,
            Err(fault) => match call::refused(&fault) {
                Some(fault) => whole(fault),
                None => return text(StatusCode::INTERNAL_SERVER_ERROR, "a fault that XML-RPC cannot carry"),
            },
        };
        let mut response = Response::new(body);
        set(&mut response, header::CONTENT_TYPE, "text/xml; charset=utf-8");
        if let Some(Verdict { remaining, reset, .. }) = verdict {
            let text = format!("\"xmlrpc.client\";r={remaining};t={reset}");
            set(&mut response, "ratelimit", &text);
        }
        response
    }

    fn get(&self, route: Route, asked: &RequestHead<'_>, path: &str, plan: &Plan) -> Response<Body> {
        let at = Serial(self.catalogue.last_serial().0.saturating_sub(plan.behind));
        let stated = &plan.stated;
        let Ok(path) = percent_decode_str(path).decode_utf8() else {
            return text(StatusCode::BAD_REQUEST, "not UTF-8");
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let found = match (route, parts.as_slice()) {
            (Route::Listing, _) => Some(self.listing(asked, at, stated)),
            (Route::Page, ["simple", name, ""]) => self.page(asked, name, at, stated),
            (Route::Page, ["simple", name]) => Some(moved(&format!("/simple/{}/", page::normal(name)))),
            (Route::Json, ["pypi", name, "json"] | ["pypi", name, "json", ""]) => {
                self.json(asked, name, None, at, stated)
            }
            (Route::Json, ["pypi", name, version, "json"] | ["pypi", name, version, "json", ""]) => {
                self.json(asked, name, Some(version), at, stated)
            }
            (Route::File, ["packages", rest @ ..]) => {
                self.file(&rest.join("/")).map(|file| respond::file(asked, &file, self.settings.file_etags))
            }
            (Route::Metadata, ["packages", rest @ ..]) => self.metadata(asked, &rest.join("/")),
            (Route::Provenance, ["integrity", name, version, file, "provenance"]) => {
                self.provenance(asked, name, version, file)
            }
            (_, ["simple"]) => Some(moved("/simple/")),
            (_, [""]) => Some(text(StatusCode::OK, "A miniature package index: see /simple/")),
            _ => None,
        };
        found.unwrap_or_else(|| match route {
            Route::Json => respond::no_document(),
            _ => text(StatusCode::NOT_FOUND, "404 Not Found"),
        })
    }

    fn listing(&self, asked: &RequestHead<'_>, at: Serial, stated: &Stated) -> Response<Body> {
        let (html, content_type) = self.form(asked);
        let own = stated.own(at);
        let manner = Manner {
            content_type,
            // JSON is up to 30 minutes old upstream, HTML up to a day.
            cache_control: if html { "max-age=86400, public" } else { "max-age=1800, public" },
            serial: own,
            vary: true,
        };
        let mut rows = self.catalogue.listing(at, Listed::Installable).peekable();
        let content = format!("{html} {} {at} {stated:?}", self.catalogue.restored());
        let etag = respond::etag_of(content.as_bytes());
        let stated = stated.clone();
        streamed(asked, &etag, &manner, move || {
            let mut first = true;
            let start = std::iter::once(page::listing_start(html, own));
            let middle = std::iter::from_fn(move || {
                rows.peek()?;
                let mut piece = String::new();
                for (name, serial) in rows.by_ref().take(ROWS) {
                    let serial = stated.listed(&name, serial);
                    page::listing_row(html, &name, serial, std::mem::take(&mut first), &mut piece);
                }
                Some(piece)
            });
            let end = std::iter::once(page::listing_end(html, own));
            super::body::pieces(start.chain(middle).chain(end).map(Bytes::from))
        })
    }

    fn page(
        &self,
        asked: &RequestHead<'_>,
        name: &str,
        at: Serial,
        stated: &Stated,
    ) -> Option<Response<Body>> {
        let normal = ProjectName::parse(name).ok()?;
        if normal.as_str() != name {
            return Some(moved(&format!("/simple/{normal}/")));
        }
        let project = self.catalogue.project(&normal, at)?;
        let serial = stated.own(project.last_serial.min(at));
        let (html, content_type) = self.form(asked);
        let body = if html {
            page::html(&project, serial, &self.origins)
        } else {
            page::json(&project, serial, &self.origins).to_string()
        };
        let cache_control = "max-age=600, public";
        let manner = Manner { content_type, cache_control, serial, vary: true };
        Some(document(asked, body, &manner))
    }

    fn json(
        &self,
        asked: &RequestHead<'_>,
        name: &str,
        version: Option<&str>,
        at: Serial,
        stated: &Stated,
    ) -> Option<Response<Body>> {
        let normal = ProjectName::parse(name).ok()?;
        if normal.as_str() != name {
            let version = version.map_or_else(String::new, |version| format!("{version}/"));
            return Some(moved(&format!("/pypi/{normal}/{version}json")));
        }
        let project = self.catalogue.project(&normal, at)?;
        let release = version.map_or_else(|| project.latest(), |version| project.release(version))?;
        let serial = stated.own(project.last_serial.min(at));
        let body = super::document::json(&project, release, version.is_none(), serial, &self.origins);
        let manner = Manner {
            content_type: "application/json",
            cache_control: "max-age=900, public, stale-while-revalidate=300, stale-if-error=86400",
            serial,
            vary: false,
        };
        Some(document(asked, body.to_string(), &manner))
    }

    fn file(&self, path: &str) -> Option<super::Upload> {
        self.catalogue.file(&FilePath::parse(path).ok()?)
    }

    fn metadata(&self, asked: &RequestHead<'_>, path: &str) -> Option<Response<Body>> {
        let metadata = self.file(path.strip_suffix(".metadata")?)?.file.metadata.clone()?;
        let manner = Manner {
            content_type: "application/octet-stream",
            cache_control: "max-age=365000000, immutable, public",
            serial: None,
            vary: false,
        };
        Some(document(asked, metadata, &manner))
    }

    fn provenance(
        &self,
        asked: &RequestHead<'_>,
        name: &str,
        version: &str,
        file: &str,
    ) -> Option<Response<Body>> {
        let project = self.catalogue.project(&ProjectName::parse(name).ok()?, Serial(i64::MAX))?;
        let release = project.release(version)?;
        let named = |upload: &&super::Upload| upload.file.provenance && upload.file.filename == file;
        let upload = release.files.iter().find(named)?;
        let manner = Manner {
            content_type: "application/vnd.pypi.integrity.v1+json",
            cache_control: "max-age=600, public",
            serial: None,
            vary: false,
        };
        Some(document(asked, page::provenance(&upload.file).to_string(), &manner))
    }

    /// Whether HTML is asked for, and the type to say.
    fn form(&self, asked: &RequestHead<'_>) -> (bool, &'static str) {
        let accept = asked.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
        if self.settings.simple_json && page::prefers_json(accept) {
            (false, page::JSON)
        } else {
            (true, page::HTML)
        }
    }
}
