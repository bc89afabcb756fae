//! Where the cache is.

use clap::Args;

use super::error::CacheError;
use crate::cli::ServeArgs;
use crate::config::Config;

/// Where the cache is.
#[derive(Debug, Args)]
pub(super) struct CacheFolder {
    #[command(flatten)]
    serve: ServeArgs,
}

impl CacheFolder {
    /// The settings, and whether they name an upstream. Fails if there is no cache.
    pub(super) fn config(&self) -> Result<(Config, bool), CacheError> {
        let (config, upstream) = Config::read_offline(self.serve.sources()?)?;
        if !config.store.folder.is_dir() {
            return Err(CacheError::NoCache(config.store.folder.display().to_string()));
        }
        Ok((config, upstream))
    }
}
