//! The configuration: strict, from a TOML file, the environment and flags; every complaint at once.

mod address;
mod error;
mod log;
mod pip;
mod reader;
mod settings;
mod source;
mod template;

use std::path::PathBuf;

pub use error::ConfigError;
pub use log::{LogFilter, LogFormat, LogSettings};
pub use reader::Described;
pub use source::Sources;

use crate::blob::StoreSettings;
use crate::follow::FollowSettings;
use crate::http::HttpSettings;
use crate::index::IndexSettings;
use crate::journal::JournalSettings;
use crate::model::{Clock, UpstreamIdentity};
use crate::relay::{PrefetchSettings, RelaySettings};
use crate::rpc::{FeedSettings, RpcSettings};
use crate::upstream::UpstreamSettings;
use reader::Reader;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The index to stand before.
    pub upstream: UpstreamSettings,
    /// Journal and cache are below it.
    pub data: PathBuf,
    /// The edge.
    pub http: HttpSettings,
    /// The methods.
    pub rpc: RpcSettings,
    /// The feed.
    pub feed: FeedSettings,
    /// The journal's limits.
    pub journal: JournalSettings,
    /// How upstream is followed.
    pub follow: FollowSettings,
    /// Pages and documents.
    pub index: IndexSettings,
    /// Files on their way.
    pub relay: RelaySettings,
    /// Files fetched in advance.
    pub prefetch: PrefetchSettings,
    /// Kept files.
    pub store: StoreSettings,
    /// The logs.
    pub log: LogSettings,
}

impl Config {
    /// Puts one clock in the place of all others, which are the system's.
    pub fn set_clock(&mut self, clock: &Clock) {
        let places = [
            &mut self.journal.clock,
            &mut self.store.clock,
            &mut self.upstream.clock,
            &mut self.http.listener.clock,
        ];
        for place in places {
            *place = clock.clone();
        }
    }

    /// Reads all settings; every complaint comes at once.
    pub fn read(sources: Sources) -> Result<Self, ConfigError> {
        Self::read_with(sources, true).map(|(config, _)| config)
    }

    /// The same for what can do without an upstream; also tells whether one was given.
    pub fn read_offline(sources: Sources) -> Result<(Self, bool), ConfigError> {
        Self::read_with(sources, false)
    }

    fn read_with(sources: Sources, needs_upstream: bool) -> Result<(Self, bool), ConfigError> {
        let mut reader = Reader::new(sources);
        let (mut config, given) = settings::read(&mut reader)?;
        if needs_upstream && !given {
            let complaint =
                "upstream.url is not set; name the index with --upstream URL, or --upstream pip for pip's";
            reader.complain(complaint.to_owned());
        }
        reader.finish()?;
        if given {
            config.journal.upstream = UpstreamIdentity::of(&config.upstream.base);
        }
        Ok((config, given))
    }

    /// All settings with their meanings, defaults and values, in the order of their sections.
    pub fn described(sources: Sources) -> Result<Vec<Described>, ConfigError> {
        let mut reader = Reader::new(sources);
        settings::read(&mut reader)?;
        reader.finish()
    }

    /// The same as a TOML file.
    pub fn template(sources: Sources) -> Result<String, ConfigError> {
        Ok(template::write(&Self::described(sources)?))
    }
}

#[cfg(test)]
mod tests;
