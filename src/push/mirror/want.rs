//! One file that is wanted: how often it was asked for, by which secrets it may come, and when it is asked for again.

use std::time::Duration;

use tokio::sync::watch;

use crate::journal::KnownFile;
use crate::push::PushSettings;
use crate::relay::Upload;

/// The longest delay, whatever the settings multiply to.
const LONGEST_DELAY: Duration = Duration::from_hours(24 * 365);

/// What whoever waits for a file hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something has changed.
    Open,
    /// It came, by whatever way.
    Arrived,
    /// It was deleted.
    Deleted,
    /// It was asked for as often as the settings allow.
    Unsent,
}

/// The right to upload it once.
#[derive(Debug)]
pub(super) struct Session {
    /// What the question had, and the upload has to have.
    pub(super) secret: String,
    /// Where the upload goes.
    pub(super) id: String,
    /// When the question was asked, in milliseconds since 1970.
    since: i64,
}

/// A file that is wanted.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) file: KnownFile,
    /// Questions so far.
    asked: u32,
    /// One is on its way.
    pub(super) asking: bool,
    /// When the last one was asked, in milliseconds since 1970.
    last: i64,
    /// How long after it the next one comes.
    delay: Duration,
    pub(super) sessions: Vec<Session>,
    /// One that has begun, and waits for a flight to take it.
    pub(super) upload: Option<Upload>,
    /// One has begun, and is not over.
    pub(super) uploading: bool,
    pub(super) progress: watch::Sender<Progress>,
}

impl Want {
    pub(super) fn new(file: KnownFile) -> Self {
        let progress = watch::Sender::new(Progress::Open);
        Self {
            file,
            asked: 0,
            asking: false,
            last: 0,
            delay: Duration::ZERO,
            sessions: Vec::new(),
            upload: None,
            uploading: false,
            progress,
        }
    }

    /// Forgets the sessions whose time is over.
    pub(super) fn expire(&mut self, now: i64, settings: &PushSettings) {
        self.sessions.retain(|session| !is_over(session.since, now, settings.secret_lifetime));
    }

    /// It is to be asked for now.
    pub(super) fn is_due(&self, now: i64, settings: &PushSettings) -> bool {
        !self.is_under_way()
            && self.asked < settings.attempts
            && (self.asked == 0 || is_over(self.last, now, self.delay))
    }

    /// A question or an upload of it is on its way.
    fn is_under_way(&self) -> bool {
        self.asking || self.uploading
    }

    /// It was asked for often enough, and by none of the questions anything can come any more.
    pub(super) fn is_in_vain(&self, settings: &PushSettings) -> bool {
        !self.is_under_way() && self.asked >= settings.attempts && self.sessions.is_empty()
    }

    /// Something may come, or will be asked for at once.
    pub(super) fn may_come(&self, now: i64, settings: &PushSettings) -> bool {
        self.is_under_way()
            || !self.sessions.is_empty()
            || self.is_due(now, settings)
            || self.is_in_vain(settings)
    }

    /// How long it is until the next question.
    pub(super) fn until_next(&self, now: i64) -> Duration {
        let passed = u64::try_from(now.saturating_sub(self.last)).unwrap_or(0);
        self.delay.saturating_sub(Duration::from_millis(passed))
    }

    /// Begins a question: opens the session that goes with it.
    pub(super) fn ask(&mut self, now: i64, settings: &PushSettings, secret: String, id: String) {
        let doubled = settings.retry_delay.saturating_mul(2_u32.saturating_pow(self.asked));
        self.delay = doubled.min(LONGEST_DELAY);
        self.asked += 1;
        self.asking = true;
        self.last = now;
        self.sessions.push(Session { secret, id, since: now });
    }

    /// Ends a question that may have been heard.
    pub(super) fn heard(&mut self) {
        self.asking = false;
        self.tell(Progress::Open);
    }

    /// Ends one by which nothing comes; the next is asked no sooner than after `retry`.
    pub(super) fn refused(&mut self, secret: &str, retry: Duration) {
        self.asking = false;
        self.sessions.retain(|session| session.secret != secret);
        self.delay = self.delay.max(retry.min(LONGEST_DELAY));
        self.tell(Progress::Open);
    }

    pub(super) fn tell(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }
}

/// Whether so much time has passed, in milliseconds since 1970. A clock that was set back before the beginning has not told
/// for how long: then it has.
fn is_over(since: i64, now: i64, time: Duration) -> bool {
    now.checked_sub(since)
        .and_then(|passed| u128::try_from(passed).ok())
        .is_none_or(|passed| passed >= time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_in_the_future_is_over() {
        let second = Duration::from_secs(1);
        for (since, over) in
            [(1000, false), (1, false), (0, true), (1001, true), (i64::MIN, true), (i64::MAX, true)]
        {
            assert_eq!(is_over(since, 1000, second), over, "{since}");
        }
    }
}
