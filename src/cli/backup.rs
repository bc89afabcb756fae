//! `cheesewire backup`: copies a data folder, also beside a running relay.

use std::io::Write as _;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use super::ServeArgs;
use crate::backup::{BackupError, BackupJob, Files, Manifest};
use crate::config::{Config, ConfigError};
use crate::journal::JournalError;

const EXAMPLES: &str = "\
Examples:
  # beside the running relay; a folder for each day
  cheesewire backup --data /var/lib/cheesewire --to /backup/cheesewire-$(date +%F)
  # the kept package files too, which upstream would have to be asked for again
  cheesewire backup --data /var/lib/cheesewire --to /backup/whole --files";

/// Copy the data folder, also beside a running relay.
///
/// The journal and the statistics are copied as they were after one commit, and checked; the private key that pages are signed with
/// and the file of tokens are copied too. A backup without a backup.json did not end, and is not restored. Finds the folders by the flags and
/// settings of `serve`, and needs no network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct BackupArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The folder for the backup; made, or empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Copy kept package files as well.
    #[arg(long)]
    files: bool,
}

/// Why there is no backup, or none was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupCommandError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It can't be taken, or put back.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// What was done can't be printed.
    #[error("it is done, but can't be printed: {0}")]
    Print(#[from] std::io::Error),
}

impl BackupCommandError {
    /// Whether another command line is what helps.
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::Backup(BackupError::OtherUpstream { .. }) => true,
            Self::Backup(BackupError::Journal(error)) => matches!(error, JournalError::OtherUpstream { .. }),
            Self::Backup(_) | Self::Print(_) => false,
        }
    }
}

/// Takes it, and prints what is in it.
pub fn run(args: &BackupArgs) -> Result<(), BackupCommandError> {
    let (config, _) = Config::read_offline(args.serve.sources()?)?;
    let job = BackupJob {
        data: config.data,
        upstream: config.journal.upstream,
        files: args.files.then_some(config.store.folder),
        to: args.to.clone(),
        clock: config.journal.clock,
    };
    let manifest = job.run()?;
    let told = format!("{} holds {}\n", args.to.display(), contents(&manifest, manifest.files));
    Ok(std::io::stdout().lock().write_all(told.as_bytes())?)
}

/// What a backup or a folder made of it holds, in words.
pub(super) fn contents(manifest: &Manifest, files: Option<Files>) -> String {
    let bytes: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
    let names: Vec<&str> = manifest.parts.iter().map(|part| part.name.as_str()).collect();
    let last = manifest.last_serial.map_or_else(|| "none".to_owned(), |last| last.to_string());
    let files = files.map_or_else(
        || "no package files".to_owned(),
        |files| format!("{} package files ({})", files.count, ByteSize(files.bytes).display().iec()),
    );
    let size = ByteSize(bytes).display().iec();
    format!("{} ({size}), last serial {last}, and {files}", names.join(", "))
}
