//! Backups: a copy of a data folder that a relay may be working on, and a data folder that is made of one.
//!
//! A backup is a folder. Its parts have the names that they have in the data folder; [`Manifest`] is written when all of them
//! are on the disk, so a backup that was killed, or had no room, is not taken for one. A restore puts the journal in last, and
//! until that is done no relay starts on the folder.

mod error;
mod manifest;
mod put_back;
mod take;

pub use error::BackupError;
pub use manifest::{Files, Manifest, Part};
pub use put_back::{PutBack, RestoreJob};
pub use take::BackupJob;
