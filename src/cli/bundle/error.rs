//! What can go wrong with bundles.

use crate::bundle::BundleError;
use crate::config::ConfigError;
use crate::journal::{BundlePartError, JournalError};
use crate::signing::BundleKeyError;

/// Why there is no bundle, or none was imported.
#[derive(Debug, thiserror::Error)]
pub enum BundleCommandError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings name an index.
    #[error(
        "the settings name an upstream, and a relay that follows one takes no bundles; set upstream.url = \"bundle\" (--upstream \
         bundle) for a folder that lives on bundles"
    )]
    HasUpstream,
    /// It can't be made, or taken.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] BundleKeyError),
    /// There is nothing whose key it could be.
    #[error("there is no journal in {0}, so no key of a relay; name the relay's folder with --data")]
    NoJournal(String),
    /// What was done can't be printed.
    #[error("it is done, but can't be printed: {0}")]
    Print(#[from] std::io::Error),
}

impl BundleCommandError {
    /// Whether another command line or another setting is what helps.
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::HasUpstream => true,
            Self::Bundle(error) => match error {
                BundleError::NoKey | BundleError::Key(_) => true,
                BundleError::Journal(error) | BundleError::Part(BundlePartError::Journal(error)) => {
                    matches!(error, JournalError::OtherUpstream { .. })
                }
                _ => false,
            },
            Self::Key(_) | Self::NoJournal(_) | Self::Print(_) => false,
        }
    }
}
