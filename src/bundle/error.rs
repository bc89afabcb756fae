//! Why there is no bundle, or none is imported.

use std::io;
use std::path::{Path, PathBuf};

use crate::blob::OpenError;
use crate::journal::{BundlePartError, JournalError};
use crate::model::Sha256;
use crate::signing::BundleKeyError;

/// Why there is no bundle, or none is imported. Nothing that is answered is changed by any of it.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is nothing to export.
    #[error("there is no journal in {}, so nothing to export; name the relay's folder with --data", .0.display())]
    NoJournal(PathBuf),
    /// No file is overwritten.
    #[error("{} is there already; name another file with --to", .0.display())]
    Exists(PathBuf),
    /// A kept file's bytes are others than its name says.
    #[error(
        "the kept file {0} is damaged; cheesewire cache verify finds and removes such files, or leave files out with --without-files"
    )]
    Damaged(Sha256),
    /// The importer was given no key.
    #[error(
        "no public key is given; set bundle.public_key or --key to the file with what `cheesewire bundle key` prints where the \
         bundle was made"
    )]
    NoKey,
    /// The key can't be had.
    #[error(transparent)]
    Key(#[from] BundleKeyError),
    /// It is no bundle, or only the beginning of one.
    #[error("{} is no bundle, or only a part of one: {reason}; nothing of it was taken", path.display())]
    Misshapen {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Its signature is wrong.
    #[error(
        "{} is not signed with the key that is given, or was changed afterwards; nothing of it was taken. The key is the one that \
         `cheesewire bundle key` prints where the bundle was made",
        .0.display()
    )]
    NotSigned(PathBuf),
    /// A part has not the digest that is signed.
    #[error("{}: {part} is not as it was when the bundle was made; nothing of it was taken. Copy the bundle again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: String,
    },
    /// A later program made it.
    #[error("{} has form {found}, and this cheesewire knows up to {known}; use a cheesewire as new as the exporter's", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: u32,
        /// The newest form that this program knows.
        known: u32,
    },
    /// The journal makes or takes no part.
    #[error(transparent)]
    Part(#[from] BundlePartError),
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The package files can't be read or written.
    #[error(transparent)]
    Files(#[from] OpenError),
    /// The disk failed, or is full.
    #[error("{}: {source}; nothing was taken, and nothing half done is left", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl BundleError {
    pub(super) fn disk(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path: path.clone(), source }
    }
}
