//! `cheesewire cache ls`.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::error::CacheError;
use super::item::{Item, Items, bytes};
use super::place::CacheFolder;
use super::say;
use super::select::Selection;
use super::table::{self, Sum};
use crate::cli::columns;

const EXAMPLES: &str = "\
Examples:
  # what takes the room, and what nobody uses
  cheesewire cache ls --by-project --sort size
  cheesewire cache ls --unused-for 30d --sort unused
  # for programs
  cheesewire cache ls --project numpy --json";

/// List the kept files: sizes, last uses, names.
///
/// USED is how long ago that was. A file that no kept page names has its digest in place of a name. A last use of the running
/// relay's is written back within cache.tending. In a terminal names are cut to its width.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct LsArgs {
    #[command(flatten)]
    place: CacheFolder,
    #[command(flatten)]
    selection: Selection,
    /// In which order.
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::Name)]
    sort: Order,
    /// One line for each project, with the sums of its files.
    #[arg(long)]
    by_project: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// An order of files, or of projects by the sums of their files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// By project and file name, those without a name last.
    Name,
    /// The largest first.
    Size,
    /// What was not used for longest first.
    Unused,
    /// The most used first.
    Uses,
}

impl Order {
    /// Items stand by name already, and those that are alike stay so.
    fn items(self, items: &mut [Item], now: SystemTime) {
        match self {
            Self::Name => {}
            Self::Size => items.sort_by_key(|item| Reverse(item.kept.size)),
            Self::Unused => items.sort_by_key(|item| Reverse(item.unused(now).unwrap_or(Duration::MAX))),
            Self::Uses => items.sort_by(|one, other| other.kept.uses.total_cmp(&one.kept.uses)),
        }
    }

    fn sums(self, sums: &mut [Sum<'_>]) {
        match self {
            Self::Name => {}
            Self::Size => sums.sort_by_key(|sum| Reverse(sum.bytes)),
            Self::Unused => sums.sort_by_key(|sum| Reverse(sum.unused.unwrap_or(Duration::MAX))),
            Self::Uses => sums.sort_by(|one, other| other.uses.total_cmp(&one.uses)),
        }
    }
}

pub(super) async fn run(args: LsArgs) -> Result<(), CacheError> {
    let (config, _) = args.place.config()?;
    let now = config.store.clock.system_time();
    let mut items = Items::read(&config).await?;
    args.selection.narrow(&mut items, now);
    let Items { mut items, strangers, named: _ } = items;
    let total = bytes(&items);
    let sums = args.by_project.then(|| {
        let mut sums = table::sums(&items, now);
        args.sort.sums(&mut sums);
        let objects: Vec<_> = sums.iter().map(Sum::object).collect();
        (objects, table::projects(&sums, columns::width()))
    });
    args.sort.items(&mut items, now);
    if args.json {
        let mut told = json!({
            "bytes": total,
            "max_bytes": config.store.max_bytes,
            "strangers": strangers,
        });
        match sums {
            Some((objects, _)) => told["projects"] = objects.into(),
            None => told["files"] = items.iter().map(Item::object).collect(),
        }
        say::print(&format!("{told:#}\n"))?;
        return Ok(());
    }
    say::print(&sums.map_or_else(|| table::files(&items, now, columns::width()), |(_, table)| table))?;
    for stranger in strangers {
        say::note(&format!("not ours, left alone: {}", stranger.display()))?;
    }
    let (total, most) = (say::size(total), say::size(config.store.max_bytes));
    say::print(&format!("{} files, {total} of at most {most}\n", items.len()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::blob::Kept;
    use crate::model::Sha256;

    #[test]
    fn each_order_is_another_one() {
        let day = |day: u64| UNIX_EPOCH + Duration::from_hours(24 * day);
        let item = |first: u8, size: u64, used: u64, uses: f64| Item {
            kept: Kept { sha256: Sha256([first; 32]), size, used: day(used), uses, came: None },
            name: None,
        };
        // The last one was used in the future, so nobody knows when.
        let items = [item(1, 10, 5, 1.0), item(2, 30, 7, 1.0), item(3, 20, 3, 9.0), item(4, 5, 99, 1.0)];
        for (order, expected) in [
            (Order::Name, [1, 2, 3, 4]),
            (Order::Size, [2, 3, 1, 4]),
            (Order::Unused, [4, 3, 1, 2]),
            (Order::Uses, [3, 1, 2, 4]),
        ] {
            let mut items = items.clone();
            order.items(&mut items, day(10));
            assert_eq!(items.map(|item| item.kept.sha256.0[0]), expected, "{order:?}");
        }
    }
}
