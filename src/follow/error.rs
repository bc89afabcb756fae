//! Why a question to upstream did not bring the journal further.

use std::time::Duration;

use crate::journal::{JournalError, WantError};
use crate::model::Serial;
use crate::upstream::UpstreamError;

/// When to come back if nothing says when: the cause is not one that passes within seconds.
const LATER: Duration = Duration::from_mins(1);
/// When to come back at the earliest for what is only a matter of time.
const SOON: Duration = Duration::from_secs(1);

/// A failure of upstream's or ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// Upstream's.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Ours: what came could not be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Upstream's: it has lost events that it once numbered.
    #[error(
        "upstream has nothing after serial {since}, its last serial is {last}: it was restored from an older copy"
    )]
    Lost {
        /// What was asked.
        since: Serial,
        /// Upstream's last serial now.
        last: Serial,
    },
    /// Upstream's: it contradicts itself. Its last serial is that of an event, so there is one.
    #[error("upstream's last serial is {last}, yet it tells of nothing after serial {since}")]
    Withheld {
        /// What was asked.
        since: Serial,
        /// Upstream's last serial.
        last: Serial,
    },
    /// Upstream's: its last serial is lower than it was, and what it tells is not what it told before.
    #[error(
        "upstream's last serial went back from {known} to {last}, and new events may hide below: in {} s it is taken for \
         restored from an older copy",
        .left.as_secs()
    )]
    Behind {
        /// Its last serial before.
        known: Serial,
        /// Its last serial now.
        last: Serial,
        /// How long it has to stay so.
        left: Duration,
    },
    /// Upstream's: the last row that it told before is another now, as if it had been restored from an older copy and had
    /// passed its last serial of then since.
    #[error(
        "upstream's changelog has another row {known} than before, and new events may hide below: in {} s it is taken for \
         restored from an older copy",
        .left.as_secs()
    )]
    Overtaken {
        /// The row's serial.
        known: Serial,
        /// How long it has to stay so.
        left: Duration,
    },
    /// Upstream's: its last serial is far beyond the pace of before.
    #[error("upstream's last serial is {said}, and nothing beyond {most} is plausible: it is asked again")]
    Leap {
        /// What it says.
        said: Serial,
        /// What is plausible.
        most: Serial,
        /// When it is asked again.
        retry: Duration,
    },
    /// Upstream's: it was restored from an older copy, and its listing is from before that.
    #[error(
        "upstream's listing{}, is not from after upstream was restored to an older copy, at {last}",
        listed.map_or_else(|| ", without serials".to_owned(), |serial| format!(", of serial {serial}"))
    )]
    OldListing {
        /// The listing's serial, if it states any.
        listed: Option<Serial>,
        /// Upstream's last serial.
        last: Serial,
    },
    /// Upstream's: it was restored from an older copy, and its listing could not be compared so far.
    #[error("upstream was restored from an older copy, and what its listing says now is not known yet")]
    Unsettled,
    /// Upstream's: it has no XML-RPC, so what happened before its listings were compared cannot be had.
    #[error("upstream has no XML-RPC, and its listings do not tell what happened before the first")]
    NoCalls {
        /// When it will be looked for again.
        retry: Duration,
    },
    /// Upstream's: it has neither XML-RPC nor serials that say anything, and more pages than are compared.
    #[error("what changes is not known: {0}")]
    Untold(String),
    /// Upstream's: its listing has left out the serials that it had before.
    #[error("upstream has no XML-RPC and its listing lacks the serials that it had before")]
    NoSerials,
    /// Upstream's listing of all projects could not be had so far; the poller goes on trying.
    #[error("upstream's listing of projects could not be had so far")]
    NoListing,
}

impl FollowError {
    /// When the same question may have another answer; `None` if nobody said.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream(error) => error.retry_after(),
            Self::Journal(_)
            | Self::Lost { .. }
            | Self::Withheld { .. }
            | Self::Behind { .. }
            | Self::Overtaken { .. }
            | Self::Leap { .. }
            | Self::OldListing { .. }
            | Self::Unsettled
            | Self::NoCalls { .. }
            | Self::Untold(_)
            | Self::NoSerials
            | Self::NoListing => None,
        }
    }

    /// Nothing helps but a hand: a person should hear of it.
    pub(super) fn needs_a_hand(&self) -> bool {
        match self {
            Self::Journal(error) => !error.retry_helps(),
            Self::Upstream(_)
            | Self::Lost { .. }
            | Self::Withheld { .. }
            | Self::Behind { .. }
            | Self::Overtaken { .. }
            | Self::Leap { .. }
            | Self::OldListing { .. }
            | Self::Unsettled
            | Self::NoCalls { .. }
            | Self::Untold(_)
            | Self::NoSerials
            | Self::NoListing => false,
        }
    }

    /// What it is for who asks from outside: without paths of this machine.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Journal(error) => error.reason(),
            Self::Upstream(_)
            | Self::Lost { .. }
            | Self::Withheld { .. }
            | Self::Behind { .. }
            | Self::Leap { .. }
            | Self::OldListing { .. }
            | Self::Unsettled
            | Self::NoCalls { .. }
            | Self::Overtaken { .. }
            | Self::Untold(_)
            | Self::NoSerials
            | Self::NoListing => self.to_string(),
        }
    }

    /// What the callers who wait are told.
    pub(super) fn for_callers(&self) -> WantError {
        let retry = match self {
            Self::Untold(_) | Self::Upstream(UpstreamError::Bundled) => {
                return WantError { reason: self.to_string(), retry: None };
            }
            Self::NoCalls { retry } | Self::Leap { retry, .. } => *retry,
            Self::Behind { left, .. } | Self::Overtaken { left, .. } => (*left).clamp(SOON, LATER),
            Self::Upstream(_)
            | Self::Journal(_)
            | Self::Lost { .. }
            | Self::Withheld { .. }
            | Self::OldListing { .. }
            | Self::Unsettled
            | Self::NoSerials
            | Self::NoListing => self.retry_after().unwrap_or(LATER),
        };
        WantError { reason: self.reason(), retry: Some(retry) }
    }

    /// The word for metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Upstream(UpstreamError::Limited { .. }) => "limited",
            Self::Upstream(
                UpstreamError::Absent(_)
                | UpstreamError::Status(_)
                | UpstreamError::Unreachable(_)
                | UpstreamError::TimedOut
                | UpstreamError::TooLarge(_)
                | UpstreamError::Broken(_)
                | UpstreamError::Unexpected(_)
                | UpstreamError::Fault(_)
                | UpstreamError::Refused(_)
                | UpstreamError::Bundled
                | UpstreamError::Settings(_),
            ) => "upstream",
            Self::Journal(_) => "journal",
            Self::Lost { .. } => "lost",
            Self::Withheld { .. } => "withheld",
            Self::Behind { .. } => "behind",
            Self::Overtaken { .. } => "overtaken",
            Self::Leap { .. } => "leap",
            Self::OldListing { .. } => "old_listing",
            Self::Unsettled => "unsettled",
            Self::NoCalls { .. } => "no_calls",
            Self::Untold(_) => "untold",
            Self::NoSerials => "no_serials",
            Self::NoListing => "no_listing",
        }
    }
}
