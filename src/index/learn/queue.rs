//! What searches want to know, and what reading it may cost.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::index::LearnSettings;
use crate::memo::Memo;
use crate::metric;
use crate::model::ProjectName;

/// The pause after a failure of upstream's or the journal's; it doubles up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How long to wait before the next document is asked for, if upstream said so.
pub(super) type Unread = Option<Duration>;

/// What searches want to know.
pub(in crate::index) struct Learning {
    /// Documents that are being read for a search that waits; several searches may want the same.
    pub(super) reading: Memo<ProjectName, (), Unread>,
    /// Those at once.
    pub(super) places: Semaphore,
    /// How many may begin now; `None` where the settings give no rate.
    pub(super) budget: Option<DefaultDirectRateLimiter>,
    /// Projects whose documents are read when nobody else asks anything of upstream.
    pub(super) later: mpsc::Sender<ProjectName>,
    /// Those in the queue.
    queued: Mutex<HashSet<ProjectName>>,
    /// The other end, for the one who reads.
    pub(super) waiting: tokio::sync::Mutex<mpsc::Receiver<ProjectName>>,
    failed: Mutex<Failed>,
}

/// Since upstream or the disk failed nothing is read for searches that wait, for a time that doubles.
#[derive(Default)]
struct Failed {
    until: Option<Instant>,
    pause: Duration,
}

impl Learning {
    pub(in crate::index) fn new(settings: &LearnSettings) -> Self {
        let (later, waiting) = mpsc::channel(settings.waiting.clamp(1, Semaphore::MAX_PERMITS));
        let period = Duration::try_from_secs_f64(1.0 / settings.documents_per_second).ok();
        let burst = NonZeroU32::new(settings.documents_burst).unwrap_or(NonZeroU32::MIN);
        let quota = period.and_then(Quota::with_period);
        Self {
            reading: Memo::new(0, |_, ()| 1),
            places: Semaphore::new(settings.documents_at_once.clamp(1, Semaphore::MAX_PERMITS)),
            budget: quota.map(|quota| RateLimiter::direct(quota.allow_burst(burst))),
            later,
            queued: Mutex::default(),
            waiting: tokio::sync::Mutex::new(waiting),
            failed: Mutex::default(),
        }
    }

    /// Puts a project in the queue, once.
    pub(super) fn later(&self, project: ProjectName) {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if queued.contains(&project) {
            return;
        }
        match self.later.try_send(project.clone()) {
            Ok(()) => drop(queued.insert(project)),
            Err(_) => metrics::counter!(metric::SEARCH_LEFT_TOTAL).increment(1),
        }
    }

    /// A project was taken out of the queue.
    pub(super) fn taken(&self, project: &ProjectName) {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner).remove(project);
    }

    pub(super) fn is_failing(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how a reading ended.
    pub(super) fn heed(&self, read: &Result<(), Unread>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(()) => *failed = Failed::default(),
            Err(wait) => {
                failed.pause = (failed.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                failed.until =
                    Some(Instant::now() + wait.map_or(failed.pause, |wait| wait.min(LONGEST_PAUSE)));
            }
        }
    }
}
