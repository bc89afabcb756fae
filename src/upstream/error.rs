//! What can go wrong with the index upstream, and whether it helps to ask again.

use std::time::Duration;

use url::Url;

use crate::metric;
use crate::model::innermost;
use crate::xmlrpc::Fault;

/// Why a link is not followed. Says nothing of what is behind it: clients see this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It leads to an address that is not public.
    #[error(
        "the index links to an address that is neither its own nor public; it is asked only if upstream.allowed_hosts \
         lists it"
    )]
    Private,
    /// It leads to a port that may be a private one, through a proxy that cannot be asked where.
    #[error(
        "the index links to an unusual port, which is asked through a proxy only if upstream.allowed_hosts lists the host"
    )]
    Port,
    /// It is not encrypted, and nothing tells whether what comes is right.
    #[error(
        "the index, which is encrypted, links to what is not, without a SHA-256 digest or a stronger one"
    )]
    ClearText,
}

/// A failure of the upstream side. Carries no body, no credentials and no address with credentials. `Clone`,
/// because all who waited for one fetch get the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// 404 or 410: it is not there. Not a failure of upstream's.
    #[error("upstream answered {0}")]
    Absent(u16),
    /// Any other status that is no success.
    #[error("upstream answered {0}")]
    Status(u16),
    /// Upstream's rate limit, or too many of our own calls waiting for their turn.
    #[error("upstream can be asked again after a wait of {} s", retry.as_secs())]
    Limited {
        /// Until then nothing is sent.
        retry: Duration,
    },
    /// No connection, or it was lost before an answer.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(String),
    /// Silence for longer than the settings allow, or an answer that takes too long as a whole.
    #[error("upstream took too long")]
    TimedOut,
    /// More bytes than the settings allow.
    #[error("upstream's answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer broke off.
    #[error("upstream's answer broke off: {0}")]
    Broken(String),
    /// An answer that is not what was asked for; says what was seen.
    #[error("upstream answered with {0}")]
    Unexpected(String),
    /// An XML-RPC fault other than the rate limit's.
    #[error("upstream faulted: {0}")]
    Fault(Fault),
    /// A link of upstream's that is not followed, whoever asks.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no upstream: nothing is sent to anybody.
    #[error("this relay has no upstream (upstream.url = bundle), and no bundle that was imported has it")]
    Bundled,
    /// Ours: the settings name nothing that can be asked.
    #[error("{0}")]
    Settings(&'static str),
}

impl UpstreamError {
    /// When asking again may help; `None` if the same question would get the same answer.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry } => Some(*retry),
            Self::Unreachable(_) | Self::TimedOut | Self::Broken(_) => Some(Duration::from_secs(10)),
            Self::Status(status) if *status >= 500 => Some(Duration::from_secs(10)),
            Self::Unexpected(_) => Some(Duration::from_mins(1)),
            Self::Absent(_)
            | Self::Status(_)
            | Self::TooLarge(_)
            | Self::Fault(_)
            | Self::Refused(_)
            | Self::Bundled
            | Self::Settings(_) => None,
        }
    }

    /// An XML-RPC call failed so because there is no such interface, or no longer (docs/wire.md section 6): nothing at
    /// that address, no POST there, or a fault that says "removed" or "no such method".
    pub fn no_calls(&self) -> bool {
        match self {
            Self::Absent(_) => true,
            Self::Status(status) => matches!(status, 405 | 501),
            Self::Fault(fault) => {
                let removed = ["RuntimeError:", "ValueError:"];
                fault.code == -32601 || removed.iter().any(|kind| fault.string.starts_with(kind))
            }
            Self::Limited { .. }
            | Self::Unreachable(_)
            | Self::TimedOut
            | Self::TooLarge(_)
            | Self::Broken(_)
            | Self::Unexpected(_)
            | Self::Refused(_)
            | Self::Bundled
            | Self::Settings(_) => false,
        }
    }

    /// An index's address that answers so may be no index's, so that another one is worth a look: it is not there, may not
    /// be looked at (what servers of files say instead), or is something else. What is only down is where it was.
    pub(super) fn may_be_elsewhere(&self) -> bool {
        match self {
            Self::Absent(_) | Self::Unexpected(_) => true,
            Self::Status(status) => matches!(status, 401 | 403 | 405),
            Self::Limited { .. }
            | Self::Unreachable(_)
            | Self::TimedOut
            | Self::TooLarge(_)
            | Self::Broken(_)
            | Self::Fault(_)
            | Self::Refused(_)
            | Self::Bundled
            | Self::Settings(_) => false,
        }
    }

    /// A GET that failed so may be repeated at once: it got no answer, or one that says "not now".
    pub(super) fn worth_repeating(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => true,
            Self::Status(status) => *status >= 500,
            Self::Absent(_)
            | Self::Limited { .. }
            | Self::TimedOut
            | Self::TooLarge(_)
            | Self::Unexpected(_)
            | Self::Fault(_)
            | Self::Refused(_)
            | Self::Bundled
            | Self::Settings(_) => false,
        }
    }

    /// The word for metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Absent(_) => "absent",
            Self::Status(_) => "status",
            Self::Limited { .. } => "limited",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge(_) => "too_large",
            Self::Broken(_) => "broken",
            Self::Unexpected(_) => "unexpected",
            Self::Fault(_) => "fault",
            Self::Refused(_) => "refused",
            Self::Bundled => "bundled",
            Self::Settings(_) => "settings",
        }
    }

    /// From the transport's error. Its address is dropped: it may carry a token.
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let reason = innermost(&error);
        if error.is_connect() {
            Self::Unreachable(reason)
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_redirect() {
            Self::Unexpected(format!("redirects that are not followed: {reason}"))
        } else if error.is_body() || error.is_decode() {
            Self::Broken(reason)
        } else {
            Self::Unreachable(reason)
        }
    }
}

impl Refusal {
    /// Logs and counts it.
    pub(super) fn report(self, url: &Url) -> UpstreamError {
        metrics::counter!(metric::UPSTREAM_REFUSED_LINKS_TOTAL, "why" => self.word()).increment(1);
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        tracing::warn!(scheme = url.scheme(), host, port, refusal = %self, "a link of upstream's is not followed");
        UpstreamError::Refused(self)
    }

    /// The word for metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Port => "port",
            Self::ClearText => "clear_text",
        }
    }
}
