//! `cheesewire man FOLDER`.

use std::path::PathBuf;
use std::{fs, io};

use clap::{Args, Command};

const EXAMPLES: &str = "\
Examples:
  cheesewire man /usr/local/share/man/man1
  cheesewire man pages && man -l pages/cheesewire-serve.1";

/// Write the manual pages: one for each command.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ManArgs {
    /// The folder for them; it is made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[error("the manual pages can't be written to {}: {source}", folder.display())]
pub struct ManError {
    folder: PathBuf,
    source: io::Error,
}

/// Writes them, of a command and all below it.
pub fn run(args: ManArgs, command: Command) -> Result<(), ManError> {
    let ManArgs { folder } = args;
    // `help` has a page for each command again.
    let command = command.disable_help_subcommand(true);
    let written = fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder));
    written.map_err(|source| ManError { folder, source })
}
