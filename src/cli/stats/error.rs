//! Why a command on statistics did not do what it was to do.

use crate::config::ConfigError;
use crate::stats::StatsError;
use crate::upstream::UpstreamError;

/// Why a command on statistics did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum StatsCommandError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The statistics can't be read or written.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The upstream settings make no client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// There is nothing at the place that the settings name.
    #[error("there is no folder {0}; name the relay's folder with --data")]
    NoFolder(String),
    /// Days, or mirrors, could not be had.
    #[error("{0} days or mirrors were left; they are tried again next time")]
    Left(usize),
    /// Rows do not fit into a Parquet file.
    #[error("the Parquet file cannot be written: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The disk, or standard output, failed.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    /// A task of ours died.
    #[error("a task died: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl StatsCommandError {
    /// The exit code that says so: 2 if something was left, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => ConfigError::EXIT_CODE,
            Self::Left(_) => 2,
            Self::Stats(_)
            | Self::Upstream(_)
            | Self::NoFolder(_)
            | Self::Parquet(_)
            | Self::Disk(_)
            | Self::Lost(_) => 1,
        }
    }
}
