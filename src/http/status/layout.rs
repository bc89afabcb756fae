//! What all status pages have in common: head, search form, style, and what a browser may do with them.

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::http::origin::Origins;
use crate::model::ProjectName;

/// Where a search is asked for.
pub(in crate::http) const SEARCH: &str = "/search/";
/// What the page of a project is below.
pub(in crate::http) const PROJECT: &str = "/project/";

/// The one style, and the one script; each stands in a page as it is, and is allowed by its digest.
const STYLE: &str = include_str!("style.css");
const LIVE: &str = include_str!("live.js");

/// Nothing is loaded from anywhere, and nothing runs but what was written here.
static QUIET: LazyLock<HeaderValue> = LazyLock::new(|| policy(""));
static ACTIVE: LazyLock<HeaderValue> =
    LazyLock::new(|| policy(&format!("script-src {}; connect-src 'self'; ", digest(LIVE))));

/// Where a page's links lead.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) origins: &'a Origins,
    pub(super) request: &'a Parts,
}

/// A status page.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    /// What stands in the search form.
    pub(super) question: &'a str,
    pub(super) content: Markup,
    /// Its table of events is live.
    pub(super) live: bool,
}

impl Site<'_> {
    /// The address of a path of ours.
    pub(super) fn link(&self, path: &str) -> String {
        self.origins.link(self.request, path)
    }

    /// A project's name with a link to its page, if it can be a project's name.
    pub(super) fn project(&self, name: &str) -> Markup {
        let address = ProjectName::parse(name).map(|normal| self.link(&format!("{PROJECT}{normal}/")));
        html! { @if let Ok(address) = address { a href=(address) { (name) } } @else { (name) } }
    }

    /// The page as an answer. `age`: for caches on the way.
    pub(super) fn respond(&self, status: StatusCode, age: &'static str, page: &Page<'_>) -> Response {
        let policy = if page.live { &ACTIVE } else { &QUIET };
        let fields = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, LazyLock::force(policy).clone()),
            (CACHE_CONTROL, HeaderValue::from_static(age)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (status, fields, self.write(page).into_string()).into_response()
    }

    fn write(&self, page: &Page<'_>) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    title { (page.title) }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // Each page of a project that a crawler reads would be a question to upstream.
                    meta name="robots" content="noindex, nofollow";
                    // Or browsers ask for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { (self.navigation()) (self.form(page.question)) }
                    main { (page.content) }
                    @if page.live { script { (PreEscaped(LIVE)) } }
                }
            }
        }
    }

    fn navigation(&self) -> Markup {
        let pages = [
            ("/", "Status"),
            ("/simple/", "All projects"),
            ("/stats/", "Downloads"),
            ("/metrics", "Metrics"),
            ("/readyz", "State as JSON"),
        ];
        html! {
            nav aria-label="Pages" {
                ul { @for (path, what) in pages { li { a href=(self.link(path)) { (what) } } } }
            }
        }
    }

    fn form(&self, question: &str) -> Markup {
        html! {
            form role="search" method="get" action=(self.link(SEARCH)) {
                label for="q" { "Find a project" }
                input #q type="search" name="q" value=(question);
                button { "Search" }
            }
        }
    }
}

/// A table that is wider than a small screen can be moved, by keys as well.
pub(super) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.wide role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// A table of what is so: a row for each fact.
pub(super) fn facts(caption: &str, rows: &[(&str, Markup)]) -> Markup {
    html! {
        table.facts {
            caption { (caption) }
            tbody { @for (what, fact) in rows { tr { th scope="row" { (what) } td { (fact) } } } }
        }
    }
}

fn policy(more: &str) -> HeaderValue {
    let text = format!(
        "default-src 'none'; style-src {}; {more}img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE)
    );
    // It is ASCII; without one a browser would take everything.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(live: bool) -> (String, String) {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(None, "127.0.0.1:3141".parse().unwrap());
        let odd = "\"'><script>alert(1)</script>&";
        let page = Page { title: odd, question: odd, content: html! { h1 { (odd) } }, live };
        let policy = if live { &ACTIVE } else { &QUIET };
        let site = Site { origins: &origins, request: &request };
        (site.write(&page).into_string(), policy.to_str().unwrap().to_owned())
    }

    /// The text of each element of that name.
    fn elements<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        page.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap()).collect()
    }

    #[test]
    fn exactly_what_stands_in_the_page_is_allowed_by_its_digest() {
        for live in [false, true] {
            let (page, policy) = written(live);
            let (styles, scripts) = (elements(&page, "style"), elements(&page, "script"));
            assert_eq!((styles.len(), scripts.len()), (1, usize::from(live)));
            assert!(policy.contains(&format!("style-src {};", digest(styles[0]))), "{policy}");
            for script in scripts {
                assert!(policy.contains(&format!("script-src {};", digest(script))), "{policy}");
            }
            assert_eq!(policy.contains("script-src"), live, "{policy}");
            let mut rules: Vec<&str> = policy.split("; ").filter(|rule| !rule.contains("'sha256-")).collect();
            rules.sort_unstable();
            let bare = vec![
                "base-uri 'none'",
                "default-src 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "img-src data:",
            ];
            let wanted = if live { [&bare[..1], &["connect-src 'self'"], &bare[1..]].concat() } else { bare };
            assert_eq!(rules, wanted);
            // No attribute is code or style: neither would be allowed.
            let body = page.split("<body>").nth(1).unwrap().split("<script>").next().unwrap();
            for tag in body.split('<').filter_map(|rest| rest.split('>').next()) {
                let mut words = tag.split_whitespace();
                assert!(!words.any(|word| word.starts_with("on") || word.starts_with("style=")), "{tag}");
            }
        }
    }

    #[test]
    fn titles_and_questions_are_text() {
        let (page, _) = written(false);
        assert!(!page.contains("<script") && !page.contains("\"'>"), "{page}");
        assert_eq!(page.matches("&gt;&lt;script&gt;alert(1)").count(), 3, "{page}");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for text in [STYLE, LIVE, &written(true).0] {
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("url("), "{text}");
            assert!(!text.contains("innerHTML") && !text.contains("eval("), "{text}");
        }
    }
}
