//! `cheesewire bundle key`.

use std::io::Write as _;

use clap::Args;

use super::BundleCommandError;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::journal::Journal;
use crate::signing::BundleKey;

const EXAMPLES: &str = "\
Examples:
  cheesewire bundle key --data /var/lib/cheesewire > bundlekey.pub";

/// Print the public key that importers are given.
///
/// The private one is in the data folder (bundlekey.pem), for its owner alone; it is made if there is none. Give importers the
/// printed one by a way that you trust: whoever has put his own there can have them take what he likes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct KeyArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

pub(super) fn run(args: &KeyArgs) -> Result<(), BundleCommandError> {
    let (config, _) = Config::read_offline(args.serve.sources()?)?;
    if !Journal::is_in(&config.data) {
        return Err(BundleCommandError::NoJournal(config.data.display().to_string()));
    }
    let key = BundleKey::of(&config.data)?.public();
    Ok(std::io::stdout().lock().write_all(key.pem().as_bytes())?)
}
