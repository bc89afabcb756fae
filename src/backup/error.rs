//! Why there is no backup, or none is put back.

use std::io;
use std::path::{Path, PathBuf};

use crate::blob::OpenError;
use crate::journal::JournalError;
use crate::model::UpstreamIdentity;
use crate::stats::StatsError;

/// Why there is no backup, or none is put back. Nothing that was there before is changed by any of it, and of a backup nothing
/// half done is left.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("there is no journal in {}, so nothing to back up; name the relay's folder with --data", .0.display())]
    NoJournal(PathBuf),
    /// A backup needs a folder of its own.
    #[error("{} is not empty; name a new folder for the backup", .0.display())]
    NotEmpty(PathBuf),
    /// It is no backup, or one that did not end.
    #[error("{} holds no backup, or one that did not end: it has no backup.json", .0.display())]
    NoBackup(PathBuf),
    /// What the manifest says cannot be read.
    #[error("{}: {reason}; take another backup", path.display())]
    Misshapen {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later program made it.
    #[error("{} has form {found}, and this cheesewire knows up to {known}; use the newer cheesewire that wrote it", path.display())]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Its form.
        found: u32,
        /// The newest form that this program knows.
        known: u32,
    },
    /// A part is not as it was written.
    #[error("{} is not as it was when the backup was taken; use another backup", .0.display())]
    Altered(PathBuf),
    /// The data folder has something already that the backup would replace.
    #[error("{} is there already; give --data an empty folder, or move it away", .0.display())]
    Occupied(PathBuf),
    /// It was taken before another upstream.
    #[error(
        "the backup is of the upstream {of}, and {asked} is another one; leave --upstream out, and if the index has moved, give the \
         folder to its new address afterwards with cheesewire adopt"
    )]
    OtherUpstream {
        /// Whose packages the backup tells of.
        of: String,
        /// What was asked for.
        asked: UpstreamIdentity,
    },
    /// Numbers would leave what clients can read.
    #[error(
        "serials above {told} do not fit what XML-RPC can carry ({}); give the last serial that the lost relay told with \
         --told SERIAL",
        i32::MAX
    )]
    TooHigh {
        /// Above which number the relay's own would go on.
        told: i64,
    },
    /// The journal can't be copied or put back.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The statistics can't be copied.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The package files can't be copied.
    #[error(transparent)]
    Files(#[from] OpenError),
    /// A restore was begun, and did not end.
    #[error(
        "{cause}; {} is not whole, and no relay starts on it: mend that, and run cheesewire restore again",
        folder.display()
    )]
    Unfinished {
        /// The data folder.
        folder: PathBuf,
        /// What went wrong.
        cause: Box<BackupError>,
    },
    /// The disk failed, or is full.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl BackupError {
    pub(super) fn disk(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path: path.clone(), source }
    }
}
