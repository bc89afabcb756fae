//! Which web pages may read what the index answers (CORS): installers that run in a browser, such as micropip, ask from
//! the page that they are part of.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::http::header::{
    ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

use super::fields::{X_CACHE, X_LAST_SERIAL};
use crate::model::setting_by_text;

/// How long a browser may remember that a request is allowed: a day, as PyPI says.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Fields of requests that need leave: those that PyPI lists, and those of parts of files.
const ASKED: [HeaderName; 7] =
    [CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// Fields of answers that a page may read: PyPI's serial, and what our answers have besides those that every page may read.
const TOLD: [HeaderName; 8] =
    [X_LAST_SERIAL, X_CACHE, ETAG, ACCEPT_RANGES, CONTENT_RANGE, CONTENT_LENGTH, RETRY_AFTER, AGE];

/// The web pages that may read pages, documents and files. As a text: `*`, `none`, or origins with commas between, such as
/// `https://lab.test, http://localhost:8888`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// All, as with PyPI.
    #[default]
    Any,
    /// Those of these origins. None of them: no page may.
    Only(Vec<HeaderValue>),
}

impl Cors {
    /// Adds the fields to every answer of the routes, and answers `OPTIONS`. Where no page may read anything the routes stay
    /// as they are.
    pub(super) fn around(&self, routes: Router) -> Router {
        let layer = CorsLayer::new().allow_methods([Method::GET, Method::HEAD]).allow_headers(ASKED);
        let layer = layer.expose_headers(TOLD).max_age(MAX_AGE);
        match self {
            // The same to everybody, so it varies with nothing.
            Self::Any => routes.route_layer(layer.vary([]).allow_origin(tower_http::cors::Any)),
            Self::Only(origins) if origins.is_empty() => routes,
            Self::Only(origins) => {
                routes.route_layer(layer.vary([ORIGIN]).allow_origin(AllowOrigin::list(origins.clone())))
            }
        }
    }

    /// Whether a request gets the same fields as one that comes from no web page.
    pub(super) fn same_for(&self, request: &HeaderMap) -> bool {
        *self == Self::Any || !request.contains_key(ORIGIN)
    }
}

setting_by_text! {
    Cors: "*, none, or origins with commas between, such as https://lab.test, http://localhost:8888";
}

impl FromStr for Cors {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "*" => Ok(Self::Any),
            "none" => Ok(Self::Only(vec![])),
            _ => text.split(',').map(|one| origin(one.trim())).collect::<Result<_, _>>().map(Self::Only),
        }
    }
}

/// An origin as browsers write it: without a path, and without the port if it is the scheme's.
fn origin(text: &str) -> Result<HeaderValue, ()> {
    let url = Url::parse(text).map_err(|_| ())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(());
    }
    match url.origin().ascii_serialization() {
        opaque if opaque == "null" => Err(()),
        origin => origin.parse().map_err(|_| ()),
    }
}

impl fmt::Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(origins) if origins.is_empty() => f.write_str("none"),
            Self::Only(origins) => {
                let origins: Vec<_> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
                f.write_str(&origins.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_send_them_and_written_back() {
        for (text, written) in [
            ("*", "*"),
            ("none", "none"),
            ("https://Lab.test:443/,http://localhost:8888", "https://lab.test, http://localhost:8888"),
        ] {
            let cors: Cors = text.parse().unwrap();
            assert_eq!(cors.to_string(), written);
            assert_eq!(written.parse::<Cors>(), Ok(cors));
        }
        for wrong in [
            "",
            "lab.test",
            "https://lab.test/a",
            "https://u@lab.test",
            "https://lab.test?a",
            "null",
            "file:///",
            "*, https://lab.test",
            "https://lab.test,",
        ] {
            assert_eq!(wrong.parse::<Cors>(), Err(()), "{wrong}");
        }
    }
}
