//! `/search/?q=…`: the projects whose name or summary matches, as `pip search` finds them.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{Page, Site};
use super::shared::{ASK, StatusPages};
use super::words::count;
use crate::http::query::Query;
use crate::rpc::{HITS, Hit, SearchError};
use crate::xmlrpc::whole_seconds;

/// When to come back for what never comes as things are: an hour, as nothing in HTTP says "never".
const NEVER: Duration = Duration::from_hours(1);

pub(super) async fn answer(State(pages): State<StatusPages>, request: Parts) -> Response {
    let query = Query::read(request.uri.query());
    let site = pages.0.site(&request);
    let respond = |status, question: &str, content: &Markup| {
        let title = if question.is_empty() {
            "Search – cheesewire"
        } else {
            &format!("Search: {question} – cheesewire")
        };
        let content = html! { h1 { "Search" } (content) };
        site.respond(status, ASK, &Page { title, question, content, live: false })
    };
    let question = match query.one("q") {
        Ok(question) => question.unwrap_or_default().trim(),
        Err(doubled) => {
            return respond(StatusCode::BAD_REQUEST, "", &html! { p.warn { (doubled) } });
        }
    };
    if question.is_empty() {
        let hint = html! { p { "Words of a project's name, or of its summary." } };
        return respond(StatusCode::OK, "", &hint);
    }
    match pages.0.rpc.find_projects(question).await {
        Ok(hits) => respond(StatusCode::OK, question, &results(&site, question, &hits)),
        Err(error) => {
            let (status, retry, reason) = failure(&error);
            let mut response = respond(status, question, &html! { p.warn { (reason) } });
            if let Some(retry) = retry {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry)));
            }
            response
        }
    }
}

fn results(site: &Site<'_>, question: &str, hits: &[Hit]) -> Markup {
    html! {
        p role="status" {
            (count(hits.len(), "project")) " whose name or summary matches “" (question) "”"
            @if hits.len() >= HITS { ": the first " (HITS) "; there may be more" }
            ". At most " (HITS) " are shown. Summaries are known of projects whose documents were read here."
        }
        @if !hits.is_empty() {
            table {
                caption { "The closest names first" }
                thead {
                    tr {
                        th scope="col" { "Project" }
                        th scope="col" { "Version" }
                        th scope="col" { "Summary" }
                    }
                }
                tbody {
                    @for hit in hits {
                        tr {
                            td { (site.project(&hit.name)) }
                            td { @if hit.version.is_empty() { span.quiet { "not known" } } @else { (hit.version) } }
                            td { (hit.summary) }
                        }
                    }
                }
            }
        }
    }
}

/// Status, when to come back, and why there is no answer; never our insides.
fn failure(error: &SearchError) -> (StatusCode, Option<Duration>, String) {
    let later = StatusCode::SERVICE_UNAVAILABLE;
    match error {
        SearchError::TooManyWords(_) => (StatusCode::BAD_REQUEST, None, error.to_string()),
        SearchError::Unknown(wanted) => (later, Some(wanted.retry.unwrap_or(NEVER)), error.to_string()),
        SearchError::Late(retry) => (later, Some(*retry), error.to_string()),
        SearchError::Journal(cause) => {
            tracing::error!(%cause, "a search failed");
            (StatusCode::INTERNAL_SERVER_ERROR, None, "the relay failed".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::origin::Origins;
    use crate::journal::JournalError;

    fn shown(question: &str, hits: &[Hit]) -> String {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(None, "127.0.0.1:3141".parse().unwrap());
        results(&Site { origins: &origins, request: &request }, question, hits).into_string()
    }

    fn hit(name: &str, text: &str) -> Hit {
        let (name, version, summary) = (name.to_owned(), text.to_owned(), text.to_owned());
        Hit { name, version, summary, told: true }
    }

    #[test]
    fn nothing_of_a_hit_or_of_the_question_is_markup() {
        let odd = "<script>\"&</script>";
        let page = shown(odd, &[hit(odd, odd), hit("Wire.Core", "")]);
        assert!(!page.contains("<script") && !page.contains("\"&<"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;&quot;&amp;&lt;/script&gt;").count(), 4, "{page}");
        assert!(page.contains("<a href=\"/project/wire-core/\">Wire.Core</a>"), "{page}");
        assert!(page.contains("not known"), "{page}");
    }

    #[test]
    fn a_failure_of_our_own_is_told_without_its_reason() {
        let ours = SearchError::Journal(JournalError::InUse { path: "/srv/relay".into() });
        assert_eq!(failure(&ours), (StatusCode::INTERNAL_SERVER_ERROR, None, "the relay failed".to_owned()));
    }

    #[test]
    fn that_there_may_be_more_is_said_where_it_is_so() {
        let hits = vec![hit("a", "1"); HITS];
        assert!(shown("a", &hits).contains("there may be more"));
        let fewer = shown("a", &hits[1..]);
        assert!(!fewer.contains("there may be more") && fewer.contains("At most 100 are shown"), "{fewer}");
        assert!(!shown("a", &[]).contains("<table"));
    }
}
