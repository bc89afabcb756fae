//! Tokens: who shows one may read, or administer. They are kept by their SHA-256 only, in a file of the owner's alone.

mod edit;
mod error;
mod file;
mod secret;
mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{setting_by_word, settings};
use crate::watched::Watched;
pub use edit::{add, revoke};
pub use error::TokenError;
pub use file::{copy, read};
pub use token::{Scope, Token, Tokens};

/// The name of the file in the data folder, where settings name no other.
pub const FILE: &str = "tokens.toml";

settings! {
    /// Who may ask.
    #[derive(Debug, Clone)]
    pub struct TokenSettings in "auth" {
        /// The file of tokens, which cheesewire token add makes. Unset: tokens.toml in data.folder. It is read again when it
        /// changes.
        tokens: Option<PathBuf> = None,
        /// Whether reading needs a token: auto (if the file of tokens is there), always, or never (then tokens are for
        /// administrators only).
        required: Required = Required::Auto,
        /// From one look at that file to the next; SIGHUP has it looked at at once.
        interval: Duration = Duration::from_secs(1),
        /// Wrong tokens that one client may show at once after a rest; further ones are answered with 429.
        ///
        /// A job with an old token shows it with each of its requests, some ten at once. A right token is taken all the same: nobody
        /// guesses one of 256 bits, and a client may share its address with such a job.
        failures: u32 as Count = 30,
        /// The time in which one of them is forgotten.
        failure_rest: Duration = Duration::from_secs(2),
    }
}

/// Whether reading needs a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// If the file of tokens is there, also if no token is in it.
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}

setting_by_word! { Required: "auto, always or never", "auto" => Auto, "always" => Always, "never" => Never }

impl TokenSettings {
    /// Where the tokens are, for a relay over this data folder.
    pub fn file(&self, data: &Path) -> PathBuf {
        self.tokens.clone().unwrap_or_else(|| data.join(FILE))
    }
}

/// The tokens in use. `None`: there is no file of them.
pub type TokenFile = Watched<Option<Tokens>>;

/// Reads the tokens of a relay over this data folder. A file that was there and is gone is a complaint, not an open door: what was
/// read of it stays until the relay is started again.
pub fn open(settings: &TokenSettings, data: &Path) -> Result<Arc<TokenFile>, TokenError> {
    let path = settings.file(data);
    let was_there = AtomicBool::new(false);
    let files = vec![path.clone()];
    let read = move || {
        let read = read(&path)?;
        if read.is_none() && was_there.load(Ordering::Relaxed) {
            return Err(TokenError::Gone);
        }
        was_there.store(read.is_some(), Ordering::Relaxed);
        Ok(read)
    };
    Ok(Arc::new(Watched::open("the file of tokens", files, read)?))
}
