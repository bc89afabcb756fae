//! Simple pages and JSON documents: fetched once for all who wait, kept, revalidated, rewritten to our
//! addresses, rendered (docs/wire.md section 7); and which files they name.

mod about;
mod agents;
mod content;
mod core_metadata;
mod derived;
mod error;
mod facade;
mod files;
mod json;
mod keep;
mod kept_md5;
mod known;
mod learn;
mod learned;
mod line;
mod location;
mod md5;
mod paired;
mod parsed;
mod removal;
mod rendered;
mod root;
mod settings;
mod shared;
mod signed;
mod source;
#[doc(hidden)]
pub mod test_api;
mod text;
mod unadvertised;
mod unknown;
mod unknown_budget;
mod unstated;
mod write_html;
mod write_json;

pub use crate::journal::{KnownFile, Tombstone, TombstoneKind};
pub use crate::upstream::{CoreMetadata, PageFile, ProjectPage, ProjectStatus, Yanked};
pub use about::{About, ProjectSheet, SheetFile};
pub use agents::Agents;
pub use error::{IndexError, Side};
pub use facade::Index;
pub use files::{Located, Validity};
pub use json::JsonDocument;
pub use kept_md5::KeptMd5;
pub use rendered::{Compressed, Compressing, Form, Rendered};
pub use root::RootListing;
pub use settings::{IndexSettings, LearnSettings};
pub use signed::{PageSignature, SignatureError, Signatures};
pub use text::Pieces;
