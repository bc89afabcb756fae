//! `cheesewire reload`: has a running relay read again what it may read again.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::journal::{self, Holder};

const EXAMPLES: &str = "\
Examples:
  cheesewire reload --config /etc/cheesewire/cheesewire.toml --data /var/lib/cheesewire
  # where the relay was started without a file of settings
  cheesewire reload --data cheesewire-data";

/// Have a running relay read its certificate, tokens and settings again.
///
/// The settings are read here first: if they are wrong nothing is done, with exit code 64. Then the process that works on the data
/// folder gets SIGHUP. It takes up `clients.*`, `prefetch.*`, `log.filter` and `log.access`; what else has changed needs a restart,
/// which its log and `/readyz` say.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReloadArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No relay works on the folder.
    #[error("no relay works on {}: start one, or give --data the folder of one that runs", .0.display())]
    Nobody(PathBuf),
    /// One does, and is not to be seen.
    #[error(
        "the process that works on {} is not to be seen from here: call this as its user or as root, on its machine and in its container",
        .0.display()
    )]
    Hidden(PathBuf),
    /// The folder can't be looked at, or the process not be told.
    #[error("the relay could not be told: {0}")]
    Io(#[from] std::io::Error),
}

/// Gives the order.
pub fn run(args: &ReloadArgs) -> Result<(), ReloadError> {
    let (config, _) = Config::read_offline(args.serve.sources()?)?;
    let process = match journal::holder(&config.data)? {
        Holder::Nobody => return Err(ReloadError::Nobody(config.data)),
        Holder::Hidden => return Err(ReloadError::Hidden(config.data)),
        Holder::Process(id) => id,
    };
    let Some(pid) = Pid::from_raw(process) else { return Err(ReloadError::Hidden(config.data)) };
    kill_process(pid, Signal::HUP).map_err(std::io::Error::from)?;
    let told = format!(
        "process {process} reads its certificate, tokens and settings again; its log and /readyz say what it took up\n"
    );
    Ok(std::io::stdout().lock().write_all(told.as_bytes())?)
}
