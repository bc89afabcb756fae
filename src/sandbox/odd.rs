//! Odd answers: what other indexes, their proxies and old software send besides what the rules say.
//!
//! The answer is made as always, then edited. Its validator is that of the edited one.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Response, header};
use serde::{Deserialize, Serialize};

use super::body::{Body, whole};
use super::odd_json;
use super::odd_rows;
use super::respond::{Asked, etag_of, not_modified, set};

/// What is odd about an answer. Nothing of it is done to what it does not fit, such as a member to HTML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Odd {
    /// A member of a JSON page, listing or document has another value, or is there at all.
    Member {
        /// Where: names with dots between them, `*` for every element or member, as in `files.*.size`.
        at: String,
        /// The value as it is written, JSON or not; `{}` in it stands for the true one. `"{}"` in quotes makes a number
        /// a text, `NaN` is not even JSON, `"\ud800"` is half a character.
        raw: String,
    },
    /// A member is missing.
    Missing {
        /// Where.
        at: String,
    },
    /// A member stands there twice, with the same value.
    Repeated {
        /// Where.
        at: String,
    },
    /// Text of an answer is another, wherever it stands.
    Text {
        /// What it is.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// A byte order mark comes first.
    Bom,
    /// The answer says that it is of another type.
    ContentType(String),
    /// The answer has no validator, and is whole each time: many servers make their pages anew for each request.
    NoValidator,
    /// Each row of a changelog has another value in a column, or one more after its last.
    Row {
        /// The column, counted from 0.
        column: usize,
        /// The value; null is nil.
        value: serde_json::Value,
    },
    /// Each row of a changelog ends early.
    ShortRow {
        /// As many columns are left.
        columns: usize,
    },
}

impl Odd {
    fn is_of_json(&self) -> bool {
        matches!(self, Self::Member { .. } | Self::Missing { .. } | Self::Repeated { .. })
    }
}

/// What is odd, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Oddity {
    pub(super) what: Odd,
    /// Only in those elements of an array that contain this: files, projects, rows.
    pub(super) only: Option<String>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Edits an answer. One that cannot be read to its end is left to fail as it does.
pub(super) async fn apply(
    oddities: Vec<Oddity>,
    asked: &Asked<'_>,
    response: Response<Body>,
) -> Response<Body> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Response::from_parts(head, super::body::try_pieces(std::iter::once(Err(super::body::Cut))));
    };
    let mut body = body.to_bytes();
    // A HEAD is answered with the true answer's length and validator.
    let made = !body.is_empty();
    let (mut content_type, mut validator) = (None, true);
    if oddities.iter().any(|oddity| oddity.what.is_of_json()) {
        body = odd_json::edit(&oddities, &body).unwrap_or(body);
    }
    for Oddity { what, only } in oddities {
        let only = only.as_deref();
        if !made && !matches!(what, Odd::ContentType(_) | Odd::NoValidator) {
            continue;
        }
        match what {
            // Done already: what has been changed may be no JSON any more.
            Odd::Member { .. } | Odd::Missing { .. } | Odd::Repeated { .. } => {}
            Odd::Row { .. } | Odd::ShortRow { .. } => {
                body = odd_rows::edit(&what, only, &body).unwrap_or(body);
            }
            Odd::Text { from, to } => {
                body = String::from_utf8_lossy(&body).replace(&from, &to).into();
            }
            Odd::Bom => body = Bytes::from([BOM, &body].concat()),
            Odd::ContentType(kind) => content_type = Some(kind),
            Odd::NoValidator => validator = false,
        }
    }
    let (len, etag) = (body.len().to_string(), etag_of(&body));
    let mut response = Response::from_parts(head, whole(body));
    if let Some(kind) = content_type {
        set(&mut response, header::CONTENT_TYPE, &kind);
    }
    if !validator {
        response.headers_mut().remove(header::ETAG);
    }
    if !made {
        return response;
    }
    set(&mut response, header::CONTENT_LENGTH, &len);
    if !response.headers().contains_key(header::ETAG) {
        return response;
    }
    set(&mut response, header::ETAG, &etag);
    if asked.has(&etag) { not_modified(response) } else { response }
}
