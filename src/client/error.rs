//! What can go wrong between a client and its relay, and whether it helps to ask again.

use std::time::Duration;

use crate::model::innermost;

/// After a failure that may pass, where the relay does not say when to come back.
const UNSAID: Duration = Duration::from_secs(10);
/// The longest wait that is heeded: a relay that says more may be wrong by then.
const LONGEST: Duration = Duration::from_mins(5);

/// A question that has no answer. Carries no password and nothing of what was answered instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{relay}: {request}: {reason}")]
pub struct ClientError {
    /// The relay's address, without user and password.
    pub relay: String,
    /// What was asked: a method's name, or the path of a page or a file.
    pub request: String,
    /// Why there is no answer.
    pub reason: Reason,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The relay refused the call, or cannot answer now (docs/wire.md section 3).
    #[error("fault {code}: {words}")]
    Fault {
        /// `faultCode`.
        code: i32,
        /// `faultString`.
        words: String,
    },
    /// An HTTP status that is no success.
    #[error("the relay answered {status}")]
    Status {
        /// The status.
        status: u16,
        /// `Retry-After`, if it is a number of seconds.
        retry: Option<Duration>,
    },
    /// No connection, or it was lost before an answer.
    #[error("the relay cannot be reached: {0}")]
    Unreachable(String),
    /// One of the timeouts of [`ClientSettings`](super::ClientSettings).
    #[error("the relay took too long")]
    TimedOut,
    /// The answer broke off.
    #[error("the relay's answer broke off: {0}")]
    Broken(String),
    /// More bytes than [`ClientSettings::answer_limit`](super::ClientSettings::answer_limit).
    #[error("the relay's answer has more than {0} bytes")]
    TooLarge(usize),
    /// An answer that is not what was asked for; says what was seen.
    #[error("the relay answered with {0}")]
    Unexpected(String),
    /// Not sent: an address or an argument that cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl ClientError {
    /// After which time asking again may help, at most 5 min; `None` if the same question would get the same answer.
    pub fn retry_after(&self) -> Option<Duration> {
        let wait = match &self.reason {
            Reason::Fault { .. } | Reason::Status { .. } => self.said()?,
            Reason::Unreachable(_) | Reason::TimedOut | Reason::Broken(_) => UNSAID,
            // A proxy before a relay that is down has a page that says so.
            Reason::Unexpected(_) => Duration::from_mins(1),
            Reason::TooLarge(_) | Reason::Unusable(_) => return None,
        };
        Some(wait.min(LONGEST))
    }

    /// The relay itself answered that it cannot answer now: it works on it, or asks for a pause.
    pub(super) fn later(&self) -> bool {
        self.said().is_some()
    }

    fn said(&self) -> Option<Duration> {
        match &self.reason {
            Reason::Fault { code: -32403, words } => {
                Some(seconds_after(words, "retry in ").unwrap_or(UNSAID))
            }
            Reason::Fault { words, .. } if words.starts_with("HTTPTooManyRequests") => {
                Some(seconds_after(words, "reset in ").unwrap_or(UNSAID))
            }
            Reason::Status { status: 429 | 500.., retry } => Some(retry.unwrap_or(UNSAID)),
            _ => None,
        }
    }

    /// A page or a file that failed so may be asked for again at once.
    pub(super) fn worth_repeating(&self) -> bool {
        matches!(
            self.reason,
            Reason::Unreachable(_) | Reason::Broken(_) | Reason::Status { status: 500.., .. }
        )
    }
}

impl Reason {
    /// From the transport's error. Its address is dropped: it may carry a password.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let reason = innermost(&error);
        if error.is_connect() {
            Self::Unreachable(reason)
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_builder() {
            Self::Unusable(reason)
        } else if error.is_redirect() {
            Self::Unexpected(format!("redirects that are not followed: {reason}"))
        } else if error.is_body() || error.is_decode() {
            Self::Broken(reason)
        } else {
            Self::Unreachable(reason)
        }
    }
}

/// The seconds that a text states after some words.
fn seconds_after(text: &str, words: &str) -> Option<Duration> {
    let (_, rest) = text.split_once(words)?;
    rest.split(' ').next()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(reason: Reason) -> Option<u64> {
        let error = ClientError { relay: "http://relay.test/".to_owned(), request: "m".to_owned(), reason };
        error.retry_after().map(|wait| wait.as_secs())
    }

    #[test]
    fn a_retry_helps_when_the_relay_says_so_or_was_not_heard() {
        let fault = |code, words: &str| wait(Reason::Fault { code, words: words.to_owned() });
        assert_eq!(fault(-32403, "server error; service unavailable; retry in 7 s"), Some(7));
        assert_eq!(fault(-32403, "server error; service unavailable"), Some(10));
        assert_eq!(fault(-32403, "server error; service unavailable; retry in 99999 s"), Some(300));
        let limited =
            "HTTPTooManyRequests: The action could not be performed. Limit may reset in 17 seconds.";
        assert_eq!(fault(-32500, limited), Some(17));
        assert_eq!(fault(-32601, "server error; requested method not found; retry in 7 s"), None);
        assert_eq!(fault(-32500, "ValueError: reset in 7 s"), None);
        let status = |status, retry| wait(Reason::Status { status, retry });
        assert_eq!(status(503, Some(Duration::from_secs(4))), Some(4));
        assert_eq!((status(429, None), status(500, None), status(404, None)), (Some(10), Some(10), None));
        assert_eq!(status(401, Some(Duration::from_secs(4))), None);
        assert_eq!((wait(Reason::TimedOut), wait(Reason::TooLarge(1))), (Some(10), None));
    }
}
