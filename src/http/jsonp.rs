//! `callback=F`: a JSON document as a call of the reader's own function, for scripts of before CORS.
//!
//! Every web page can read such an answer, so there is none where `http.cors` lets only some pages read, or none.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use tokio::task::spawn_blocking;

use super::cors::Cors;
use super::query::Query;
use crate::index::Pieces;

/// The most characters of a name after its first.
const LONGEST: usize = 127;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCallback {
    #[error("callback is a name of a function, such as f or a.b, of at most 128 characters")]
    Name,
    #[error("every web page could read this: with http.cors = * only")]
    Private,
}

/// The function that a query names, if it names one.
pub(super) fn callback(query: &Query, cors: &Cors) -> Result<Option<String>, NoCallback> {
    let Some(name) = query.one("callback").map_err(|_| NoCallback::Name)? else { return Ok(None) };
    if !is_name(name) {
        return Err(NoCallback::Name);
    }
    if *cors != Cors::Any {
        return Err(NoCallback::Private);
    }
    Ok(Some(name.to_owned()))
}

/// `[A-Za-z_$][\w$.]{0,127}`, and nothing that a script could be written with.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.');
    first && text.len() <= LONGEST + 1 && characters.all(plain)
}

impl NoCallback {
    pub(super) fn respond(&self) -> Response<Body> {
        let status = match self {
            Self::Name => StatusCode::BAD_REQUEST,
            Self::Private => StatusCode::FORBIDDEN,
        };
        (status, format!("{self}\n")).into_response()
    }
}

/// `F(…);`, written beside the reactor: the largest documents have megabytes.
pub(super) async fn respond(function: String, document: Pieces, age: &'static str) -> Response<Body> {
    let Ok(body) = spawn_blocking(move || write(&function, document)).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static(age)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (fields, body).into_response()
}

fn write(function: &str, document: Pieces) -> Bytes {
    let mut body = BytesMut::with_capacity(document.left() + function.len() + 3);
    body.extend_from_slice(function.as_bytes());
    body.extend_from_slice(b"(");
    let mut text = BytesMut::with_capacity(document.left());
    document.for_each(|piece| text.extend_from_slice(&piece));
    script(&mut body, &text);
    body.extend_from_slice(b");");
    body.into()
}

/// JSON as a script of before 2019 takes it too: U+2028 and U+2029 ended its lines. In JSON they stand in strings only.
fn script(out: &mut BytesMut, json: &[u8]) {
    let mut from = 0;
    for at in memmem::find_iter(json, b"\xe2\x80") {
        let escaped: &[u8] = match json.get(at + 2) {
            Some(0xa8) => b"\\u2028",
            Some(0xa9) => b"\\u2029",
            Some(_) | None => continue,
        };
        out.extend_from_slice(&json[from..at]);
        out.extend_from_slice(escaped);
        from = at + 3;
    }
    out.extend_from_slice(&json[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_called() {
        for good in ["f", "$", "_a.b$1", &"f".repeat(128)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "1a",
            ".a",
            "a b",
            "a(",
            "a;",
            "alert(1)//",
            "a[0]",
            "<script>",
            "é",
            "a\n",
            "a-b",
            &"f".repeat(129),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_script_has_no_line_that_json_does_not_have() {
        let mut out = BytesMut::new();
        script(&mut out, "\"a\u{2028}b\u{2029}\u{2027}€\u{2028}\"".as_bytes());
        assert_eq!(out, "\"a\\u2028b\\u2029\u{2027}€\\u2028\"".as_bytes());
    }
}
