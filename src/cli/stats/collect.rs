//! `cheesewire stats collect`.

use std::sync::Arc;

use clap::Args;
use tokio::task::spawn_blocking;

use super::error::StatsCommandError;
use super::place::StatsFolder;
use super::show::{note, print};
use crate::collect::collect;
use crate::stats::{Collector, Mirror, Taken};
use crate::upstream::Upstream;

const EXAMPLES: &str = "\
Examples:
  cheesewire stats collect http://mirror.test/
  # those of stats.collect
  cheesewire stats collect --config cheesewire.toml";

/// Add other mirrors' sealed days.
///
/// Each day of each mirror once, all of it or nothing. Days are found on URL/local-stats/days/. What cannot be taken is left, and tried again next time; then the exit code is 2.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CollectArgs {
    #[command(flatten)]
    place: StatsFolder,
    /// The mirrors' addresses, such as http://mirror.test/ [default: stats.collect].
    #[arg(value_name = "URL")]
    mirrors: Vec<Mirror>,
}

pub(super) async fn run(args: CollectArgs) -> Result<(), StatsCommandError> {
    let config = args.place.config()?;
    let mirrors = if args.mirrors.is_empty() { config.stats.collect.0.clone() } else { args.mirrors };
    let upstream = Upstream::new(config.upstream.clone())?;
    let (folder, settings) = (config.data.clone(), config.stats.clone());
    let collector = spawn_blocking(move || Collector::open(&folder, &settings)).await??;
    let collected = collect(&upstream, &Arc::new(collector), &mirrors, &config.stats).await;
    for (mirror, day, Taken { lines, left_out, downloads }) in &collected.taken {
        let left = if *left_out > 0 { format!(", {left_out} lines left out") } else { String::new() };
        print(&format!("{mirror} {day}: {downloads} downloads in {lines} lines{left}\n"))?;
    }
    for (mirror, day, error) in &collected.left {
        let day = day.as_deref().map(|day| format!(" {day}")).unwrap_or_default();
        note(&crate::log::escaped(&format!("{mirror}{day} is left: {error}")))?;
    }
    match collected.left.len() {
        0 => Ok(()),
        left => Err(StatsCommandError::Left(left)),
    }
}
