//! DOAP records: by `:action`, and `/pypi/NAME/doap`, `/pypi/NAME/VERSION/doap`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use axum::routing::get;

use crate::http::fields::JSON_AGE;
use crate::index::IndexError;
use crate::model::ProjectName;
use crate::rpc::{DoapRecord, OldAddresses};

pub(super) fn routes(old: OldAddresses) -> Router {
    Router::new()
        .route("/pypi/{name}/doap", get(of_project))
        .route("/pypi/{name}/doap/", get(of_project))
        .route("/pypi/{name}/{version}/doap", get(of_release))
        .route("/pypi/{name}/{version}/doap/", get(of_release))
        .with_state(old)
}

async fn of_project(State(old): State<OldAddresses>, Path(name): Path<String>) -> Response<Body> {
    by_name(&old, &name, None).await
}

async fn of_release(
    State(old): State<OldAddresses>,
    Path((name, version)): Path<(String, String)>,
) -> Response<Body> {
    by_name(&old, &name, Some(&version)).await
}

async fn by_name(old: &OldAddresses, name: &str, version: Option<&str>) -> Response<Body> {
    match ProjectName::parse(name) {
        Ok(name) => answer(old, &name, version).await,
        Err(_) => unknown(),
    }
}

pub(super) async fn answer(old: &OldAddresses, name: &ProjectName, version: Option<&str>) -> Response<Body> {
    match old.doap(name, version).await {
        Ok(DoapRecord { body, filename }) => {
            let disposition = format!("attachment; filename={filename}");
            let kind = "text/xml; charset=\"UTF-8\"".to_owned();
            let fields = [
                (CONTENT_TYPE, kind),
                (CONTENT_DISPOSITION, disposition),
                (CACHE_CONTROL, JSON_AGE.to_owned()),
            ];
            (fields, body).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// What can be no project's name.
pub(super) fn unknown() -> Response<Body> {
    IndexError::NoSuchProject.into_response()
}
