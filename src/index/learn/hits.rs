//! Documents of what a search has found: read while it waits, as far as the budget for that goes, and afterwards.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::index::facade::Inner;
use crate::index::{Index, LearnSettings};
use crate::memo::{FillError, Memo};
use crate::metric;
use crate::model::ProjectName;

/// How long to wait before the next document is asked for, if upstream said so.
pub(super) type Unread = Option<Duration>;
/// A document on its way.
type Reading = BoxFuture<'static, Result<(), FillError<Unread>>>;

/// What searches want to know.
pub(in crate::index) struct Learning {
    /// Documents that are being read for a search that waits; several searches may want the same.
    reading: Memo<ProjectName, (), Unread>,
    /// Those at once.
    places: Semaphore,
    /// How many may begin now; `None` where the settings give no rate.
    budget: Option<DefaultDirectRateLimiter>,
    /// Projects whose documents are read when nobody else asks anything of upstream.
    later: mpsc::Sender<ProjectName>,
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
    fn later(&self, project: ProjectName) {
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

    fn is_failing(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how a reading ended.
    fn heed(&self, read: &Result<(), Unread>) {
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

impl Index {
    /// Has the documents of these projects read for search, the first ones first, and waits for them, `patience` at most.
    /// Those for which the budget has no room, and all of them while upstream fails, are read afterwards and not waited for.
    /// Tells whether there was anything to wait for.
    pub async fn learn_now(
        &self,
        projects: impl IntoIterator<Item = ProjectName>,
        patience: Duration,
    ) -> bool {
        let readings: Vec<Reading> =
            projects.into_iter().filter_map(|project| self.inner.begin_reading(project)).collect();
        let any = !readings.is_empty();
        // What is late goes on.
        let _ = tokio::time::timeout(patience, join_all(readings)).await;
        any
    }
}

impl Inner {
    /// Begins to read a project's document, or joins who reads it already; `None` if that has to wait.
    fn begin_reading(self: &std::sync::Arc<Self>, project: ProjectName) -> Option<Reading> {
        let learning = &self.learning;
        if let Some(reading) = learning.reading.join(&project) {
            return Some(reading);
        }
        let may =
            !learning.is_failing() && learning.budget.as_ref().is_none_or(|budget| budget.check().is_ok());
        if !may {
            learning.later(project);
            return None;
        }
        let (inner, wanted) = (self.clone(), project.clone());
        let read = async move {
            // Nobody closes it.
            let _place = inner.learning.places.acquire().await.map_err(|_| None)?;
            if inner.learning.is_failing() {
                inner.learning.later(wanted);
                return Err(None);
            }
            let read = inner.clone().read_for_search(wanted, false).await;
            inner.learning.heed(&read);
            read
        };
        let inner = self.clone();
        Some(async move { inner.learning.reading.fill(&project, read).await }.boxed())
    }
}
