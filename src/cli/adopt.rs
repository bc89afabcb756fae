//! `cheesewire adopt`: gives a data folder to its upstream's new address.

use std::io::Write as _;
use std::path::Path;

use clap::Args;

use super::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::journal::{Journal, JournalError, JournalSettings};
use crate::model::UpstreamIdentity;

const EXAMPLES: &str = "\
Examples:
  cheesewire adopt --upstream https://new.index.test/ --data /var/lib/cheesewire";

/// Give a data folder to its upstream's new address.
///
/// A folder belongs to one upstream, known by host, port and path, and `serve` refuses another. If the same index has moved,
/// this makes the folder that of the address in --upstream. For another index, use another folder: its projects would
/// be mixed with those that are kept. Takes the flags and settings of `serve`, needs no network, and refuses while a relay runs on
/// the folder.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct AdoptArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Why the folder belongs to whom it belonged before.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Nothing is kept there.
    #[error("there is no journal in {0}, so nothing to adopt; name the relay's folder with --data")]
    NoJournal(String),
    /// The settings name no index.
    #[error("no index is named; give its address with --upstream")]
    NoUpstream,
    /// The journal can't be opened or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What was done can't be printed.
    #[error("it is done, but can't be printed: {0}")]
    Print(#[from] std::io::Error),
}

impl AdoptArgs {
    /// The configuration that file, environment and flags make together.
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.serve.config_with_upstream()
    }
}

/// Gives the folder away, and prints whose it was.
pub async fn run(config: Config) -> Result<(), AdoptError> {
    let folder = &config.data;
    // Else the journal would be made.
    if !Journal::is_in(folder) {
        return Err(AdoptError::NoJournal(folder.display().to_string()));
    }
    let mut settings = config.journal;
    let upstream = settings.upstream.take().ok_or(AdoptError::NoUpstream)?;
    let before = adopt(folder, settings, upstream.clone()).await?;
    let folder = folder.display();
    let told = match before {
        Some(before) if before == upstream => {
            format!("{folder} belongs to {upstream} already; nothing was changed")
        }
        Some(before) => {
            format!("{folder} belonged to {before}, and belongs to {upstream} now; what is kept stays")
        }
        None => format!("{folder} belonged to no upstream yet, and belongs to {upstream} now"),
    };
    Ok(writeln!(std::io::stdout().lock(), "{told}")?)
}

async fn adopt(
    folder: &Path,
    settings: JournalSettings,
    upstream: UpstreamIdentity,
) -> Result<Option<UpstreamIdentity>, JournalError> {
    let journal = Journal::open(folder, settings).await?;
    let before = journal.adopt(upstream).await;
    journal.close().await;
    before
}
