//! The questions, in the order in which one answer is needed for the next.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::follow::FollowSettings;
use crate::model::{ProjectName, redacted};
use crate::upstream::{CoreMetadata, PageFile, Probed, ProjectPage, Target, Upstream, UpstreamError};
use crate::xmlrpc::Value;

/// Rows of the changelog that are asked for: enough to see that there are some.
const ROWS: i64 = 20;
/// A clock further off than this makes derived times and ages wrong.
const SKEW: i64 = 5;
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// Whether it is as the relay would like it.
    pub(super) good: bool,
    /// What was found.
    pub(super) found: String,
    /// How long the first byte took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) milliseconds: Option<u64>,
    /// What the relay does about it.
    pub(super) relay: String,
}

/// Everything.
pub(super) async fn all(
    upstream: &Upstream,
    project: Option<&str>,
    full: bool,
    follow: &FollowSettings,
) -> Vec<Finding> {
    let mut doctor = Doctor { upstream, follow, found: Vec::new() };
    let Some(listing) = doctor.listing().await else { return doctor.found };
    doctor.calls(full).await;
    if full {
        doctor.whole_listing().await;
    }
    let named = project.map_or_else(|| listing.first_project(), |name| ProjectName::parse(name).ok());
    match named {
        Some(name) => doctor.project(&name).await,
        None => {
            doctor.say("project", false, "no name to look at", None, "give --project NAME");
        }
    }
    doctor.found
}

struct Doctor<'a> {
    upstream: &'a Upstream,
    follow: &'a FollowSettings,
    found: Vec<Finding>,
}

impl Doctor<'_> {
    fn say(
        &mut self,
        check: &'static str,
        good: bool,
        found: impl Into<String>,
        probed: Option<&Probed>,
        relay: impl Into<String>,
    ) {
        let milliseconds = probed.and_then(|probed| millis(probed.took));
        self.found.push(Finding { check, good, found: found.into(), milliseconds, relay: relay.into() });
    }

    async fn listing(&mut self) -> Option<Probed> {
        let listing = match self.upstream.locate().await {
            Ok(listing) => listing,
            Err(error) => {
                let relay = "it serves what it has kept, and goes on trying";
                self.say("listing", false, error.to_string(), None, relay);
                return None;
            }
        };
        let place = self.upstream.simple_index().map(|url| redacted(url.as_str()));
        let relay = match &place {
            Some(_) => "pages are asked for below it, for as long as the relay runs",
            None => {
                "not found yet: each page is looked for below /simple/, then directly below the address. If it is \
                     elsewhere, set upstream.simple"
            }
        };
        let good = place.is_some();
        self.say(
            "simple index",
            good,
            place.unwrap_or_else(|| "no list of projects".to_owned()),
            None,
            relay,
        );
        let lists = listing.status == 200 && listing.lists_projects();
        let json = lists && listing.body.trim_ascii_start().starts_with(b"{");
        let found = format!("{} {}", listing.status, listing.content_type);
        let relay = if json {
            "one listing fills the project table"
        } else if lists {
            "HTML is read; it has no serials"
        } else {
            "this is no list of projects: pages are served if they are there, lists are not. Give the address of an \
             index, with or without /simple/"
        };
        self.say("listing", json, found, Some(&listing), relay);
        let (serials, found, relay) = self.worth_of_serials(&listing, json);
        self.say("serials in the listing", serials, found, None, relay);
        let etag = listing.etag.is_some();
        let relay =
            if etag { "an unchanged listing costs a 304" } else { "each comparison fetches all of it" };
        self.say("ETag of the listing", etag, if etag { "yes" } else { "no" }, None, relay);
        let skew = listing.skew;
        let found = skew
            .map_or_else(|| "upstream tells no time".to_owned(), |skew| format!("{skew} s ahead of ours"));
        let relay = "times of derived events are upstream's; waits are ours";
        self.say("clock", skew.is_some_and(|skew| skew.abs() <= SKEW), found, None, relay);
        Some(listing)
    }

    /// Whether the listing's serials tell what changes, as far as its beginning shows.
    fn worth_of_serials(&self, listing: &Probed, json: bool) -> (bool, String, String) {
        let serials = if json { project_serials(&listing.body) } else { Vec::new() };
        let (most, interval) = (self.follow.small_index, self.follow.listing_interval);
        let interval = humantime::format_duration(interval);
        let by_content = format!(
            "without XML-RPC, changes are found by content: each page is asked for every {interval}, with our own numbers, in \
             an index of up to {most} projects (follow.small_index); of a larger one the changelog is refused, and lists, \
             pages, files and search by name work"
        );
        match serials.first() {
            None => (false, "none".to_owned(), by_content),
            Some(_) if serials.len() == 1 => {
                let relay = "without XML-RPC, listings are compared to make events, and the page until there is more than one";
                (true, "one project has its last serial".to_owned(), relay.to_owned())
            }
            Some(first) if serials.iter().all(|serial| serial == first) => {
                (false, format!("the same for every project, {first}: it says nothing"), by_content)
            }
            Some(_) => {
                let relay = "without XML-RPC, listings are compared to make events";
                (true, "each project has its last serial".to_owned(), relay.to_owned())
            }
        }
    }

    async fn calls(&mut self, full: bool) {
        let Some((last, limit)) = self.call("changelog_last_serial", &[]).await else { return };
        let (found, relay) = match limit {
            Some(limit) => (limit, "it is heeded beside upstream.calls_per_second"),
            None => ("no RateLimit header".to_owned(), "upstream.calls_per_second alone is the budget"),
        };
        self.say("rate limit", true, found, None, relay);
        let Some(last) = last.as_int() else { return };
        self.call("changelog_since_serial", &[Value::Int((last - ROWS).max(0))]).await;
        if full {
            self.call("list_packages_with_serial", &[]).await;
        }
        // One of those that PyPI removed tells for all of them.
        self.call("package_releases", &[Value::from("pip")]).await;
    }

    /// The answer and the `RateLimit` header; `None` if there is no XML-RPC.
    async fn call(&mut self, method: &'static str, params: &[Value]) -> Option<(Value, Option<String>)> {
        let (probed, answer) = match self.upstream.probe_call(method, params).await {
            Ok(answered) => answered,
            Err(error) => {
                self.say(
                    method,
                    false,
                    error.to_string(),
                    None,
                    "callers get a fault that says when to come back",
                );
                return None;
            }
        };
        match answer {
            Ok(value) => {
                let found = match &value {
                    Value::Array(items) => format!("lives, {} rows", items.len()),
                    Value::Struct(members) => format!("lives, {} members", members.len()),
                    Value::Int(serial) => format!("lives, {serial}"),
                    _ => "lives".to_owned(),
                };
                self.say(method, true, found, Some(&probed), relayed(method));
                Some((value, probed.rate_limit))
            }
            Err(error) => {
                let relay = self.instead(method, &error);
                self.say(method, false, error.to_string(), Some(&probed), relay);
                None
            }
        }
    }

    fn instead(&self, method: &str, error: &UpstreamError) -> String {
        let changelog = method.starts_with("changelog");
        if changelog && error.no_calls() {
            let (interval, retry) = (self.follow.listing_interval, self.follow.calls_retry);
            let (interval, retry) = (humantime::format_duration(interval), humantime::format_duration(retry));
            format!(
                "listings are compared every {interval} to make events; XML-RPC is tried again after {retry}"
            )
        } else if changelog {
            "polls go on with growing waits; callers get what the journal has".to_owned()
        } else {
            relayed(method).to_owned()
        }
    }

    async fn whole_listing(&mut self) {
        let started = Instant::now();
        let (good, found) = match self.upstream.listing().await {
            Ok(listing) => (true, format!("{} projects", listing.projects.len())),
            Err(error) => (false, error.to_string()),
        };
        let found = format!("{found}, whole in {} ms", started.elapsed().as_millis());
        self.say(
            "the whole listing",
            good,
            found,
            None,
            "fetched at the first start, and when listings are compared",
        );
    }

    async fn project(&mut self, name: &ProjectName) {
        let page = match self.upstream.probe(Target::Page(name)).await {
            Ok(page) => page,
            Err(error) => return self.say("page", false, error.to_string(), None, "kept pages are served"),
        };
        let json = page.status == 200 && page.content_type == JSON;
        let found = format!("{name}: {} {}", page.status, page.content_type);
        let file = (page.status == 200).then(|| first_file(name, &page)).flatten();
        let relay = if json { "served as JSON and HTML" } else { "HTML is read, and served in both forms" };
        self.say("project page", json, found, Some(&page), relay);
        match self.upstream.probe(Target::Json(name)).await {
            Ok(document) => {
                let good = document.status == 200 && document.content_type == "application/json";
                let found = format!("{} {}", document.status, document.content_type);
                let relay = if good {
                    "removed methods (release_data, release_urls …) are answered from it"
                } else {
                    "removed methods are answered from pages and from files' metadata"
                };
                self.say("JSON API", good, found, Some(&document), relay);
            }
            Err(error) => self.say("JSON API", false, error.to_string(), None, "kept documents are served"),
        }
        match file {
            Some(file) => self.file(&file).await,
            None => self.say("files", false, "the page's beginning names none", None, "try --project NAME"),
        }
    }

    async fn file(&mut self, file: &File) {
        if file.metadata
            && let Ok(url) = format!("{}.metadata", file.url).parse()
            && let Ok(metadata) = self.upstream.probe(Target::UnlockedJournal(&url)).await
        {
            let relay = "served where it is advertised, its digest checked";
            self.say("metadata", metadata.status == 200, metadata.status.to_string(), Some(&metadata), relay);
        } else {
            self.say("metadata", false, "not advertised", None, "installers fetch whole files to read it");
        }
        let digest = if file.sha256 { "given" } else { "missing" };
        let relay =
            if file.sha256 { "files are checked and kept" } else { "files are passed through, not kept" };
        self.say("sha256 of files", file.sha256, digest, None, relay);
        match self.upstream.probe(Target::FirstByte(&file.url)).await {
            Ok(range) => {
                let good = range.status == 206;
                let relay = if good { "a broken transfer resumes" } else { "a broken transfer starts again" };
                self.say("ranges", good, range.status.to_string(), Some(&range), relay);
            }
            Err(error) => self.say("ranges", false, error.to_string(), None, "kept files are served"),
        }
    }
}

/// The serials that the projects in a listing's beginning have.
fn project_serials(beginning: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(beginning);
    let Some((_, projects)) = text.split_once("\"projects\"") else { return Vec::new() };
    // What stands after the list is the listing's own.
    let projects = projects.split(']').next().unwrap_or(projects);
    let serial = |rest: &str| {
        let number = rest.trim_start().strip_prefix(':')?.trim_start();
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        number[..end].parse().ok()
    };
    projects.split("\"_last-serial\"").skip(1).filter_map(serial).collect()
}

fn relayed(method: &str) -> &'static str {
    match method {
        "changelog_last_serial" | "changelog_since_serial" => "polled; callers are answered from the journal",
        "list_packages_with_serial" => "never called: the listing has the same, faster",
        _ => "never called: the JSON API has the same",
    }
}

struct File {
    url: url::Url,
    sha256: bool,
    metadata: bool,
}

fn first_file(name: &ProjectName, probed: &Probed) -> Option<File> {
    let page = ProjectPage::read(name, &probed.content_type, &probed.body, &probed.url, usize::MAX).ok()?;
    let advertised = |file: &&PageFile| file.core_metadata != CoreMetadata::No;
    let file = page.files.iter().find(advertised).or_else(|| page.files.first())?;
    Some(File {
        url: file.url.clone(),
        sha256: file.hashes.contains_key("sha256"),
        metadata: advertised(&file),
    })
}

fn millis(took: Duration) -> Option<u64> {
    u64::try_from(took.as_millis()).ok()
}
