//! Why a page, a document or a file cannot be had.

use std::time::Duration;

use crate::journal::JournalError;
use crate::memo::FillError;
use crate::revalidate::Unanswered;
use crate::upstream::UpstreamError;

/// When to come back for a name that upstream could not be asked for: installers ask for names that are not there all the
/// time, and pip waits so long five times. Without the field, or with 0, it would wait 7.5 s in all. Not less: each time
/// upstream is asked again, within the budget of such names.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// When to come back for what upstream is being asked for.
pub(super) const LATE_RETRY: Duration = Duration::from_secs(5);

/// A question that has no answer. `Clone`, because all who waited for one fetch get the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// Upstream has no project of that name.
    #[error("no such project")]
    NoSuchProject,
    /// The project has no such release.
    #[error("no such release")]
    NoSuchRelease,
    /// No page or document of upstream's names such a file.
    #[error("no such file")]
    NoSuchFile,
    /// Upstream failed, and nothing kept can answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Upstream is being asked, and has not answered yet.
    #[error("upstream has not answered yet")]
    NotYet {
        /// When to come back.
        retry: Duration,
    },
    /// Upstream failed, and nobody has told of a project of that name. It may be there: this is no "no such project".
    #[error("whether there is such a project is not known: {0}")]
    Unconfirmed(UpstreamError),
    /// Upstream's copies are older than a removal that its changelog tells: they must not go out.
    #[error("upstream's page is older than a removal in its changelog")]
    BeforeRemoval {
        /// When to come back.
        retry: Duration,
    },
    /// Our own store failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A task of ours died.
    #[error("a task that was to answer has died")]
    Lost,
}

/// Whose side a failure is on, and whether asking again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What was asked for does not exist.
    Client,
    /// Upstream cannot answer now; it may when this has passed.
    UpstreamDown(Duration),
    /// Upstream answers, but not with what was asked for.
    UpstreamBroken,
    /// There is no upstream, and what was asked for was not imported.
    NotImported,
    /// Us.
    Ours,
}

impl IndexError {
    /// Whose side it is on.
    pub fn side(&self) -> Side {
        match self {
            Self::NoSuchProject | Self::NoSuchRelease | Self::NoSuchFile => Side::Client,
            Self::NotYet { retry } | Self::BeforeRemoval { retry } => Side::UpstreamDown(*retry),
            Self::Upstream(UpstreamError::Bundled) | Self::Unconfirmed(UpstreamError::Bundled) => {
                Side::NotImported
            }
            Self::Unconfirmed(error) => {
                let retry = error.retry_after().unwrap_or(SHORT);
                Side::UpstreamDown(retry.min(SHORT))
            }
            Self::Upstream(error) => match error {
                UpstreamError::Absent(_) => Side::Client,
                UpstreamError::Bundled => Side::NotImported,
                UpstreamError::Unexpected(_)
                | UpstreamError::TooLarge(_)
                | UpstreamError::Fault(_)
                | UpstreamError::Refused(_)
                | UpstreamError::Settings(_) => Side::UpstreamBroken,
                UpstreamError::Status(_)
                | UpstreamError::Limited { .. }
                | UpstreamError::Unreachable(_)
                | UpstreamError::TimedOut
                | UpstreamError::Broken(_) => {
                    error.retry_after().map_or(Side::UpstreamBroken, Side::UpstreamDown)
                }
            },
            Self::Journal(_) | Self::Lost => Side::Ours,
        }
    }
}

impl From<FillError<IndexError>> for IndexError {
    fn from(error: FillError<IndexError>) -> Self {
        match error {
            FillError::Failed(error) => error,
            FillError::Lost => Self::Lost,
        }
    }
}

impl From<Unanswered<Self>> for IndexError {
    fn from(error: Unanswered<Self>) -> Self {
        match error {
            Unanswered::Absent => Self::NoSuchProject,
            Unanswered::Late => Self::NotYet { retry: LATE_RETRY },
            Unanswered::Silent(retry) => Self::NotYet { retry },
            Unanswered::BeforeRemoval(retry) => Self::BeforeRemoval { retry },
            Unanswered::Lost => Self::Lost,
            Unanswered::Failed(error) => error,
        }
    }
}
