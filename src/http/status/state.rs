//! How current the relay is and how it is, as `/readyz` tells it too.

use maud::{Markup, html};
use serde::Deserialize;

use super::inputs::KeptFiles;
use super::layout::facts;
use super::words::{age, bytes, count};
use crate::http::admin::Readiness;

/// What of the state is shown. Names are those of `/readyz`.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    version: String,
    last_serial: Option<i64>,
    following: String,
    upstream: Upstream,
    history: History,
    journal: Journal,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    last_serial: Option<i64>,
    seconds_since_success: Option<u64>,
    failures: u64,
    last_error: Option<String>,
    behind: Option<i64>,
    unbelieved: Option<i64>,
    listings: bool,
    untold: Option<String>,
}

#[derive(Debug, Deserialize)]
struct History {
    missing_serials: Option<i64>,
    last_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Journal {
    seconds_unwritable: Option<u64>,
    last_write_error: Option<String>,
}

impl State {
    /// Reads what `/readyz` would answer.
    pub(super) fn read(readiness: Readiness) -> Result<(Vec<String>, Self), serde_json::Error> {
        Ok((readiness.unready, serde_json::from_value(readiness.state)?))
    }

    /// The version that runs.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Rows of what is known of upstream, and how.
    pub(super) fn table(&self) -> Markup {
        let upstream = &self.upstream;
        let mut rows = vec![
            ("Last serial", self.head()),
            ("Upstream was heard", self.heard()),
            ("Upstream is followed by", self.followed()),
            ("Failures since then", html! { (upstream.failures) }),
        ];
        if let Some(error) = &upstream.last_error {
            let over = if upstream.failures == 0 { " (it is over)" } else { "" };
            rows.push(("Last failure", html! { (error) (over) }));
        }
        if let Some(reason) = &upstream.untold {
            rows.push(("What changes is not told", html! { span.warn { (reason) } }));
        }
        if let Some(behind) = upstream.behind {
            rows.push((
                "Upstream is behind",
                html! { "its last serial is " (behind) ", which is lower than it was" },
            ));
        }
        if let Some(unbelieved) = upstream.unbelieved {
            rows.push((
                "Not believed",
                html! { "upstream's last serial " (unbelieved) ", which is too high" },
            ));
        }
        rows.push(("Earlier history", self.earlier()));
        if let Some(seconds) = self.journal.seconds_unwritable {
            let reason = self.journal.last_write_error.as_deref().unwrap_or("the reason is in the log");
            rows.push((
                "The journal",
                html! { span.warn { "takes no writes for " (age(seconds)) ": " (reason) } },
            ));
        }
        facts("What is known of upstream", &rows)
    }

    fn head(&self) -> Markup {
        html! {
            @match self.last_serial {
                Some(serial) => (serial),
                None => "not known yet",
            }
            @if let Some(theirs) = self.upstream.last_serial && Some(theirs) != self.last_serial {
                " (upstream's own number: " (theirs) ")"
            }
        }
    }

    fn heard(&self) -> Markup {
        html! {
            @if let Some(seconds) = self.upstream.seconds_since_success {
                (age(seconds)) " ago"
            } @else {
                span.warn { "not since the relay was started" }
            }
        }
    }

    fn followed(&self) -> Markup {
        match self.following.as_str() {
            "ended" => {
                html! { span.warn { "nothing: that has ended by a fault of the relay's, and is begun again" } }
            }
            "bundle" => html! { "bundles that are imported (upstream.url = bundle): nobody is asked" },
            "disabled" => html! { "nothing (follow.enabled = false): it is asked what callers need" },
            _ if self.upstream.listings => html! { "comparing its lists of projects: it has no changelog" },
            _ => html! { "its changelog" },
        }
    }

    fn earlier(&self) -> Markup {
        html! {
            @match self.history.missing_serials {
                None => "not fetched (follow.history)",
                Some(missing) if missing <= 0 => "complete",
                Some(missing) => { (missing) " serials are not known yet" }
            }
            @if let Some(error) = &self.history.last_error { "; " (error) }
        }
    }
}

/// Whether requests should come, and why not.
pub(super) fn readiness(unready: &[String]) -> Markup {
    html! {
        @if unready.is_empty() {
            p { "Ready: requests are answered." }
        } @else {
            p.warn { "Not ready, for " (count(unready.len(), "reason")) ":" }
            ul { @for reason in unready { li { (reason) } } }
        }
    }
}

/// How much of the room for files is taken.
pub(super) fn kept(files: KeptFiles) -> Markup {
    let share = u128::from(files.bytes) * 100 / u128::from(files.max_bytes.max(1));
    html! {
        p {
            (bytes(files.bytes)) " of at most " (bytes(files.max_bytes)) " (" (share) " %)."
            @if !files.counted { " They are still being counted." }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(change: impl FnOnce(&mut Value)) -> String {
        let mut state = json!({
            "version": "1", "last_serial": 7, "following": "polling",
            "upstream": {
                "last_serial": 7, "seconds_since_success": 5, "failures": 0, "last_error": null, "behind": null,
                "unbelieved": null, "listings": false, "untold": null,
            },
            "history": {"missing_serials": 0, "last_error": null},
            "journal": {"seconds_unwritable": null, "last_write_error": null},
        });
        change(&mut state);
        let (_, state) = State::read(Readiness { unready: vec![], state }).unwrap();
        state.table().into_string()
    }

    #[test]
    fn how_upstream_is_followed_and_what_went_wrong_is_said() {
        let plain = state(|_| ());
        for text in [">7<", "5 s ago", "its changelog", ">0<", ">complete<"] {
            assert!(plain.contains(text), "{text}: {plain}");
        }
        assert!(!plain.contains("warn") && !plain.contains("Last failure"), "{plain}");
        let wrong = state(|state| {
            state["last_serial"] = Value::Null;
            state["following"] = "disabled".into();
            state["upstream"]["seconds_since_success"] = Value::Null;
            state["upstream"]["failures"] = 3.into();
            state["upstream"]["last_error"] = "refused <b>".into();
            state["upstream"]["behind"] = 5.into();
            state["upstream"]["unbelieved"] = 900.into();
            state["upstream"]["untold"] = "<no serials>".into();
            state["history"] = json!({"missing_serials": 12, "last_error": "history <i>"});
            state["journal"] = json!({"seconds_unwritable": 60, "last_write_error": "the disk is <full>"});
        });
        for text in [
            "not known yet",
            "own number: 7",
            "not since the relay was started",
            "follow.enabled = false",
            ">3<",
            "refused &lt;b&gt;<",
            "its last serial is 5",
            "last serial 900",
            "&lt;no serials&gt;",
            "12 serials are not known yet; history &lt;i&gt;",
            "60 s: the disk is &lt;full&gt;",
        ] {
            assert!(wrong.contains(text), "{text}: {wrong}");
        }
        assert!(state(|state| state["upstream"]["listings"] = true.into()).contains("lists of projects"));
        assert!(state(|state| state["following"] = "ended".into()).contains("fault of the relay"));
        assert!(state(|state| state["history"]["missing_serials"] = Value::Null).contains("not fetched"));
        let over = state(|state| state["upstream"]["last_error"] = "refused".into());
        assert!(over.contains("refused (it is over)"), "{over}");
    }

    #[test]
    fn reasons_and_room_are_said() {
        let unready = readiness(&["the relay <stops>".to_owned(), "b".to_owned()]).into_string();
        assert!(
            unready.contains("2 reasons") && unready.contains("<li>the relay &lt;stops&gt;</li>"),
            "{unready}"
        );
        assert!(readiness(&[]).into_string().contains("Ready"));
        let half = KeptFiles { bytes: 512, max_bytes: 1024, counted: false };
        let text = kept(half).into_string();
        assert!(
            text.contains("512 B of at most 1.0 KiB (50 %)") && text.contains("still being counted"),
            "{text}"
        );
        // A bound of nothing is no reason to fail.
        assert!(kept(KeptFiles { max_bytes: 0, ..half }).into_string().contains('%'));
    }
}
