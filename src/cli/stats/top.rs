//! `cheesewire stats top`.

use clap::Args;
use tokio::task::spawn_blocking;

use super::chart::bars;
use super::error::StatsCommandError;
use super::place::StatsFolder;
use super::show::{Form, Rows, print, unless_left};

const EXAMPLES: &str = "\
Examples:
  cheesewire stats top 50
  cheesewire stats top --csv";

/// The projects with most downloads.
///
/// Most first, then by name: as `top_packages`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct TopArgs {
    #[command(flatten)]
    place: StatsFolder,
    /// How many.
    #[arg(default_value_t = 20)]
    number: u64,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(args: TopArgs) -> Result<(), StatsCommandError> {
    let stats = args.place.stats().await?;
    let rows = spawn_blocking(move || stats.top_rows(args.number)).await??;
    if args.form.is_plain() {
        print(&bars(&rows))?;
        return Ok(());
    }
    let mut out = Rows::new(args.form, ["project", "count"]);
    let written = rows.into_iter().try_for_each(|(project, count)| out.write([project.into(), count.into()]));
    unless_left(written.and_then(|()| out.end()))?;
    Ok(())
}
