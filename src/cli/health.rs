//! `cheesewire health`.

use clap::Args;
use url::Url;

use crate::client::{Client, ClientError};

const EXAMPLES: &str = "\
Examples:
  cheesewire health
  cheesewire health --server http://relay.test:3141/";

/// Ask whether a relay takes requests.
///
/// The exit code is 0 if `/readyz` says that it is ready, else 1, with the reasons on standard error. For health checks where
/// there is no other program, as in the container image.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct HealthArgs {
    /// The relay.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3141/")]
    server: Url,
}

/// Why it takes none.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It says so.
    #[error("{0}")]
    Unready(String),
    /// It does not answer.
    #[error(transparent)]
    Relay(#[from] ClientError),
}

/// Asks once.
pub async fn run(args: HealthArgs) -> Result<(), HealthError> {
    let unready = Client::new(args.server.as_str())?.unready().await?;
    if unready.is_empty() { Ok(()) } else { Err(HealthError::Unready(unready.join("; "))) }
}
