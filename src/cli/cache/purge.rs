//! `cheesewire cache purge`.

use clap::Args;
use serde_json::json;

use super::error::CacheError;
use super::hands::Hands;
use super::item::{Item, Items, bytes};
use super::place::CacheFolder;
use super::say;
use super::select::Selection;
use super::table;
use crate::cli::columns;
use crate::config::Config;
use crate::journal::PendingDelete;

const EXAMPLES: &str = "\
Examples:
  # what would go
  cheesewire cache purge --pattern '*-win32.whl' --unused-for 30d --dry-run
  cheesewire cache purge --project numpy
  cheesewire cache purge --all";

/// Delete kept files by project, name, pattern or age.
///
/// They are fetched again when somebody asks for them. If a relay runs on the folder it takes them out of its memory
/// too; this waits for that.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    place: CacheFolder,
    #[command(flatten)]
    selection: Selection,
    /// Delete everything.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    manner: Manner,
}

/// How deleting goes.
#[derive(Debug, Args)]
pub(super) struct Manner {
    /// Only list what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: PurgeArgs) -> Result<(), CacheError> {
    let (config, _) = args.place.config()?;
    if args.selection.is_all() && !args.all {
        return Err(CacheError::Nothing);
    }
    let mut items = Items::read(&config).await?;
    args.selection.narrow(&mut items, config.store.clock.system_time());
    delete(&config, &items.items, &args.manner).await
}

/// Deletes, or tells what would go.
pub(super) async fn delete(config: &Config, items: &[Item], manner: &Manner) -> Result<(), CacheError> {
    let total = bytes(items);
    if !manner.dry_run && !items.is_empty() {
        let pending_deletes =
            items.iter().map(|item| PendingDelete { sha256: item.kept.sha256, repair: false });
        Hands::on(config).await?.settle(pending_deletes.collect()).await?;
    }
    if manner.json {
        let files: Vec<_> = items.iter().map(Item::object).collect();
        let told = json!({ "deleted": !manner.dry_run, "files": files, "bytes": total });
        say::print(&format!("{told:#}\n"))?;
        return Ok(());
    }
    if manner.dry_run {
        let now = config.store.clock.system_time();
        say::print(&table::files(items, now, columns::width()))?;
    }
    let did = if manner.dry_run { "would be deleted" } else { "deleted" };
    say::print(&format!("{} files {did}, {}\n", items.len(), say::size(total)))?;
    Ok(())
}
