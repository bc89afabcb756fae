//! How following goes, for readiness checks and people.

use tokio::time::Instant;

use crate::journal::Restored;
use crate::model::Serial;

/// What became of the last questions to upstream: of the polls, or of what callers needed if nothing is polled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// When the last one succeeded: only in this run, so by the clock that never steps.
    pub last_success: Option<Instant>,
    /// Why the last failed one did. It stays after a success, for people; [`FollowStatus::failures`] tells
    /// whether it is over.
    pub last_error: Option<String>,
    /// Failures since the last success.
    pub failures: u32,
    /// Upstream's last serial, if that is lower than it was: one of several servers lags, or it was restored from an
    /// older copy.
    pub upstream_behind: Option<Serial>,
    /// Upstream's last serial, if that is too high to be believed.
    pub unbelieved: Option<Serial>,
    /// The last time that upstream was found to be restored from an older copy.
    pub restored: Option<Restored>,
    /// The last poll found that there is nothing more for now.
    pub current: bool,
    /// New events kept since the start.
    pub events: u64,
    /// Upstream has no XML-RPC: events come from comparing its listings.
    pub listings: bool,
    /// Why what changes cannot be told, if it never can as things are.
    pub untold: Option<String>,
    /// Serials before our head that are not known; `None` if history is not fetched.
    pub history_missing: Option<i64>,
    /// Why history does not come at the moment.
    pub history_error: Option<String>,
}

impl FollowStatus {
    pub(super) fn succeeded(&mut self) {
        self.last_success = Some(Instant::now());
        self.failures = 0;
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.last_error = Some(error.to_owned());
        self.failures = self.failures.saturating_add(1);
    }
}
