//! The configuration: strict, from a TOML file, the environment and flags; every complaint at once.

mod address;
mod log;
mod pip;
mod reader;
mod settings;
mod source;
mod template;

use std::fmt;
use std::path::PathBuf;

pub use log::{LogFilter, LogFormat, LogSettings};
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

/// All that was wrong with the configuration. The process ends with [`ConfigError::EXIT_CODE`].
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    complaints: Vec<String>,
}

impl ConfigError {
    /// `EX_USAGE` of sysexits.h: a supervisor should not start the process again as it is.
    pub const EXIT_CODE: u8 = 64;

    fn one(complaint: String) -> Self {
        Self { complaints: vec![complaint] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong:")?;
        self.complaints.iter().try_for_each(|complaint| write!(f, "\n  {complaint}"))
    }
}

/// A setting as documented.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its dotted key.
    pub key: &'static str,
    /// Its default, in the text form; empty if there is none.
    pub default: String,
    /// Its value now.
    pub value: String,
    /// What it means: the first paragraph of its declaration's comment, in one line, with code between backquotes.
    pub meaning: String,
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
