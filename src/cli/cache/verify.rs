//! `cheesewire cache verify`.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::error::CacheError;
use super::hands::Hands;
use super::item::{Item, Items, bytes};
use super::place::CacheFolder;
use super::say;
use crate::blob::Inventory;
use crate::journal::PendingDelete;

const EXAMPLES: &str = "\
Examples:
  # what is wrong, and nothing else
  cheesewire cache verify --dry-run
  cheesewire cache verify --upstream https://index.test/";

/// Read all kept files again, and fetch anew what is wrong.
///
/// Exit code 0: all are right. 2: some were wrong and all of them are fetched again and right. 1: some are still
/// missing; they are fetched when somebody asks for them.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: CacheFolder,
    /// Only tell what is wrong: throw nothing away, fetch nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: VerifyArgs) -> Result<(), CacheError> {
    let (config, upstream) = args.place.config()?;
    let inventory = Arc::new(Inventory::of(&config.store.folder));
    let items = Items::read(&config).await?.items;
    let (checked, total) = (items.len(), bytes(&items));
    let wrong = wrong(&inventory, items).await?;
    let hands = if wrong.is_empty() || args.dry_run { None } else { Some(Hands::on(&config).await?) };
    if let Some(hands) = hands {
        // A running relay has an upstream whatever the settings here say.
        let repair = upstream || hands.are_anothers();
        if !repair {
            say::note("no upstream is given (--upstream URL), so nothing is fetched again")?;
        }
        let pending_deletes = wrong.iter().map(|item| PendingDelete { sha256: item.kept.sha256, repair });
        hands.settle(pending_deletes.collect()).await?;
    }
    let wrong_items = wrong.clone();
    let repaired = spawn_blocking(move || {
        let right =
            |item: &&Item| inventory.digest(item.kept.sha256).ok().flatten() == Some(item.kept.sha256);
        wrong_items.iter().filter(right).count()
    });
    let repaired = repaired.await?;
    if args.json {
        let files: Vec<_> = wrong.iter().map(Item::object).collect();
        let told = json!({ "checked": checked, "bytes": total, "wrong": files, "repaired": repaired });
        say::print(&format!("{told:#}\n"))?;
    } else {
        let name = |item: &Item| {
            let digest = || item.kept.sha256.to_string();
            item.name.as_ref().map_or_else(digest, |name| format!("{} {}", name.project, name.filename))
        };
        for item in &wrong {
            say::print(&format!("wrong: {}\n", name(item)))?;
        }
        say::print(&format!("{checked} files read, {}, {} wrong\n", say::size(total), wrong.len()))?;
    }
    let wrong = wrong.len();
    if wrong > 0 { Err(CacheError::Wrong { checked, wrong, repaired }) } else { Ok(()) }
}

/// Those whose bytes are not theirs, or cannot be read. One that went meanwhile is not wrong.
async fn wrong(inventory: &Arc<Inventory>, items: Vec<Item>) -> Result<Vec<Item>, CacheError> {
    let (inventory, bar) = (Arc::clone(inventory), say::bar(bytes(&items)));
    let read = move || {
        let mut wrong = Vec::new();
        for item in items {
            match inventory.digest(item.kept.sha256) {
                Ok(actual) if actual.is_none_or(|actual| actual == item.kept.sha256) => {}
                Ok(_) => wrong.push(item.clone()),
                Err(error) => {
                    say::note(&format!("{}: {error}", item.kept.sha256))?;
                    wrong.push(item.clone());
                }
            }
            bar.inc(item.kept.size);
            bar.set_message(format!("{} wrong", wrong.len()));
        }
        bar.finish_and_clear();
        Ok::<_, CacheError>(wrong)
    };
    spawn_blocking(read).await?
}
