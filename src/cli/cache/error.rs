//! Why a command on the cache did not do what it was to do.

use crate::blob::OpenError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::journal::JournalError;
use crate::relay::RelayError;
use crate::upstream::UpstreamError;

/// Why a command on the cache did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing at the place that the settings name.
    #[error("there is no cache in {0}; name the relay's folder with --data")]
    NoCache(String),
    /// Nothing says what is to be deleted.
    #[error("say what to delete: --project, --file, --pattern, --digest, --unused-for or --all")]
    Nothing,
    /// No journal says which files pages name.
    #[error(
        "without a readable journal no file has a name, and all would go; name the relay's folder with --data, or \
         delete with cache purge --unused-for"
    )]
    Nameless,
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The cache can't be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The upstream settings make no client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The relay that was asked gives no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cache can't be changed.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The relay that runs on the folder does not take it up.
    #[error("a relay runs on this folder and has not yet taken {0} files out; it will when it can")]
    Waiting(usize),
    /// Files were wrong.
    #[error("{wrong} of {checked} kept files were wrong; {repaired} of them are fetched again and right")]
    Wrong {
        /// Files that were read.
        checked: usize,
        /// Files whose bytes were not theirs.
        wrong: usize,
        /// Those that are right again.
        repaired: usize,
    },
    /// Files, or projects, could not be had.
    #[error("{0} files or projects could not be had")]
    Missing(usize),
    /// The disk, or standard output, failed.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    /// A task of ours died.
    #[error("a task died: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl CacheError {
    /// The exit code that says so: 2 if files were wrong and all of them are right again, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Journal(JournalError::OtherUpstream { .. }) => ConfigError::EXIT_CODE,
            Self::Wrong { wrong, repaired, .. } if wrong == repaired => 2,
            Self::Wrong { .. }
            | Self::NoCache(_)
            | Self::Nothing
            | Self::Journal(_)
            | Self::Store(_)
            | Self::Upstream(_)
            | Self::Client(_)
            | Self::Relay(_)
            | Self::Waiting(_)
            | Self::Nameless
            | Self::Missing(_)
            | Self::Disk(_)
            | Self::Lost(_) => 1,
        }
    }
}
