//! The newest events: a table as of now, on top of which a script puts what the feed tells.

use maud::{Markup, html};

use super::layout::{PROJECT, Site, wide};
use super::words::moment;
use crate::http::feed;
use crate::model::Event;

/// Events that the page has when it is loaded.
pub(super) const SHOWN: usize = 20;
/// Rows that the table never has more of.
const MOST: usize = 100;

/// The table, or why there is none.
pub(super) fn table(site: &Site<'_>, events: &Result<Vec<Event>, String>) -> Markup {
    let (events, failure) = match events {
        Ok(events) => (events.as_slice(), None),
        Err(reason) => (&[][..], Some(reason)),
    };
    let last = events.iter().map(|event| event.serial).max();
    let table = html! {
        table #events data-feed=(site.link(feed::PATH)) data-project=(site.link(PROJECT)) data-most=(MOST)
            data-last=[last] {
            caption { "The newest events that are known here, the newest on top; times are UTC" }
            thead {
                tr {
                    th.number.minor scope="col" { "Serial" }
                    th scope="col" { "Time" }
                    th scope="col" { "Project" }
                    th scope="col" { "Version" }
                    th scope="col" { "What happened" }
                }
            }
            tbody aria-live="polite" aria-relevant="additions" { @for event in events { (row(site, event)) } }
        }
    };
    html! {
        @if let Some(reason) = failure { p.warn { "The events cannot be read: " (reason) } }
        p #live.quiet role="status" { "As of the moment when this page was loaded." }
        (wide("Newest events", &table))
    }
}

fn row(site: &Site<'_>, event: &Event) -> Markup {
    html! {
        tr {
            td.number.minor { (event.serial) }
            td.time { (moment(event.time)) }
            td { (site.project(&event.name)) }
            td { @if let Some(version) = &event.version { (version) } }
            td { (event.action) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::origin::Origins;
    use crate::model::Serial;

    fn shown(public: Option<&str>, events: &Result<Vec<Event>, String>) -> String {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(public, "127.0.0.1:3141".parse().unwrap());
        table(&Site { origins: &origins, request: &request }, events).into_string()
    }

    fn event(serial: i64, name: &str) -> Event {
        let odd = "<script>\"&</script>";
        let (version, action) = (Some(odd.to_owned()), odd.to_owned());
        Event { serial: Serial(serial), name: name.to_owned(), version, time: 0, action }
    }

    #[test]
    fn nothing_that_an_event_says_is_markup_and_only_names_are_links() {
        let page = shown(None, &Ok(vec![event(8, "Wire_Core"), event(7, "\"><script>x")]));
        assert!(!page.contains("<script") && !page.contains("\"&<"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;&quot;&amp;&lt;/script&gt;").count(), 4, "{page}");
        assert!(page.contains("<a href=\"/project/wire-core/\">Wire_Core</a>"), "{page}");
        assert_eq!(page.matches("<a ").count(), 1, "{page}");
    }

    #[test]
    fn the_script_goes_on_behind_the_last_event_that_is_shown() {
        let page = shown(Some("https://relay.test/index/"), &Ok(vec![event(8, "a"), event(7, "b")]));
        assert!(page.contains("data-last=\"8\""), "{page}");
        // Where the relay is below a path, so is its feed.
        assert!(page.contains("data-feed=\"https://relay.test/index/journal/events\""), "{page}");
        assert!(!shown(None, &Ok(vec![])).contains("data-last"));
        let failed = shown(None, &Err("it is <damaged>".to_owned()));
        assert!(failed.contains("it is &lt;damaged&gt;") && failed.contains("<table"), "{failed}");
    }
}
