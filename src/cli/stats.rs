//! `cheesewire stats …`: what was downloaded, for who runs the relay. All of it works beside a running relay.

mod chart;
mod collect;
mod error;
mod export;
mod parquet;
mod place;
mod report;
mod show;
mod top;

use clap::{Args, Subcommand};

use collect::CollectArgs;
pub use error::StatsCommandError;
use export::ExportArgs;
use report::{DayArgs, MonthArgs};
use top::TopArgs;

const EXAMPLES: &str = "\
Examples:
  cheesewire stats top
  cheesewire stats month 2026-01
  # all rows, for a table
  cheesewire stats export --csv";

/// Show and export what was downloaded, and collect other mirrors' statistics.
///
/// All of it works beside a running relay. The folder is found by the flags and settings of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct StatsArgs {
    #[command(subcommand)]
    command: StatsCommand,
}

#[derive(Debug, Subcommand)]
enum StatsCommand {
    Day(DayArgs),
    Month(MonthArgs),
    Top(TopArgs),
    Export(ExportArgs),
    Collect(CollectArgs),
}

/// Does it.
pub async fn run(args: StatsArgs) -> Result<(), StatsCommandError> {
    match args.command {
        StatsCommand::Day(args) => report::day(args).await,
        StatsCommand::Month(args) => report::month(args).await,
        StatsCommand::Top(args) => top::run(args).await,
        StatsCommand::Export(args) => export::run(args).await,
        StatsCommand::Collect(args) => collect::run(args).await,
    }
}
