//! What can go wrong with statistics. No file is held up by any of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sqlite_file::Defect;

/// Why the statistics cannot be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StatsError {
    /// The file cannot be made or opened.
    #[error("{}: {source}; give --data a folder that can be read and written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is nothing to read.
    #[error("there are no statistics in {}; name the relay's folder with --data", folder.display())]
    None {
        /// The data folder.
        folder: PathBuf,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "{}: {source}; the file is damaged or holds no statistics. Nothing was deleted: move it away, and counting \
         begins anew",
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
        "{} has schema {found}, and this cheesewire knows up to {known}; run the newer cheesewire that wrote it, or \
         move the file away",
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
    /// No room on the disk. What is counted stays in memory until there is.
    #[error("{}: the disk is full", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Another process collects from mirrors into this folder.
    #[error("another process collects into {} at the moment; try again when it is done", folder.display())]
    Collecting {
        /// The data folder.
        folder: PathBuf,
    },
    /// SQLite refused for another reason.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// A temporary file for a report cannot be made, written or read.
    #[error("a report cannot be written: {0}")]
    Report(Arc<io::Error>),
    /// Rows that were read could not be written where they were to go.
    #[error("{0}")]
    Output(Arc<io::Error>),
    /// The relay stops. What was begun goes on after the next start.
    #[error("the relay stops")]
    Stopped,
    /// A task of ours died, which its log names.
    #[error("a fault of the relay's, which its log names")]
    Lost,
}

impl StatsError {
    /// What it is, without the paths of this machine: for whoever is not who runs the relay.
    pub fn reason(&self) -> String {
        match self {
            Self::File { source, .. } => format!("the file cannot be used: {}", source.kind()),
            Self::None { .. } => "there are no statistics".to_owned(),
            Self::Broken { .. } => "the file is damaged".to_owned(),
            Self::Foreign { .. } => "the file is another program's".to_owned(),
            Self::Newer { .. } => "a newer cheesewire wrote the file".to_owned(),
            Self::Full { .. } => "the disk is full".to_owned(),
            Self::Collecting { .. } => "another process collects".to_owned(),
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(code) => format!("the file failed: {code:?}"),
                None => "the file failed".to_owned(),
            },
            Self::Report(source) => format!("a report cannot be written: {}", source.kind()),
            Self::Output(source) => source.kind().to_string(),
            Self::Stopped | Self::Lost => self.to_string(),
        }
    }

    /// Says what is wrong with the database at `path`: what SQLite said, or what was found on opening it.
    pub(super) fn sqlite(path: &Path, defect: impl Into<Defect>) -> Self {
        let path = path.to_owned();
        match defect.into() {
            Defect::Unusable(source) => Self::File { path, source: Arc::new(source) },
            Defect::Damaged(source) => Self::Broken { path, source: Arc::new(source) },
            Defect::Foreign => Self::Foreign { path },
            Defect::Newer { found, known } => Self::Newer { path, found, known },
            Defect::Full => Self::Full { path },
            Defect::Other(source) => Self::Sqlite { path, source: Arc::new(source) },
        }
    }

    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl From<io::Error> for StatsError {
    fn from(source: io::Error) -> Self {
        Self::Report(Arc::new(source))
    }
}
