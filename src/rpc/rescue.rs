//! Which fault a failure of a part becomes. Clients see the reason, never our insides.

use std::time::Duration;

use super::search::SearchError;
use crate::index::{IndexError, Side};
use crate::journal::{JournalError, WantError};
use crate::upstream::UpstreamError;
use crate::xmlrpc::Fault;

/// When to come back after a failure that names no time of its own.
const RETRY: Duration = Duration::from_mins(1);

impl From<WantError> for Fault {
    fn from(error: WantError) -> Self {
        tracing::debug!(%error, "upstream could not answer a question of the journal");
        match error.retry {
            Some(retry) => Self::unavailable(retry),
            None => Self::raised("RuntimeError", &error.reason),
        }
    }
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the journal failed");
        Self::internal()
    }
}

impl From<SearchError> for Fault {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::TooManyWords(_) => Self::raised("ValueError", &error.to_string()),
            SearchError::Unknown(error) => error.into(),
            SearchError::Late(retry) => Self::unavailable(retry),
            SearchError::Journal(error) => error.into(),
        }
    }
}

impl From<UpstreamError> for Fault {
    fn from(error: UpstreamError) -> Self {
        match error {
            // It is upstream's answer to the same question.
            UpstreamError::Fault(fault) => fault,
            // There is nothing to come back for before somebody imports it.
            UpstreamError::Bundled => Self::raised("RuntimeError", &error.to_string()),
            UpstreamError::Absent(_)
            | UpstreamError::Status(_)
            | UpstreamError::Limited { .. }
            | UpstreamError::Unreachable(_)
            | UpstreamError::TimedOut
            | UpstreamError::TooLarge(_)
            | UpstreamError::Broken(_)
            | UpstreamError::Unexpected(_)
            | UpstreamError::Refused(_)
            | UpstreamError::Settings(_) => {
                tracing::warn!(%error, "upstream could not answer a call");
                Self::unavailable(error.retry_after().unwrap_or(RETRY))
            }
        }
    }
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        // Who calls is told what upstream said, however long that is.
        let error = match error {
            IndexError::Unconfirmed(error) => return error.into(),
            error => error,
        };
        match error.side() {
            // What does not exist is an empty answer, which the methods give; an upstream that has no JSON
            // API is no better tomorrow, but may be switched.
            Side::Client | Side::UpstreamBroken => {
                tracing::warn!(%error, "upstream could not answer a call");
                Self::unavailable(RETRY)
            }
            Side::UpstreamDown(retry) => {
                tracing::warn!(%error, "upstream could not answer a call");
                Self::unavailable(retry)
            }
            Side::NotImported => Self::raised("RuntimeError", &error.to_string()),
            Side::Ours => {
                tracing::error!(%error, "the index failed");
                Self::internal()
            }
        }
    }
}
