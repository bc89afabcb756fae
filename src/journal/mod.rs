//! What upstream has told us, kept on disk: documents, the files that they name, projects, events, and which
//! serials are known to be complete. The only code that knows SQL.

mod append;
mod compress;
mod coverage;
mod document;
mod error;
mod facade;
mod facts;
mod known;
mod known_file;
mod project;
mod readers;
mod schema;
mod settings;
mod since;
mod want;
mod wording;
mod writer;

pub use append::Appended;
pub use document::{DocumentKey, KeptDocument};
pub use error::JournalError;
pub use facade::Journal;
pub use known::Upkeep;
pub use known_file::KnownFile;
pub use project::{Chunks, Project};
pub use settings::JournalSettings;
pub use since::Since;
pub use want::{TakenWant, Want, WantError, Wanted};
