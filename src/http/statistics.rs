//! Reports of downloads: `/local-stats/` as mirrors of old gave them to their collector, `/stats/` with what was collected
//! (docs/wire.md section 9).

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::conditions::matches;
use super::origin::Origins;
use crate::stats::{Day, Month, Period, Stats, StatsError};

/// A sealed day never changes.
const FOR_EVER: &str = "max-age=31536000, immutable";
/// The others grow.
const ASK: &str = "no-cache";

#[derive(Clone)]
struct Shared {
    stats: Stats,
    origins: Origins,
}

/// The routes of reports.
pub(super) fn routes(stats: Stats, origins: Origins) -> Router {
    let mut routes = Router::new()
        .route("/local-stats/", get(|| async { page("Downloads", ["days/".to_owned()]) }))
        .route("/local-stats/days/", get(sealed_days))
        .route("/local-stats/days/{file}", get(sealed))
        .route("/stats/", get(|| async { page("Downloads", ["days/".to_owned(), "months/".to_owned()]) }))
        .route("/stats/days/", get(days))
        .route("/stats/days/{file}", get(day))
        .route("/stats/months/", get(months))
        .route("/stats/months/{file}", get(month));
    for folder in ["/local-stats", "/local-stats/days", "/stats", "/stats/days", "/stats/months"] {
        routes = routes.route(folder, get(with_slash));
    }
    routes.with_state(Shared { stats, origins })
}

/// 301 to the same path with a `/`: the links of the page are relative to it.
async fn with_slash(State(shared): State<Shared>, request: Parts) -> Response {
    let path = format!("{}/", request.uri.path());
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, shared.origins.link(&request, &path))]).into_response()
}

async fn sealed_days(State(shared): State<Shared>) -> Result<Response, StatsError> {
    let days = shared.stats.sealed_days().await?;
    Ok(page("Downloads from this relay by day", days.iter().map(|day| format!("{day}.bz2"))))
}

async fn days(State(shared): State<Shared>) -> Result<Response, StatsError> {
    let days = shared.stats.published_days().await?;
    Ok(page("Downloads by day", days.iter().map(|day| format!("{day}.bz2"))))
}

async fn months(State(shared): State<Shared>) -> Result<Response, StatsError> {
    let mut months: Vec<Month> = shared.stats.published_days().await?.into_iter().map(Month::of).collect();
    months.dedup();
    Ok(page("Downloads by month", months.iter().map(|month| format!("{month}.bz2"))))
}

/// A page of links, as a collector of old reads it: `href="2026-01-31.bz2"`.
fn page(title: &str, links: impl IntoIterator<Item = String>) -> Response {
    let links = links.into_iter().map(|link| format!("<li><a href=\"{link}\">{link}</a></li>\n"));
    let links: Vec<String> = links.collect();
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>\n<h1>{title}</h1>\n<ul>\n{}</ul>\n</body></html>\n",
        links.concat()
    );
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, ASK)], page).into_response()
}

async fn sealed(
    State(shared): State<Shared>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatsError> {
    let Some(day) = named::<Day>(&file) else { return Ok(nothing()) };
    let Some(report) = shared.stats.sealed_report(day).await? else { return Ok(nothing()) };
    let stats = shared.stats.clone();
    let parts = try_unfold(0, move |part| {
        let stats = stats.clone();
        async move {
            let bytes = stats.sealed_part(day, part).await?;
            Ok::<_, StatsError>(bytes.map(|bytes| (Bytes::from(bytes), part + 1)))
        }
    });
    Ok(answer(&headers, &report.sha256, report.length, FOR_EVER, parts))
}

async fn day(
    State(shared): State<Shared>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatsError> {
    published(&shared, &headers, named(&file).map(Period::Day)).await
}

async fn month(
    State(shared): State<Shared>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatsError> {
    published(&shared, &headers, named(&file).map(Period::Month)).await
}

async fn published(
    shared: &Shared,
    headers: &HeaderMap,
    period: Option<Period>,
) -> Result<Response, StatsError> {
    let Some(period) = period else { return Ok(nothing()) };
    let Some(report) = shared.stats.published(period).await? else { return Ok(nothing()) };
    let (length, version) = (report.length, report.version.clone());
    let pieces = try_unfold(0, move |at| {
        let report = report.clone();
        async move {
            let piece = report.read(at).await?;
            let next = at + piece.len() as u64;
            Ok::<_, StatsError>((!piece.is_empty()).then(|| (Bytes::from(piece), next)))
        }
    });
    Ok(answer(headers, &version, length, ASK, pieces))
}

/// What a report's name stands for.
fn named<T: std::str::FromStr>(file: &str) -> Option<T> {
    file.strip_suffix(".bz2")?.parse().ok()
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "no such report\n").into_response()
}

/// A report is compressed by itself: a coding of the answer's would have clients unpack it.
fn answer(
    headers: &HeaderMap,
    version: &str,
    length: u64,
    age: &'static str,
    body: impl Stream<Item = Result<Bytes, StatsError>> + Send + 'static,
) -> Response {
    let etag = format!("\"{version}\"");
    if matches(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag), (CACHE_CONTROL, age.to_owned())]).into_response();
    }
    let head = [
        (CONTENT_TYPE, "application/x-bzip2".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (ETAG, etag),
        (CACHE_CONTROL, age.to_owned()),
    ];
    (head, Body::from_stream(body)).into_response()
}
