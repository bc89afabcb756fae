//! What upstream has told us, kept on disk: documents, the files that they name, projects, events, and which
//! serials are known to be complete. The only code that knows SQL.

mod compress;
mod document;
mod error;
mod facade;
mod known_file;
mod readers;
mod schema;
mod settings;
mod writer;

pub use document::{DocumentKey, KeptDocument};
pub use error::JournalError;
pub use facade::Journal;
pub use known_file::KnownFile;
pub use settings::JournalSettings;
