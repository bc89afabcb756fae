//! `cheesewire cache ls`.

use clap::Args;
use serde_json::json;

use super::error::CacheError;
use super::item::{Item, Items, bytes};
use super::place::CacheFolder;
use super::say;
use super::select::Selection;

/// List the kept files: sizes, last uses, names.
///
/// A file that no kept page names stands at the end, with its digest. A last use of the running relay's is written
/// back within cache.tending.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    place: CacheFolder,
    #[command(flatten)]
    selection: Selection,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: LsArgs) -> Result<(), CacheError> {
    let (config, _) = args.place.config()?;
    let now = config.store.clock.system_time();
    let mut items = Items::read(&config).await?;
    args.selection.narrow(&mut items, now);
    let Items { items, strangers, named: _ } = items;
    let total = bytes(&items);
    if args.json {
        let files: Vec<_> = items.iter().map(Item::object).collect();
        let told = json!({
            "files": files,
            "bytes": total,
            "max_bytes": config.store.max_bytes,
            "strangers": strangers,
        });
        say::print(&format!("{told:#}\n"))?;
        return Ok(());
    }
    let lines: String = items.iter().map(|item| item.line(now)).collect();
    say::print(&lines)?;
    for stranger in strangers {
        say::note(&format!("not ours, left alone: {}", stranger.display()))?;
    }
    let (total, most) = (say::size(total), say::size(config.store.max_bytes));
    say::print(&format!("{} files, {total} of at most {most}\n", items.len()))?;
    Ok(())
}
