//! `cheesewire cache gc`.

use std::time::Duration;

use clap::Args;

use super::error::CacheError;
use super::item::Items;
use super::place::CacheFolder;
use super::purge::{Manner, delete};
use super::say;

const EXAMPLES: &str = "\
Examples:
  # what would go
  cheesewire cache gc --dry-run
  cheesewire cache gc --unused-for 30d";

/// Delete kept files that no kept page names and nobody uses.
///
/// Such files are what is left of pages that changed, went, or had to make room (journal.documents_bytes). They go by
/// themselves when the cache is full; this is for before. Somebody else's files in the folder are told, and left.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct GcArgs {
    #[command(flatten)]
    place: CacheFolder,
    /// Only those that nobody used for so long: a page may come back.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1d")]
    unused_for: Duration,
    #[command(flatten)]
    manner: Manner,
}

pub(super) async fn run(args: GcArgs) -> Result<(), CacheError> {
    let (config, _) = args.place.config()?;
    let mut items = Items::read(&config).await?;
    if !items.named {
        // To it all files would be nobody's.
        return Err(CacheError::Nameless);
    }
    let now = config.store.clock.system_time();
    items.items.retain(|item| item.name.is_none() && item.is_unused_for(args.unused_for, now));
    for stranger in &items.strangers {
        say::note(&format!("not ours, left alone: {}", stranger.display()))?;
    }
    delete(&config, &items.items, &args.manner).await
}
