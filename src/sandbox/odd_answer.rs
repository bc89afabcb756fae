//! Odd answers: made as always, then edited. The validator is that of the edited one.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Response, header};

use super::body::{Body, whole};
use super::odd::{Odd, Oddity};
use super::respond::{RequestHead, etag_of, not_modified, set};
use super::{odd_json, odd_rows};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Edits an answer. One that cannot be read to its end is left to fail as it does.
pub(super) async fn apply(
    oddities: Vec<Oddity>,
    asked: &RequestHead<'_>,
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
