//! What is wrong with a configuration.

use std::fmt;

/// All that was wrong with the configuration. The process ends with [`ConfigError::EXIT_CODE`].
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    pub(super) complaints: Vec<String>,
}

impl ConfigError {
    /// `EX_USAGE` of sysexits.h: a supervisor should not start the process again as it is.
    pub const EXIT_CODE: u8 = 64;

    /// An upstream is needed, and the settings say that there is none.
    pub(crate) fn no_upstream() -> Self {
        Self::one(
            "upstream.url = bundle: there is no upstream to ask; this is for relays that have one".to_owned(),
        )
    }

    pub(super) fn one(complaint: String) -> Self {
        Self { complaints: vec![complaint] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong:")?;
        self.complaints.iter().try_for_each(|complaint| write!(f, "\n  {complaint}"))
    }
}
