//! What can go wrong with the journal. All of it is on our side: no client and no upstream is to blame.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::model::UpstreamIdentity;
use crate::sqlite_file::Defect;

/// Why the journal cannot be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The folder or the lock file in it cannot be made.
    #[error("{}: {source}; give --data a folder that can be written", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process has the folder open.
    #[error("{} is in use by another process; stop it, or give this one another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// There is a journal already where one is to be put.
    #[error("{} holds a journal already; give --data an empty folder, or move the journal away", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A backup was begun to be put there, and is not whole.
    #[error("{}: a restore of a backup did not end here; run `cheesewire restore` again", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "{}: {source}; the file is damaged or not a journal. Nothing was deleted: move it away, and a new \
         journal is filled from upstream",
        path.display()
    )]
    Broken {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// A sound SQLite database, but another program's.
    #[error("{} is another program's database; move it away, or give another folder", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// A newer cheesewire wrote it.
    #[error(
        "{} has schema {found}, and this cheesewire knows up to {known}; run the newer cheesewire that wrote it, \
         or give another folder",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The folder was filled from another upstream. Its journal was not changed.
    #[error(
        "{} belongs to the upstream {belongs_to}, and {asked} is another one; give each upstream a folder of its own \
         (--data). If it is the same index at a new address: cheesewire adopt with this --data and --upstream",
        path.display()
    )]
    OtherUpstream {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        belongs_to: UpstreamIdentity,
        /// Who was to fill it now.
        asked: UpstreamIdentity,
    },
    /// No room on the disk. What is kept stays readable.
    #[error("{}: the disk is full", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// The system gave no thread, or no memory.
    #[error("the system refuses what the journal needs: {source}")]
    System {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// SQLite refused for another reason.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// A job of ours panicked; nothing of it is kept.
    #[error("{}: a fault of the relay's, which its log names; nothing of it was kept", path.display())]
    Panicked {
        /// The database file.
        path: PathBuf,
    },
    /// The journal was closed, or its writer died.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Whether the same request can work later without anybody touching the folder's files.
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Sqlite { .. } | Self::System { .. } => true,
            Self::Folder { .. }
            | Self::InUse { .. }
            | Self::Taken { .. }
            | Self::Unfinished { .. }
            | Self::Broken { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::OtherUpstream { .. }
            | Self::Panicked { .. }
            | Self::Closed => false,
        }
    }

    /// Nothing can be written, or a part of the file not be read, because of the disk or the system.
    pub(super) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Folder { .. } | Self::Broken { .. } | Self::Full { .. } | Self::System { .. } => true,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::FileLockingProtocolFailed
                )
            ),
            Self::InUse { .. }
            | Self::Taken { .. }
            | Self::Unfinished { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::OtherUpstream { .. }
            | Self::Panicked { .. }
            | Self::Closed => false,
        }
    }

    /// What it is, without the paths of this machine: for whoever is not who runs the relay.
    pub fn reason(&self) -> String {
        match self {
            Self::Folder { source, .. } => {
                format!("the journal's folder or file cannot be used: {}", source.kind())
            }
            Self::InUse { .. } => "the journal is in use by another process".to_owned(),
            Self::Taken { .. } => "there is a journal already".to_owned(),
            Self::Unfinished { .. } => "a restore of a backup did not end".to_owned(),
            Self::Broken { .. } => "the journal is damaged".to_owned(),
            Self::Foreign { .. } => "the journal is another program's database".to_owned(),
            Self::Newer { .. } => "a newer cheesewire wrote the journal".to_owned(),
            Self::OtherUpstream { .. } => "the journal belongs to another upstream".to_owned(),
            Self::Full { .. } => "the disk is full".to_owned(),
            Self::System { source } => {
                format!("the system refuses what the journal needs: {}", source.kind())
            }
            // SQLite's own text may name its file.
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(code) => format!("the journal failed: {code:?}"),
                None => "the journal failed".to_owned(),
            },
            Self::Panicked { .. } => "a fault of the relay's, which its log names".to_owned(),
            Self::Closed => self.to_string(),
        }
    }

    /// Says what is wrong with the database at `path`: what SQLite said, or what was found on opening it.
    pub(super) fn sqlite(path: &Path, defect: impl Into<Defect>) -> Self {
        let path = path.to_owned();
        match defect.into() {
            Defect::Unusable(source) => Self::Folder { path, source: Arc::new(source) },
            Defect::Damaged(source) => Self::Broken { path, source: Arc::new(source) },
            Defect::Foreign => Self::Foreign { path },
            Defect::Newer { found, known } => Self::Newer { path, found, known },
            Defect::Full => Self::Full { path },
            Defect::Other(source) => Self::Sqlite { path, source: Arc::new(source) },
        }
    }

    pub(super) fn system(source: io::Error) -> Self {
        Self::System { source: Arc::new(source) }
    }

    pub(super) fn folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), source: Arc::new(source) }
    }
}
