//! `cheesewire cache prefetch`: asks a running relay for files, as any client would.
//!
//! Not the folder: a running relay has that locked, and it is the one that has limits, an upstream budget and flights
//! that clients can join. So this works from any machine, and with another machine's relay.

use std::str::FromStr as _;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use url::Url;

use super::error::CacheError;
use super::say;
use crate::cli::columns;
use crate::client::{Client, ClientError, Files, ProjectFile};
use crate::log::escaped;
use crate::model::{KnownVersions, ProjectName, version_of};
use crate::relay::{Rule, RuleError};

const EXAMPLES: &str = "\
Examples:
  # what would be fetched
  cheesewire cache prefetch --dry-run 'numpy newest=1 python=cp312'
  cheesewire cache prefetch --relay http://relay.test:3141/ six 'django-* newest=2 sdist=no'";

/// Have a running relay fetch files in advance.
///
/// Asks for each file as a client does and throws the bytes away; the relay keeps them. Files that it
/// has cost nothing upstream. Exit code 1 if any could not be had.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
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

pub(super) async fn run(args: PrefetchArgs) -> Result<(), CacheError> {
    let relay = Client::new(args.relay.as_str())?;
    // Those may have any address, such as a public one that leads to a private host: it is the user's own relay that names them.
    let pages = relay.files()?;
    let (mut wanted, mut missing) = (Vec::new(), 0);
    for project in projects(&relay, &args.rules).await? {
        match files(&pages, &project, &args.rules).await {
            Ok(files) => wanted.extend(files),
            // One missing project stops nothing.
            Err(error) => {
                missing += 1;
                say::note(&format!("{project}: {}", error.reason))?;
            }
        }
    }
    let total = wanted.iter().map(size).sum();
    if args.dry_run {
        // As wide as the column of sizes.
        let left = columns::width().map(|width| width.saturating_sub(11));
        let name = |file: &ProjectFile| columns::fit(&escaped(&file.filename), left).into_owned();
        let line = |file: &ProjectFile| format!("{:>10} {}\n", say::size(size(file)), name(file));
        if !wanted.is_empty() {
            say::print(&format!("{:>10} FILE\n", "SIZE"))?;
        }
        say::print(&wanted.iter().map(line).collect::<String>())?;
        say::print(&format!("{} files would be fetched, {}\n", wanted.len(), say::size(total)))?;
        return if missing > 0 { Err(CacheError::Missing(missing)) } else { Ok(()) };
    }
    let (all, bar) = (wanted.len(), say::bar(total));
    let fetches = wanted.into_iter().map(|file| fetch(&pages, file, &bar));
    let mut fetches = stream::iter(fetches).buffer_unordered(args.at_once.max(1));
    let (mut bytes, mut failed) = (0, 0);
    while let Some((filename, fetched)) = fetches.next().await {
        match fetched {
            Ok(got) => bytes += got,
            Err(error) => {
                failed += 1;
                bar.suspend(|| say::note(&format!("{filename}: {}", error.reason)))?;
            }
        }
    }
    bar.finish_and_clear();
    say::print(&format!("{} files are there, {}\n", all - failed, say::size(bytes)))?;
    let missing = missing + failed;
    if missing > 0 { Err(CacheError::Missing(missing)) } else { Ok(()) }
}

/// Bytes; 0 if the page does not state them.
fn size(file: &ProjectFile) -> u64 {
    file.size.unwrap_or(0)
}

/// The projects that the rules name; those that they have patterns for, by the relay's list.
async fn projects(relay: &Client, rules: &[Rule]) -> Result<Vec<ProjectName>, ClientError> {
    let mut found: Vec<ProjectName> = rules.iter().filter_map(Rule::name).collect();
    if rules.iter().any(|rule| rule.name().is_none()) {
        let listed = relay.list_packages().await?.into_iter();
        let names = listed.filter_map(|project| ProjectName::parse(&project).ok());
        found.extend(names.filter(|name| rules.iter().any(|rule| rule.wants(name))));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The files of a project that the rules want.
async fn files(
    pages: &Files,
    project: &ProjectName,
    rules: &[Rule],
) -> Result<Vec<ProjectFile>, ClientError> {
    let mut page = pages.page(project).await?;
    let known = KnownVersions::new(page.versions.iter().cloned());
    page.files.retain(|file| {
        let version = version_of(&file.filename, project, &known);
        rules.iter().any(|rule| {
            rule.wants(project)
                && rule.wants_file(&file.filename)
                && rule.wants_version(version.as_deref(), &page.versions)
        })
    });
    Ok(page.files)
}

async fn fetch(pages: &Files, file: ProjectFile, bar: &ProgressBar) -> (String, Result<u64, ClientError>) {
    let fetched = async {
        let mut body = pages.file(&file.url).await?;
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
