//! `cheesewire config`.

use std::io::Write as _;

use clap::Args;

use super::ServeArgs;
use crate::config::{Config, ConfigError};

/// Print every setting with its meaning, default and value, as a TOML file.
///
/// Takes the flags of `serve`, so it also tells what they and the environment come to.
#[derive(Debug, Args)]
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
