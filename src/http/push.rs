//! Files that one relay pushes to another (docs/push.md): the question at `/pypi?:action=gae_file`, and `/mkupload/…`, where
//! whoever was asked comes back.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::StreamExt as _;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::timeout;

use super::files::PREFIX;
use crate::push::{Master, Mirror, Question, Refusal, UploadHead};

/// How long the rest of an upload may go by at least: whoever sends first and reads then would lose the answer.
const SWALLOW: Duration = Duration::from_secs(10);
/// When to come back if as many questions wait as may.
const LATER: &str = "60";
/// What is not written as it is in a path.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%');

/// Both sides, as far as the relay has them.
#[derive(Debug, Clone)]
pub struct Push {
    /// Files come from another relay, if one is asked.
    pub mirror: Option<Mirror>,
    /// Files go to others.
    pub master: Master,
}

/// The routes of a mirror; where the relay is none, nothing is expected there.
pub(super) fn routes(push: Push) -> Router {
    Router::new().route("/mkupload/{secret}", get(session).post(upload)).with_state(push)
}

/// What to upload, and where.
async fn session(State(push): State<Push>, Path(secret): Path<String>) -> Response {
    let Some(lines) = push.mirror.and_then(|mirror| mirror.session(&secret)) else { return unknown() };
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response()
}

async fn upload(State(push): State<Push>, Path(session): Path<String>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let longest = SWALLOW.max(push.master.window());
    let Some(mirror) = push.mirror else {
        if !head.headers.contains_key(EXPECT) {
            swallow_behind(body, longest);
        }
        return unknown();
    };
    let field = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let upload = UploadHead {
        content_type: field(CONTENT_TYPE).unwrap_or_default(),
        length: field(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    };
    let mut is_begun = !head.headers.contains_key(EXPECT);
    let taken = mirror.take(&session, upload, (&mut body).inspect(|_| is_begun = true)).await;
    match taken {
        Ok(taken) => {
            swallow(&mut body, longest).await;
            let path = utf8_percent_encode(taken.path.as_str(), ESCAPED);
            (StatusCode::FOUND, [(LOCATION, format!("{PREFIX}{path}"))]).into_response()
        }
        Err(refusal) => {
            // Whoever expects a word before sending does not begin after another one.
            if is_begun {
                swallow_behind(body, longest);
            }
            refused(&refusal)
        }
    }
}

/// Lets what is left of a body go by.
async fn swallow(body: &mut BodyDataStream, longest: Duration) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    // What is still coming then is cut off with the connection.
    let _ = timeout(longest, rest).await;
}

/// The same behind an answer, which goes out at once: whoever waits for it sends nothing more, and whoever sends on finds it then.
/// The connection is closed when the body is dropped.
fn swallow_behind(mut body: BodyDataStream, longest: Duration) {
    tokio::spawn(async move { swallow(&mut body, longest).await });
}

fn unknown() -> Response {
    refused(&Refusal::Unknown)
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Unknown => StatusCode::NOT_FOUND,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::Unkept(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, format!("{refusal}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(LATER));
    }
    // What came with it may still be on its way.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to `?:action=gae_file&host=HOST&secret=SECRET`.
pub(super) fn question(push: &Push, method: &Method, host: Option<&str>, secret: Option<&str>) -> Response {
    let answer = match (host, secret) {
        (Some(host), Some(secret)) if *method == Method::HEAD => push.master.look(host, secret),
        (Some(host), Some(secret)) => push.master.ask(host, secret),
        _ => Question::Malformed("host and secret belong to the question"),
    };
    match answer {
        Question::Accepted => StatusCode::NO_CONTENT.into_response(),
        Question::Malformed(reason) => (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response(),
        Question::Forbidden => {
            (StatusCode::FORBIDDEN, "this relay pushes no files to that host (push.hosts)\n").into_response()
        }
        Question::Full => {
            let reason = "too many files of that host wait (push.queue)\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, LATER)], reason).into_response()
        }
    }
}
