//! The questions, in the order in which one answer is needed for the next. What is found is graded by what the relay makes of it
//! as it is configured.

mod calls;
mod project;
mod stated;

use std::time::Instant;

use super::finding::Finding;
use super::finding::Grade::{self, Good, Less, MadeUpFor, Unfit};
use crate::config::Config;
use crate::journal::{JournalError, LastNamed, UnlockedJournal};
use crate::model::{ProjectName, Serial, redacted};
use crate::upstream::{Probed, Upstream, UpstreamError};
use stated::StatedSerials;

/// A clock further off than this makes derived times and ages wrong.
const SKEW: i64 = 5;

/// Everything.
pub(super) async fn all(
    upstream: &Upstream,
    config: &Config,
    project: Option<ProjectName>,
    full: bool,
) -> Vec<Finding> {
    let mut doctor = Doctor {
        upstream,
        config,
        found: Vec::new(),
        telling: Telling::Nothing,
        listed: None,
        is_index: false,
        known: None,
        limit: None,
    };
    doctor.data_folder().await;
    let Some(listing) = doctor.listing().await else { return doctor.found };
    if full {
        doctor.whole_listing().await;
    }
    let called = doctor.calls(full).await;
    doctor.last_serial(called);
    match project.or_else(|| listing.first_project()) {
        Some(name) => doctor.project(&name).await,
        None => doctor.no_project(&listing),
    }
    doctor.found
}

/// What a listing tells of changes.
enum Telling {
    /// Serials do.
    Serials,
    /// Only the pages of so many projects, or more, do.
    Pages(usize),
    /// There is no listing.
    Nothing,
}

struct Doctor<'a> {
    upstream: &'a Upstream,
    config: &'a Config,
    found: Vec<Finding>,
    telling: Telling,
    /// The highest serial that the listing's beginning states.
    listed: Option<Serial>,
    /// Something shows that it is a package index.
    is_index: bool,
    /// What the journal in the data folder knows.
    known: Option<LastNamed>,
    /// The newest `RateLimit` header.
    limit: Option<String>,
}

impl Doctor<'_> {
    fn say(
        &mut self,
        check: &'static str,
        grade: Grade,
        found: impl Into<String>,
        probed: Option<&Probed>,
        relay: impl Into<String>,
    ) {
        let milliseconds = probed.and_then(|probed| u64::try_from(probed.took.as_millis()).ok());
        self.found.push(Finding { check, grade, found: found.into(), milliseconds, relay: relay.into() });
    }

    /// What the data folder knows of the upstream, if it has been used.
    async fn data_folder(&mut self) {
        let (folder, settings) = (self.config.data.clone(), self.config.journal.clone());
        let read = move || {
            let journal = UnlockedJournal::open(&folder, settings.upstream.as_ref())?;
            journal.map_or(Ok(None), |journal| journal.last_named(&settings))
        };
        match tokio::task::spawn_blocking(read).await.unwrap_or(Err(JournalError::Closed)) {
            Ok(known) => self.known = known,
            Err(error @ JournalError::OtherUpstream { .. }) => {
                self.say("data folder", Unfit, error.to_string(), None, "serve refuses to start with it");
            }
            Err(error) => {
                let relay =
                    "what it knows of this upstream is not compared; look as the user that runs the relay";
                self.say("data folder", Less, error.to_string(), None, relay);
            }
        }
    }

    async fn listing(&mut self) -> Option<Probed> {
        let listing = match self.upstream.locate().await {
            Ok(listing) => listing,
            Err(error) => {
                let relay = if matches!(error, UpstreamError::Refused(_)) {
                    "nothing is fetched from there"
                } else {
                    "it serves what it has kept, and goes on trying"
                };
                self.say("listing", Unfit, error.to_string(), None, relay);
                return None;
            }
        };
        let simple = self.upstream.simple_index().cloned();
        let place = simple.as_ref().map(|url| redacted(url.as_str()));
        let relay = match &place {
            Some(_) => "pages are asked for below it, for as long as the relay runs",
            None => {
                "not found yet: each page is looked for below /simple/, then directly below the address. If it is \
                     elsewhere, set upstream.simple"
            }
        };
        let grade = Grade::good_or(place.is_some(), Less);
        self.say("simple index", grade, place.unwrap_or_else(|| "not found".to_owned()), None, relay);
        let lists = listing.status == 200 && listing.lists_projects();
        let json = lists && listing.body.trim_ascii_start().starts_with(b"{");
        self.is_index = json;
        let (grade, relay) = match listing.status {
            200 if json => (Good, "one listing fills the project table".to_owned()),
            200 if lists => (MadeUpFor, "HTML is read; it has no serials".to_owned()),
            429 => (Less, limited(&listing)),
            401 | 403 => {
                let relay = "it refuses. If it wants a user and a password, write them into its address";
                (Less, relay.to_owned())
            }
            500.. => (Less, "it fails: what has been kept is served, and it is asked again".to_owned()),
            _ => {
                let relay = "this is no list of projects: pages are served if they are there, lists are not. Give the \
                             address of an index, with or without /simple/";
                (Less, relay.to_owned())
            }
        };
        let found = format!("{} {}", listing.status, listing.content_type);
        self.say("listing", grade, found.trim_end(), Some(&listing), relay);
        if lists {
            if simple.is_some_and(|simple| simple != listing.url) {
                let relay = "it is followed each time; give that address to save the requests";
                self.say("redirect", MadeUpFor, redacted(listing.url.as_str()), None, relay);
            }
            self.serials(&listing);
            let etag = listing.etag.is_some();
            let relay =
                if etag { "an unchanged listing costs a 304" } else { "each comparison fetches all of it" };
            let found = if etag { "yes" } else { "no" };
            self.say("ETag of the listing", Grade::good_or(etag, MadeUpFor), found, None, relay);
        }
        self.clock(&listing);
        Some(listing)
    }

    /// Whether the listing's serials tell what changes, as far as its beginning shows.
    fn serials(&mut self, listing: &Probed) {
        let stated = StatedSerials::of(listing);
        let (most, interval) =
            (self.config.follow.small_index, humantime::format_duration(self.config.follow.listing_interval));
        let relay = if stated.tell() {
            "without XML-RPC, listings are compared to make events".to_owned()
        } else {
            format!(
                "without XML-RPC, changes are found by content: each page is asked for every {interval}, with our own \
                 numbers, in an index of up to {most} projects (follow.small_index); of a larger one the changelog is \
                 refused, and lists, pages, files and search by name work"
            )
        };
        let projects = listing.projects();
        let untold = projects.saturating_sub(stated.projects());
        self.telling = if !stated.tell() {
            Telling::Pages(projects)
        } else if untold > most {
            Telling::Pages(untold)
        } else {
            Telling::Serials
        };
        self.listed = stated.highest().filter(|_| stated.tell());
        // Whether they are missed, calls tell.
        let grade = Grade::good_or(stated.tell() && !stated.has_odd(), MadeUpFor);
        self.say("serials in the listing", grade, stated.to_string(), None, relay);
    }

    fn clock(&mut self, listing: &Probed) {
        let relay = "times of derived events are upstream's; waits are ours";
        let Some(skew) = listing.skew else {
            return self.say("clock", MadeUpFor, "upstream tells no time", None, relay);
        };
        // It told the time at some moment since it was asked.
        let took = i64::try_from(listing.took.as_secs()).unwrap_or(i64::MAX);
        let near = skew <= SKEW && skew.saturating_add(took) >= -SKEW;
        self.say("clock", Grade::good_or(near, Less), format!("{skew} s ahead of ours"), None, relay);
    }

    async fn whole_listing(&mut self) {
        let started = Instant::now();
        let (grade, found) = match self.upstream.listing().await {
            Ok(listing) => {
                let projects = listing.projects.len();
                if let Telling::Pages(seen) = &mut self.telling {
                    *seen = projects;
                }
                (Good, format!("{projects} projects"))
            }
            Err(error) => (Less, error.to_string()),
        };
        let found = format!("{found}, whole in {} ms", started.elapsed().as_millis());
        let relay = "fetched at the first start, and when listings are compared";
        self.say("the whole listing", grade, found, None, relay);
    }

    /// Whether the last serial, which calls have told or nobody, is one that is believed.
    fn last_serial(&mut self, called: Option<Serial>) {
        const CHECK: &str = "last serial";
        let floor = i64::try_from(self.config.journal.leap_floor).unwrap_or(i64::MAX);
        if let (Some(called), Some(listed)) = (called, self.listed)
            && listed > called
        {
            let found = format!("{called}, and the listing states {listed}");
            let (grade, relay) = if listed.0 - called.0 > floor {
                let relay = "serials in the listing so far beyond the changelog's last one (journal.leap_floor) count as not stated";
                (MadeUpFor, relay)
            } else {
                let relay = "one of several servers lags, or upstream was restored from an older copy: events come once the changelog \
                             tells of them";
                (Less, relay)
            };
            return self.say(CHECK, grade, found, None, relay);
        }
        let (Some(said), Some(LastNamed { last, most })) = (called.or(self.listed), self.known) else {
            return;
        };
        if said < last {
            let doubt = humantime::format_duration(self.config.follow.calls_doubt);
            let relay = format!(
                "one of several servers lags, or upstream was restored from an older copy: if each answer is lower for {doubt} \
                 (follow.calls_doubt), it is taken for restored, and its next events get our next numbers; until then a question \
                 at the head can be a fault"
            );
            self.say(CHECK, Less, format!("{said}, and it was {last} before"), None, relay);
        } else if said > most {
            let pause = humantime::format_duration(self.config.follow.leap_pause);
            let relay = format!(
                "it is asked again after {pause}, and believed if it says so again and the listing does not say otherwise; until \
                 then nothing beyond {most} is told"
            );
            let found = format!("{said}, and nothing beyond {most} is plausible after {last}");
            self.say(CHECK, Less, found, None, relay);
        } else {
            let found = format!("{said}, and {last} is the last that the data folder has heard of");
            self.say(CHECK, Good, found, None, "events since then are fetched");
        }
    }

    /// There is no name to look at.
    fn no_project(&mut self, listing: &Probed) {
        let relay = "give --project NAME";
        if self.is_index {
            return self.say("project", MadeUpFor, "no name to look at", None, relay);
        }
        // A limit says nothing of what is there.
        let grade = if listing.status == 429 { Less } else { Unfit };
        let relay = "nothing here shows a package index; if it has no list of projects, give --project NAME";
        self.say("project", grade, "no name to look at", None, relay);
    }
}

/// What the relay does after a 429.
fn limited(probed: &Probed) -> String {
    let wait = probed.retry_after.unwrap_or_default().as_secs();
    format!("it allows no more requests for {wait} s: until then what has been kept is served")
}
