//! `PURGE` by an administrator: what is kept for an address is not used any more. For all others it is 200 and changes nothing
//! (docs/wire.md section 7).

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::files::path_of;
use crate::index::Index;
use crate::model::{FilePath, ProjectName};
use crate::relay::Relay;

/// What can be purged.
pub(super) struct Purge {
    index: Index,
    relay: Relay,
}

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    File(FilePath),
    Page(ProjectName),
    Json(ProjectName, Option<String>),
}

impl Purge {
    pub(super) fn new(index: Index, relay: Relay) -> Self {
        Self { index, relay }
    }

    /// Purges an address, if it names anything that may be kept. A failure is logged: whoever purges is answered with 200.
    pub(super) async fn address(&self, uri: &Uri) {
        let Some(named) = named(uri) else { return };
        let purged = match &named {
            Named::File(path) => self.relay.purge(path).await.map_err(|error| error.to_string()),
            Named::Page(name) => self.index.doubt_page(name).await.map_err(|error| error.to_string()),
            Named::Json(name, version) => {
                self.index.doubt_json(name, version.as_deref()).await.map_err(|error| error.to_string())
            }
        };
        match purged {
            Ok(()) => tracing::info!(path = uri.path(), "an administrator purged it"),
            Err(reason) => tracing::warn!(path = uri.path(), reason, "it could not be purged"),
        }
    }
}

fn named(uri: &Uri) -> Option<Named> {
    if uri.path().starts_with("/packages/") {
        return path_of(uri).ok().map(Named::File);
    }
    let segments: Vec<_> = uri.path().trim_matches('/').split('/').collect();
    let name = |text: &str| ProjectName::parse(&percent_decode_str(text).decode_utf8().ok()?).ok();
    match segments[..] {
        ["simple", project] => name(project).map(Named::Page),
        ["pypi", project, "json"] => Some(Named::Json(name(project)?, None)),
        ["pypi", project, version, "json"] => {
            let version = percent_decode_str(version).decode_utf8().ok()?.into_owned();
            Some(Named::Json(name(project)?, Some(version)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_file_a_page_or_a_document() {
        let named = |path: &str| named(&path.parse().unwrap());
        let project = || ProjectName::parse("a-b").unwrap();
        assert_eq!(named("/simple/A_b/"), Some(Named::Page(project())));
        assert_eq!(named("/pypi/a.b/json"), Some(Named::Json(project(), None)));
        assert_eq!(named("/pypi/a.b/1%2B2/json"), Some(Named::Json(project(), Some("1+2".to_owned()))));
        assert_eq!(named("/packages/x/y.whl"), Some(Named::File(FilePath::parse("x/y.whl").unwrap())));
        for none in [
            "/",
            "/simple/",
            "/pypi",
            "/pypi/json",
            "/packages/",
            "/packages/../a",
            "/simple/a/b/",
            "/metrics",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
    }
}
