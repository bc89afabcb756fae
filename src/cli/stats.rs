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

/// Show and export what was downloaded, and collect other mirrors' statistics.
///
/// All of it works beside a running relay. The folder is found by the flags and settings of `serve`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(subcommand)]
    command: StatsCommand,
}

#[derive(Debug, Subcommand)]
enum StatsCommand {
    /// What was downloaded on a day.
    Day(DayArgs),
    /// What was downloaded in a month.
    Month(MonthArgs),
    /// The projects with most downloads.
    Top(TopArgs),
    /// Every row, with what user agents say of installer, Python and system.
    Export(ExportArgs),
    /// Add other mirrors' sealed days.
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
