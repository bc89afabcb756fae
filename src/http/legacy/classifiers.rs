//! `list_classifiers`: one a line.

use axum::body::Body;
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;

use crate::rpc::OldAddresses;

pub(super) async fn answer(old: &OldAddresses) -> Response<Body> {
    match old.classifiers().await {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Err(error) => error.into_response(),
    }
}
