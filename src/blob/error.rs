//! Why a store does not open, and why a file is not kept. All of them are our side's.

use std::io;
use std::path::PathBuf;

/// The store cannot be used at all; a retry helps only after somebody has acted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{0} is in use by another process; each relay needs a folder of its own")]
    InUse(PathBuf),
    /// The folder cannot be made or read.
    #[error("cannot use {folder}: {cause}")]
    Folder {
        /// The store's folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// The file is served but not kept. A later file may fit.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Larger than the bound, or it would leave less free space than the floor.
    #[error("no room: the bound or the floor of free space is reached")]
    NoRoom,
    /// The folder was read-only when the store was opened.
    #[error("the folder is read-only")]
    ReadOnly,
    /// The disk is full, broken, or was changed under us.
    #[error("the disk refused: {0}")]
    Disk(#[from] io::Error),
}
