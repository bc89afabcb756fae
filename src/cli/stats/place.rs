//! Where the statistics are.

use clap::Args;

use super::error::StatsCommandError;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::stats::Stats;

/// Where the statistics are.
#[derive(Debug, Args)]
pub(super) struct StatsFolder {
    #[command(flatten)]
    serve: ServeArgs,
}

impl StatsFolder {
    /// The settings. Fails if there is no such folder.
    pub(super) fn config(&self) -> Result<Config, StatsCommandError> {
        let (config, _) = Config::read_offline(self.serve.sources()?)?;
        if !config.data.is_dir() {
            return Err(StatsCommandError::NoFolder(config.data.display().to_string()));
        }
        Ok(config)
    }

    /// The statistics, to read.
    pub(super) async fn stats(&self) -> Result<Stats, StatsCommandError> {
        let config = self.config()?;
        Ok(Stats::open_to_read(&config.data, config.stats).await?)
    }
}
