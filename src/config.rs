//! The configuration: strict, from a TOML file, the environment and flags; every complaint at once.

mod address;
mod error;
mod log;
mod pip;
mod reader;
mod settings;
mod source;
mod template;
mod values;

pub use error::ConfigError;
pub use log::{LogFilter, LogFormat, LogSettings};
pub use reader::Described;
pub use settings::Config;
pub use source::Sources;
pub use values::Values;

use crate::model::UpstreamIdentity;
use reader::Reader;

impl Config {
    /// Reads all settings; every complaint comes at once.
    pub fn read(sources: Sources) -> Result<Self, ConfigError> {
        Self::read_with(sources, true).map(|(config, ..)| config)
    }

    /// The same with the values, to tell later which of them have changed.
    pub fn read_with_values(sources: Sources) -> Result<(Self, Values), ConfigError> {
        let given = sources.clone();
        let (config, _, described) = Self::read_with(sources, true)?;
        Ok((config, Values::of(described, &given)))
    }

    /// The same for what can do without an upstream; also tells whether one was given.
    pub fn read_offline(sources: Sources) -> Result<(Self, bool), ConfigError> {
        Self::read_with(sources, false).map(|(config, given, _)| (config, given))
    }

    fn read_with(
        sources: Sources,
        needs_upstream: bool,
    ) -> Result<(Self, bool, Vec<Described>), ConfigError> {
        let mut reader = Reader::new(sources);
        let (mut config, given) = settings::read(&mut reader)?;
        if needs_upstream && !given {
            let complaint =
                "upstream.url is not set; name the index with --upstream URL, or --upstream pip for pip's";
            reader.complain(complaint.to_owned());
        }
        let described = reader.finish()?;
        if given && !config.upstream.bundled {
            config.journal.upstream = UpstreamIdentity::of(&config.upstream.base);
        }
        Ok((config, given, described))
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
