//! `cheesewire serve`.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::service::Service;
use crate::app::{App, AppError, Orders};
use crate::config::{Config, ConfigError, Sources, Values};

const EXAMPLES: &str = "\
Examples:
  # the index that the local pip is set to
  cheesewire serve --upstream pip
  # for a network
  cheesewire serve --upstream https://index.test/ --listen 0.0.0.0:3141 --data /var/lib/cheesewire
  # all settings in a file, one of them another
  cheesewire serve --config cheesewire.toml --set log.format=json";

/// Serve the relay.
///
/// Every setting of `cheesewire config` can be given in the file, in the environment
/// (`CHEESEWIRE_HTTP__IDLE_TIMEOUT=30s` for http.idle_timeout) or with --set; flags win over the environment,
/// and that over the file.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ServeArgs {
    /// The package index to serve: its address, or `pip` for the one that the local pip is set to.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where to listen [default: 127.0.0.1:3141].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The folder for journal and cache [default: cheesewire-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one setting, such as follow.enabled=false. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ServeArgs {
    /// The configuration that file, environment and these flags make together.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::read(self.sources()?)
    }

    /// The same with the values, to tell later which of them have changed.
    pub fn config_with_values(&self) -> Result<(Config, Values), ConfigError> {
        Config::read_with_values(self.sources()?)
    }

    /// The same for what has to ask an upstream.
    pub(super) fn config_with_upstream(&self) -> Result<Config, ConfigError> {
        let config = self.config()?;
        if config.upstream.bundled { Err(ConfigError::no_upstream()) } else { Ok(config) }
    }

    /// Where settings are given.
    pub(super) fn sources(&self) -> Result<Sources, ConfigError> {
        let mut sources = Sources::default();
        if let Some(file) = &self.config {
            sources.file(file)?;
        }
        sources.environment(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        for assignment in &self.set {
            sources.set(assignment)?;
        }
        sources.flag("--upstream", "upstream.url", self.upstream.clone());
        sources.flag("--listen", "http.listen", self.listen.clone());
        sources.flag("--data", "data.folder", self.data.clone());
        Ok(sources)
    }
}

/// Serves until `stop`, on the sockets of a service manager if it gave any; reads certificate, tokens and settings again at each of
/// `orders`.
pub async fn run(
    config: Config,
    service: Service,
    orders: Orders,
    stop: CancellationToken,
) -> Result<(), AppError> {
    let app = App::build_on(&config, service.sockets, orders).await?;
    let stopping = app.stopping();
    service.manager.attend(app.run(stop), &stopping, config.http.listener.drain).await
}
