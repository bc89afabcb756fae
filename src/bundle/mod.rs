//! Bundles: what a relay knows and keeps, in one file that is carried to a relay without a network (docs/operate.md, "Machines
//! without a network").
//!
//! A bundle is a tar archive of regular files in one order and no other: what it holds (`bundle.json`), the signature of that, the
//! journal's part, package files in the order of their digests, how many those were (`end.json`), and the signature of that. So
//! nothing that is not signed is ever unpacked, and whoever exports needs no more memory for a large cache than for a small one.
//! An importer reads it twice: first to see that it is whole and as it was written, then to take it.

mod error;
mod export;
mod import;
mod manifest;
mod settings;
mod walk;

pub use error::BundleError;
pub use export::{ExportJob, Exported};
pub use import::{ImportJob, Imported};
pub use settings::BundleSettings;
