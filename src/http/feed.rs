//! `/journal/events`: the feed as server-sent events and as lines of JSON.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::json;

use super::fields::X_LAST_SERIAL;
use super::negotiate;
use crate::model::{Event, Serial};
use crate::rpc::{Feed, FeedCut, Manner, Told};

/// When to ask again for what cannot be had as things are: once a day, as nothing in the format says "never".
const NEVER: std::time::Duration = std::time::Duration::from_hours(24);

/// The question.
#[derive(Debug, Deserialize)]
struct FeedQuery {
    since: Option<String>,
    follow: Option<String>,
}

/// The answer ends too early, and must not look whole.
#[derive(Debug, thiserror::Error)]
#[error("the feed was cut: {0}")]
struct Broken(FeedCut);

/// Where it is.
pub(super) const PATH: &str = "/journal/events";

pub(super) fn routes(feed: Feed) -> Router {
    Router::new().route(PATH, get(events)).with_state(feed)
}

async fn events(State(feed): State<Feed>, Query(asked): Query<FeedQuery>, headers: HeaderMap) -> Response {
    let manner = negotiate::feed(&headers);
    // Whoever comes back says so in the header; the address is still that of its first time.
    let resumed = headers.get("last-event-id").filter(|id| !id.is_empty());
    let since = match (resumed.map(HeaderValue::to_str), asked.since.as_deref()) {
        (Some(id), _) => Some(id.ok().and_then(|id| id.trim().parse().ok())),
        (None, since) => since.map(|since| since.parse().ok()),
    };
    let since = match since {
        Some(None) => return refused("since and Last-Event-ID are serials, such as 123\n"),
        Some(Some(serial)) => Some(Serial(serial)),
        None => None,
    };
    let live = match (manner, asked.follow.as_deref()) {
        (Manner::ServerSent, _) | (Manner::Lines, Some("true" | "1")) => true,
        (Manner::Lines, None | Some("false" | "0")) => false,
        (Manner::Lines, Some(_)) => return refused("follow is true or false\n"),
    };
    let subscription = match feed.subscribe(since, live).await {
        Ok(subscription) => subscription,
        Err(error) => return error.into_response(),
    };
    let head = subscription.head();
    let pieces = subscription.pieces().flat_map(move |told| {
        let broken = match &told {
            Told::Cut(cut) if !live => Some(Broken(cut.clone())),
            Told::Cut(_) | Told::Events(_) | Told::Nothing => None,
        };
        let last = stream::iter(broken).then(|broken| async {
            // The reason has to leave before the connection breaks.
            tokio::task::yield_now().await;
            Err(broken)
        });
        stream::iter([Ok(manner.write(&told))]).chain(last)
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(manner.content_type()));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back until its buffer is full.
    fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
    fields.insert(X_LAST_SERIAL, head.0.into());
    response
}

fn refused(reason: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, reason).into_response()
}

impl Manner {
    fn content_type(self) -> &'static str {
        match self {
            Self::ServerSent => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    fn write(self, told: &Told) -> Bytes {
        match (self, told) {
            (_, Told::Events(piece)) => {
                return piece.written(self, |events| {
                    events.iter().map(|event| self.event(event)).collect::<String>()
                });
            }
            // A comment, and an empty line, which readers of lines skip.
            (Self::ServerSent, Told::Nothing) => ":\n\n".to_owned(),
            (Self::Lines, Told::Nothing) => "\n".to_owned(),
            (Self::ServerSent, Told::Cut(cut)) => {
                let retry = match cut {
                    FeedCut::Unknown(error) => {
                        format!("retry: {}\n", error.retry.unwrap_or(NEVER).as_millis())
                    }
                    FeedCut::Slow | FeedCut::Stopping | FeedCut::Failed => String::new(),
                };
                format!("{retry}event: cut\ndata: {}\n\n", reason(cut))
            }
            (Self::Lines, Told::Cut(cut)) => format!("{}\n", reason(cut)),
        }
        .into()
    }

    fn event(self, event: &Event) -> String {
        let Event { serial, name, version, time, action } = event;
        let line = json!({
            "serial": serial, "name": name, "version": version, "time": time, "action": action,
        });
        match self {
            Self::ServerSent => format!("id: {serial}\ndata: {line}\n\n"),
            Self::Lines => format!("{line}\n"),
        }
    }
}

fn reason(cut: &FeedCut) -> serde_json::Value {
    json!({"cut": cut.to_string()})
}
