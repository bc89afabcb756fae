//! What XML-RPC can do, and where events come from without it.

use super::{Doctor, Telling};
use crate::cli::doctor::finding::Grade::{self, Good, Less, MadeUpFor};
use crate::follow::Source;
use crate::model::Serial;
use crate::upstream::UpstreamError;
use crate::xmlrpc::Value;

/// Rows of the changelog that are asked for: enough to see that there are some.
const ROWS: i64 = 20;

impl Doctor<'_> {
    /// Looks at the methods; the last serial if they tell it.
    pub(super) async fn calls(&mut self, full: bool) -> Option<Serial> {
        if self.config.follow.source == Source::Listings {
            let (grade, relay) = self.compared();
            let grade = if grade == MadeUpFor { Good } else { grade };
            self.say("changelog", grade, "not called (follow.source = listings)", None, relay);
            return None;
        }
        let last = self.call("changelog_last_serial", &[]).await?.as_int();
        self.is_index = true;
        let believed = match last {
            Some(last) => self.changelog(last).await,
            None => false,
        };
        if full {
            self.call("list_packages_with_serial", &[]).await;
        }
        // One of those that PyPI removed tells for all of them.
        self.call("package_releases", &[Value::from("pip")]).await;
        self.rate_limit();
        last.and_then(Serial::stated).filter(|_| believed)
    }

    /// Whether the changelog says nothing against its last serial.
    async fn changelog(&mut self, last: i64) -> bool {
        let rows = self.call("changelog_since_serial", &[Value::Int((last - ROWS).max(0))]).await;
        let withheld = last > 0 && rows.is_some_and(|rows| rows.as_array().is_some_and(<[Value]>::is_empty));
        if withheld {
            let found = format!("nothing up to its own last serial, {last}");
            let relay = "that contradicts itself and is not believed: callers at the head get a fault as long as it does";
            self.say("changelog", Less, found, None, relay);
        }
        !withheld
    }

    fn rate_limit(&mut self) {
        let silence = self.upstream.silence();
        let found = self.limit.take().unwrap_or_else(|| "no RateLimit header".to_owned());
        if silence.is_zero() {
            let relay = "what it states is heeded beside upstream.calls_per_second";
            return self.say("rate limit", Good, found, None, relay);
        }
        let relay = format!("no call is made for {} s; callers get what the journal has", silence.as_secs());
        self.say("rate limit", Less, found, None, relay);
    }

    /// The answer; `None` if there is none, or if upstream wants none of our calls for now.
    async fn call(&mut self, method: &'static str, params: &[Value]) -> Option<Value> {
        if !self.upstream.silence().is_zero() {
            // This would wait until then, for up to an hour.
            return None;
        }
        let (probed, answer) = match self.upstream.probe_call(method, params).await {
            Ok(answered) => answered,
            Err(error) => {
                let (grade, relay) = self.missed(method, &error);
                self.say(method, grade, error.to_string(), None, relay);
                return None;
            }
        };
        if probed.rate_limit.is_some() {
            self.limit.clone_from(&probed.rate_limit);
        }
        match answer {
            Ok(value) => {
                let found = match &value {
                    Value::Array(items) => format!("lives, {} rows", items.len()),
                    Value::Struct(members) => format!("lives, {} members", members.len()),
                    Value::Int(serial) => format!("lives, {serial}"),
                    _ => "lives".to_owned(),
                };
                self.say(method, Good, found, Some(&probed), relayed(method));
                Some(value)
            }
            Err(error) => {
                let (grade, relay) = self.missed(method, &error);
                self.say(method, grade, error.to_string(), Some(&probed), relay);
                None
            }
        }
    }

    /// What it means that a method does not live.
    fn missed(&self, method: &str, error: &UpstreamError) -> (Grade, String) {
        const KEPT: &str = "callers get what the journal has";
        let source = self.config.follow.source;
        if !method.starts_with("changelog") {
            return (MadeUpFor, relayed(method).to_owned());
        }
        if source == Source::Auto && error.no_calls() {
            return self.compared();
        }
        let relay = match error {
            UpstreamError::Limited { .. } => format!("it is asked again after that; {KEPT}"),
            UpstreamError::Status(300..=399) => {
                format!("calls follow no redirect: give the address that it leads to; {KEPT}")
            }
            _ if error.no_calls() => format!("nothing else is tried (follow.source = changelog); {KEPT}"),
            UpstreamError::Unexpected(_) => format!(
                "polls go on with growing waits; {KEPT}. If it has no XML-RPC, set follow.source = listings"
            ),
            _ => format!("polls go on with growing waits; {KEPT}"),
        };
        (Less, relay)
    }

    /// What comparing gives where there is no XML-RPC.
    fn compared(&self) -> (Grade, String) {
        let follow = &self.config.follow;
        let refused = |why: &str| (Less, format!("calls of the changelog are refused: {why}"));
        let what = match self.telling {
            Telling::Nothing => return refused("without XML-RPC there has to be a listing to compare"),
            Telling::Pages(_) if !follow.enabled => {
                return refused("no serials tell what changes, and pages are not compared (follow.enabled)");
            }
            Telling::Pages(projects) if projects > follow.small_index => {
                let most = follow.small_index;
                return refused(&format!(
                    "no serials tell what changes, and there are more than {most} projects to compare (follow.small_index)"
                ));
            }
            Telling::Pages(_) => "pages",
            Telling::Serials => "listings",
        };
        let interval = humantime::format_duration(follow.listing_interval);
        let compared = if follow.enabled {
            format!("{what} are compared every {interval} to make events")
        } else {
            format!("{what} are compared to make events when callers ask, at most every {interval}")
        };
        let again = match follow.source {
            Source::Listings => "XML-RPC is never tried".to_owned(),
            Source::Auto | Source::Changelog => {
                format!("XML-RPC is tried again after {}", humantime::format_duration(follow.calls_retry))
            }
        };
        (MadeUpFor, format!("{compared}; {again}"))
    }
}

fn relayed(method: &str) -> &'static str {
    match method {
        "changelog_last_serial" | "changelog_since_serial" => "polled; callers are answered from the journal",
        "list_packages_with_serial" => "never called: the listing has the same, faster",
        _ => "never called: the JSON API has the same",
    }
}
