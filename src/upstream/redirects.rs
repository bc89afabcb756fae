//! Sending a question that is no call, and its redirects: each of them is a link that may or may not be followed.

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Request, RequestBuilder, Response, StatusCode};
use url::Url;

use super::error::{Refusal, UpstreamError};
use super::links::Route;
use super::transport::{Kind, Transport, header};

/// Redirects followed for one request: more is a loop.
const MAX_REDIRECTS: usize = 5;

impl Transport {
    /// Sends a GET or HEAD and follows its redirects: at most five, only to HTTP, never from TLS to none, and only to where
    /// links may lead. Credentials go to the index's own origin only.
    pub(super) async fn send_following(
        &self,
        kind: Kind,
        request: RequestBuilder,
    ) -> Result<Response, UpstreamError> {
        self.check()?;
        let mut request = request.build().map_err(UpstreamError::from_transport)?;
        for _ in 0..=MAX_REDIRECTS {
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let response = self.send_once(kind, request).await?;
            let Some(target) = target(&response) else { return Ok(response) };
            may_follow(response.url(), &target)?;
            request = Request::new(method, self.without_user(&target));
            *request.headers_mut() = headers;
            request.headers_mut().remove(AUTHORIZATION);
            if let Some(own) = self.authorization(&target) {
                request.headers_mut().insert(AUTHORIZATION, own);
            }
        }
        Err(unfollowed("more than 5 redirects"))
    }

    async fn send_once(&self, kind: Kind, request: Request) -> Result<Response, UpstreamError> {
        let url = request.url().clone();
        let route = self.links.route(&url).map_err(|refusal| refusal.report(&url))?;
        let clients = self.clients(kind);
        let client = match route {
            Route::Open => &clients.open,
            Route::Filtered => &clients.filtered,
        };
        client.execute(request).await.map_err(|error| match refusal(&error) {
            Some(refusal) => refusal.report(&url),
            None => UpstreamError::from_transport(error),
        })
    }
}

/// Where a redirect leads. One that leads nowhere is an answer like any other.
fn target(response: &Response) -> Option<Url> {
    let (moved, see_other) = (StatusCode::MOVED_PERMANENTLY, StatusCode::SEE_OTHER);
    let (found, temporary, permanent) =
        (StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT);
    if ![moved, found, see_other, temporary, permanent].contains(&response.status()) {
        return None;
    }
    response.url().join(location(response.headers())?).ok()
}

fn location(headers: &HeaderMap) -> Option<&str> {
    header(headers, LOCATION.as_str())
}

fn may_follow(from: &Url, to: &Url) -> Result<(), UpstreamError> {
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => Ok(()),
        _ => Err(unfollowed("a redirect away from https")),
    }
}

fn unfollowed(why: &str) -> UpstreamError {
    UpstreamError::Unexpected(format!("redirects that are not followed: {why}"))
}

/// The resolver's word, if it refused.
fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        cause = error.source();
    }
    None
}
