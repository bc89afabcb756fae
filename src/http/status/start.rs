//! `/` for browsers: what this is, how to use it, how current it is, what happened last.

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};

use super::inputs::KeptFiles;
use super::layout::{Page, Site};
use super::shared::Inner;
use super::state::State;
use super::{events, state, usage};
use crate::http::admin::Readiness;
use crate::model::Event;
use crate::stats::LEADERS;

/// Projects whose downloads are shown.
const TOP: usize = 10;

/// What the page shows.
struct Start {
    origin: String,
    /// Reading needs a token.
    closed: bool,
    readiness: Readiness,
    kept: KeptFiles,
    /// `None` where nothing is counted.
    top: Option<Result<Vec<(String, u64)>, String>>,
    events: Result<Vec<Event>, String>,
}

/// The page. Each part of it says itself what could not be read.
pub(super) async fn answer(inner: &Inner, request: &Parts) -> Response {
    let inputs = &inner.inputs;
    let top = async { Some(inputs.top_lately.as_ref()?.of(TOP).await) };
    let newest = inputs.newest_events.of(events::SHOWN);
    let (readiness, top, events) = tokio::join!(inner.admin.readiness(), top, newest);
    let kept = (inputs.kept_files)();
    let (origin, closed) = (inner.origins.of(request), (inputs.is_closed)());
    let start = Start { origin, closed, readiness, kept, top, events };
    let site = inner.site(request);
    let page = Page { title: "cheesewire", question: "", content: start.write(&site), live: true };
    site.respond(StatusCode::OK, "no-store", &page)
}

impl Start {
    fn write(self, site: &Site<'_>) -> Markup {
        let state = State::read(self.readiness);
        html! {
            h1 { "cheesewire" }
            p {
                "This is a relay of a Python package index: pip, uv and mirrors use it in place of the index, and old programs "
                "find the XML-RPC methods here that the index has given up. It keeps the files that were asked for, and "
                "what the index removes is gone here too."
            }
            @match &state {
                Ok((unready, state)) => {
                    (state::readiness(unready))
                    h2 { "How current it is" }
                    (state.table())
                }
                Err(error) => p.warn { "The state cannot be told: " (error) },
            }
            h2 { "Newest events" }
            (events::table(site, &self.events))
            h2 { "Kept files" }
            (state::kept(self.kept))
            @if let Some(top) = &self.top {
                h2 { "Downloads from here" }
                (downloads(site, top))
            }
            h2 { "Use it" }
            (usage::lines(&self.origin, self.closed))
            @if let Ok((_, state)) = &state { p.quiet { "cheesewire " (state.version()) } }
        }
    }
}

fn downloads(site: &Site<'_>, top: &Result<Vec<(String, u64)>, String>) -> Markup {
    html! {
        @match top {
            Err(reason) => p.warn { "They cannot be read: " (reason) },
            Ok(top) if top.is_empty() => p { "None today or in the seven days before." },
            Ok(top) => table {
                caption {
                    "Today and in the seven days before, of the " (LEADERS) " projects with most downloads in all"
                }
                thead { tr { th scope="col" { "Project" } th.number scope="col" { "Downloads" } } }
                tbody {
                    @for (name, count) in top { tr { td { (site.project(name)) } td.number { (count) } } }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::origin::Origins;

    #[test]
    fn what_cannot_be_read_is_said_and_the_rest_is_shown() {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(None, "127.0.0.1:3141".parse().unwrap());
        let site = Site { origins: &origins, request: &request };
        let start = |top| Start {
            origin: "http://relay.test".to_owned(),
            closed: false,
            readiness: Readiness { unready: vec![], state: json!({}) },
            kept: KeptFiles { bytes: 0, max_bytes: 1, counted: true },
            top,
            events: Err("the <journal> is damaged".to_owned()),
        };
        let mut odd = start(None);
        odd.readiness.state = json!({"version": "1", "last_serial": "<i>"});
        let odd = odd.write(&site).into_string();
        assert!(odd.contains("&lt;i&gt;") && !odd.contains("<i>"), "{odd}");
        let failed = start(Some(Err("the <file> failed".to_owned()))).write(&site).into_string();
        for text in [
            "The state cannot be told",
            "the &lt;journal&gt; is damaged",
            "the &lt;file&gt; failed",
            "Use it",
        ] {
            assert!(failed.contains(text), "{text}: {failed}");
        }
        let odd = start(Some(Ok(vec![("<b>".to_owned(), 3), ("Wire.Core".to_owned(), 2)])))
            .write(&site)
            .into_string();
        assert!(odd.contains("<td>&lt;b&gt;</td><td class=\"number\">3</td>"), "{odd}");
        assert!(odd.contains("<a href=\"/project/wire-core/\">Wire.Core</a>"), "{odd}");
        assert!(start(Some(Ok(vec![]))).write(&site).into_string().contains("None today"));
        assert!(!start(None).write(&site).into_string().contains("Downloads from here"));
    }

    #[test]
    fn headings_descend_one_by_one() {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(None, "127.0.0.1:3141".parse().unwrap());
        let start = Start {
            origin: "http://relay.test".to_owned(),
            closed: false,
            readiness: Readiness { unready: vec![], state: json!({}) },
            kept: KeptFiles { bytes: 0, max_bytes: 1, counted: true },
            top: Some(Ok(vec![])),
            events: Ok(vec![]),
        };
        let page = start.write(&Site { origins: &origins, request: &request }).into_string();
        let levels: Vec<u32> =
            page.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
        assert_eq!((levels[0], levels.iter().filter(|level| **level == 1).count()), (1, 1), "{levels:?}");
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }
}
