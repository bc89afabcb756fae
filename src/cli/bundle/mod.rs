//! `cheesewire bundle …`: carries what a relay has to one without a network.

mod error;
mod export;
mod import;
mod key;

use clap::{Args, Subcommand};

pub use error::BundleCommandError;
use export::ExportArgs;
use import::ImportArgs;
use key::KeyArgs;

const EXAMPLES: &str = "\
Examples:
  # where the network is: once the key, then what is known and kept
  cheesewire bundle key --data /var/lib/cheesewire > bundlekey.pub
  cheesewire bundle export --data /var/lib/cheesewire --to /media/stick/first.bundle
  # where it is not
  cheesewire bundle import /media/stick/first.bundle --data /var/lib/cheesewire --key bundlekey.pub
  cheesewire serve --upstream bundle --data /var/lib/cheesewire
  # and later
  cheesewire bundle export --since 31415926 --data /var/lib/cheesewire --to /media/stick/second.bundle";

/// Carry what a relay has to one without a network.
///
/// A bundle is one signed file with the changelog, pages, documents, removals and package files. A relay with --upstream bundle
/// answers from what was imported, and asks nobody. The folders are found by the flags and settings of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct BundleArgs {
    #[command(subcommand)]
    command: BundleCommand,
}

#[derive(Debug, Subcommand)]
enum BundleCommand {
    Export(ExportArgs),
    Import(ImportArgs),
    Key(KeyArgs),
}

/// Does it.
pub fn run(args: &BundleArgs) -> Result<(), BundleCommandError> {
    match &args.command {
        BundleCommand::Export(args) => export::run(args),
        BundleCommand::Import(args) => import::run(args),
        BundleCommand::Key(args) => key::run(args),
    }
}
