//! `cheesewire cache prefetch`: asks a running relay for files, as any client would.
//!
//! Not the folder: a running relay has that locked, and it is the one that has limits, an upstream budget and flights
//! that clients can join. So this works from any machine, and with another machine's relay.

use std::str::FromStr as _;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use serde::Deserialize;
use url::Url;

use super::{CacheError, say};
use crate::model::{KnownVersions, ProjectName, version_of};
use crate::relay::{Rule, RuleError};
use crate::upstream::{AllowedHosts, Fetched, Upstream, UpstreamError, UpstreamSettings};

/// Have a running relay fetch files in advance.
///
/// Asks for each file as a client does and throws the bytes away; the relay keeps them. Files that it
/// has cost nothing upstream. Exit code 1 if any could not be had.
#[derive(Debug, Args)]
pub(super) struct PrefetchArgs {
    /// The relay.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3141/")]
    relay: Url,
    /// Only tell what would be fetched.
    #[arg(long)]
    dry_run: bool,
    /// Files at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: usize,
    /// What to fetch, as in prefetch.rules: a project's name or a pattern of names, then newest=N, python=TAG,…,
    /// platform=TAG,… or sdist=no, quoted as one word: 'numpy newest=1 python=cp312'.
    #[arg(required = true, value_name = "RULE", value_parser = rule)]
    rules: Vec<Rule>,
}

fn rule(text: &str) -> Result<Rule, RuleError> {
    Rule::from_str(text)
}

/// The part of a project's page (PEP 691, 700) that is looked at.
#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    size: Option<u64>,
}

/// A file to be fetched.
struct Wanted {
    filename: String,
    url: Url,
    size: u64,
}

pub(super) async fn run(args: PrefetchArgs) -> Result<(), CacheError> {
    // The user's own relay may name its files at any address, such as a public one that leads to a private host.
    let settings = UpstreamSettings::new(args.relay.clone());
    let relay = Upstream::new(UpstreamSettings { allowed_hosts: AllowedHosts::all(), ..settings })?;
    let (mut wanted, mut missing) = (Vec::new(), 0);
    for project in projects(&relay, &args.rules).await? {
        match files(&relay, &project, &args.rules).await {
            Ok(files) => wanted.extend(files),
            // One missing project stops nothing.
            Err(error) => {
                missing += 1;
                say::note(&format!("{project}: {error}"))?;
            }
        }
    }
    let total = wanted.iter().map(|file| file.size).sum();
    if args.dry_run {
        let line = |file: &Wanted| format!("{:>11}  {}\n", say::size(file.size), file.filename);
        say::print(&wanted.iter().map(line).collect::<String>())?;
        say::print(&format!("{} files would be fetched, {}\n", wanted.len(), say::size(total)))?;
        return if missing > 0 { Err(CacheError::Missing(missing)) } else { Ok(()) };
    }
    let (all, bar) = (wanted.len(), say::bar(total));
    let fetches = wanted.into_iter().map(|file| fetch(&relay, file, &bar));
    let mut fetches = stream::iter(fetches).buffer_unordered(args.at_once.max(1));
    let (mut bytes, mut failed) = (0, 0);
    while let Some((filename, fetched)) = fetches.next().await {
        match fetched {
            Ok(got) => bytes += got,
            Err(error) => {
                failed += 1;
                bar.suspend(|| say::note(&format!("{filename}: {error}")))?;
            }
        }
    }
    bar.finish_and_clear();
    say::print(&format!("{} files are there, {}\n", all - failed, say::size(bytes)))?;
    let missing = missing + failed;
    if missing > 0 { Err(CacheError::Missing(missing)) } else { Ok(()) }
}

/// The projects that the rules name; those that they have patterns for, by the relay's list.
async fn projects(relay: &Upstream, rules: &[Rule]) -> Result<Vec<ProjectName>, UpstreamError> {
    let mut found: Vec<ProjectName> = rules.iter().filter_map(Rule::name).collect();
    if rules.iter().any(|rule| rule.name().is_none()) {
        let listed = relay.listing().await?.projects.into_iter();
        let names = listed.filter_map(|project| ProjectName::parse(&project.name).ok());
        found.extend(names.filter(|name| rules.iter().any(|rule| rule.wants(name))));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

async fn files(
    relay: &Upstream,
    project: &ProjectName,
    rules: &[Rule],
) -> Result<Vec<Wanted>, UpstreamError> {
    let Fetched::Fresh(document) = relay.project_page(project, None).await? else {
        return Err(UpstreamError::Unexpected("\"not modified\" to a first question".to_owned()));
    };
    let no_page = |error| UpstreamError::Unexpected(format!("a page that is no JSON: {error}"));
    let page: Page = serde_json::from_slice(&document.body).map_err(no_page)?;
    let known = KnownVersions::new(page.versions.iter().cloned());
    let wants = |file: &PageFile| {
        let version = version_of(&file.filename, project, &known);
        rules.iter().any(|rule| {
            rule.wants(project)
                && rule.wants_file(&file.filename)
                && rule.wants_version(version.as_deref(), &page.versions)
        })
    };
    let wanted = page.files.iter().filter(|file| wants(file)).filter_map(|file| {
        let url = document.url.join(&file.url).ok()?;
        Some(Wanted { filename: file.filename.clone(), url, size: file.size.unwrap_or(0) })
    });
    Ok(wanted.collect())
}

async fn fetch(relay: &Upstream, file: Wanted, bar: &ProgressBar) -> (String, Result<u64, UpstreamError>) {
    let fetched = async {
        let mut body = relay.file(&file.url, None).await?.body;
        let mut bytes = 0;
        while let Some(piece) = body.next().await {
            let piece = piece?.len() as u64;
            bytes += piece;
            bar.inc(piece);
        }
        Ok(bytes)
    };
    let fetched = fetched.await;
    (file.filename, fetched)
}
