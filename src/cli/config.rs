//! `cheesewire config`.

use std::io::Write as _;

use clap::Args;

use super::ServeArgs;
use crate::config::{Config, ConfigError};

const EXAMPLES: &str = "\
Examples:
  # a file to start from
  cheesewire config > cheesewire.toml
  # what flags and environment come to
  cheesewire config --upstream pip --set follow.enabled=false";

/// Print every setting with its meaning, default and value, as a TOML file.
///
/// Takes the flags of `serve`, so it also tells what they and the environment come to.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ConfigArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

impl ConfigArgs {
    /// The settings as TOML.
    pub fn template(&self) -> Result<String, ConfigError> {
        Config::template(self.serve.sources()?)
    }
}

/// Prints the template.
pub fn run(template: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(template.as_bytes())
}
