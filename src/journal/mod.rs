//! What upstream has told us, kept on disk: documents, the files that they name, projects, events, and which
//! serials are known to be complete. The only code that knows SQL.

mod append;
mod changed;
mod compress;
mod coverage;
mod cut;
mod derive;
mod difference;
mod document;
mod error;
mod facade;
mod facts;
mod gap;
mod identity;
mod known;
mod known_file;
mod project;
mod readers;
mod schema;
mod search;
mod settings;
mod since;
mod since_time;
mod slice;
mod want;
mod wording;
mod writer;

pub use append::Appended;
pub use changed::Changed;
pub use derive::Derived;
pub use difference::{Difference, Differences};
pub use document::{DocumentKey, KeptDocument};
pub use error::JournalError;
pub use facade::Journal;
pub use gap::Gap;
pub use identity::Identity;
pub use known::{Asked, Upkeep};
pub use known_file::KnownFile;
pub use project::{Chunks, Project};
pub use search::{Hit, Learned, Search, TextField};
pub use settings::JournalSettings;
pub use since::{Found, Since};
pub use since_time::{SinceTime, TimeRules, Unsure};
pub use slice::{EventRow, Place, Read, Slice};
pub use want::{TakenWant, Want, WantError, Wanted};
