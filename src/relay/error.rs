//! What can go wrong between a request for a file and its last byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::index::IndexError;
use crate::journal::{JournalError, Tombstone};
use crate::model::Digest;
use crate::upstream::UpstreamError;

/// Why a fetch brought no file: upstream's side, but for [`FetchError::Lost`]. `Clone`, because all who
/// waited for one fetch get the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Upstream did not give it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The bytes are not those that the index promised.
    #[error("upstream sent a wrong file: {} is {}, should be {}", actual.algorithm().name(), actual.digits(), expected.digits())]
    Digest {
        /// What the index states.
        expected: Box<Digest>,
        /// What came.
        actual: Box<Digest>,
    },
    /// The size is not the one that the index, or upstream's first answer, stated.
    #[error("upstream sent a wrong file: {sent} bytes, should be {stated}")]
    Size {
        /// What was stated.
        stated: u64,
        /// What came, or was announced.
        sent: u64,
    },
    /// Larger than the settings allow.
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// Upstream does not give it; it has been asked for elsewhere (`push.from`), and has not come yet.
    #[error("the file is not here yet: upstream does not give it, and it was asked for elsewhere")]
    Awaited {
        /// When to come back.
        retry: Duration,
    },
    /// Who was asked for it says that there is no such file any more.
    #[error("the file was deleted")]
    Deleted,
    /// Who was asked for it as often as the settings allow has sent nothing.
    #[error(
        "upstream does not give the file, and what was asked for it instead has sent nothing (push.from)"
    )]
    Unsent,
    /// It cannot be asked for elsewhere: nothing would tell whether what comes is right.
    #[error(
        "files are not fetched from upstream (push.only), and the index states no digest of this one to ask for it by"
    )]
    NoDigest,
    /// What was sent of it ended too soon.
    #[error("the upload of the file broke off")]
    Cut,
    /// What was sent begins with other bytes than those that upstream sent before it broke off.
    #[error("the upload of the file has other bytes than upstream sent before it failed")]
    OtherBytes,
    /// It was sent here, and there is no room for it.
    #[error("the file came, and cannot be kept: {0}")]
    Unkept(Arc<str>),
    /// It came so slowly that its turn went to others.
    #[error("the file came too slowly, and others were waiting")]
    Slow,
    /// Ours: the fetch stopped without a result.
    #[error("the fetch was lost")]
    Lost,
}

/// Why a request for a file has no answer, or an answer no end.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The index does not know the file, or cannot be asked.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The file is known to be gone: nobody was asked.
    #[error("{}", .0.reason)]
    Gone(Tombstone),
    /// Upstream's side.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Ours: as many files are on their way as the settings allow. A retry helps.
    #[error("too many files are being fetched")]
    Busy,
    /// Ours: a kept or arriving file cannot be read. A retry may help.
    #[error("cannot read a file: {0}")]
    Disk(#[from] io::Error),
}

/// What cannot be looked up here is the index's failure, whoever looked.
impl From<JournalError> for RelayError {
    fn from(error: JournalError) -> Self {
        Self::Index(error.into())
    }
}

impl FetchError {
    /// Other bytes than the index promised.
    pub(super) fn wrong(expected: Digest, actual: Digest) -> Self {
        Self::Digest { expected: expected.into(), actual: actual.into() }
    }

    /// The transfer broke off, and the rest of it may still be had.
    pub(super) fn resumable(&self) -> bool {
        match self {
            Self::Upstream(error) => match error {
                UpstreamError::Unreachable(_) | UpstreamError::TimedOut | UpstreamError::Broken(_) => true,
                UpstreamError::Status(status) => *status >= 500,
                UpstreamError::Absent(_)
                | UpstreamError::Limited { .. }
                | UpstreamError::TooLarge(_)
                | UpstreamError::Unexpected(_)
                | UpstreamError::Fault(_)
                | UpstreamError::Refused(_)
                | UpstreamError::Bundled
                | UpstreamError::Settings(_) => false,
            },
            Self::Digest { .. }
            | Self::Size { .. }
            | Self::TooLarge(_)
            | Self::Awaited { .. }
            | Self::Deleted
            | Self::Unsent
            | Self::NoDigest
            | Self::Cut
            | Self::OtherBytes
            | Self::Unkept(_)
            | Self::Slow
            | Self::Lost => false,
        }
    }

    /// Upstream refuses the file, or cannot give it, but does not say that there is none: it may be had elsewhere.
    pub(super) fn may_be_brought(&self) -> bool {
        match self {
            Self::Upstream(cause) => !matches!(cause, UpstreamError::Absent(_)),
            Self::Digest { .. } | Self::Size { .. } => true,
            // More than the settings allow is too large wherever it comes from.
            Self::TooLarge(_)
            | Self::Awaited { .. }
            | Self::Deleted
            | Self::Unsent
            | Self::NoDigest
            | Self::Cut
            | Self::OtherBytes
            | Self::Unkept(_)
            | Self::Slow
            | Self::Lost => false,
        }
    }
}
