//! What runs for as long as the relay does: begun again if it ends, and seen if it did.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metric;

/// The first pause after a task's end; it doubles.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest pause: a fault that comes back at once costs little, and one that was passing is over within a minute.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A task that was begun again counts as running once it has run for so long.
const STEADY: Duration = Duration::from_secs(5);

/// Runs tasks that never end by themselves. Clones share everything.
#[derive(Clone)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    /// Ends all of them.
    stop: CancellationToken,
    failed: Arc<Mutex<BTreeMap<&'static str, Failed>>>,
}

/// A task that has ended by itself at least once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Failed {
    /// How often.
    pub(super) times: u64,
    /// It does not run, or has not for long.
    pub(super) down: bool,
}

impl Tasks {
    pub(super) fn new(tracker: TaskTracker, stop: CancellationToken) -> Self {
        Self { tracker, stop, failed: Arc::default() }
    }

    /// Runs what `begin` makes until it is told to stop by the token that it gets. If it panics or returns before that it
    /// is begun again, after a pause that grows.
    pub(super) fn keep<B, T>(&self, name: &'static str, begin: B)
    where
        B: Fn(CancellationToken) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut waits = waits();
            loop {
                let run = async { begin(tasks.stop.clone()).await };
                let mut run = Box::pin(AssertUnwindSafe(run).catch_unwind());
                let ended = if let Ok(ended) = timeout(STEADY, &mut run).await {
                    ended
                } else {
                    tasks.runs(name);
                    waits = self::waits();
                    run.await
                };
                if tasks.stop.is_cancelled() {
                    return;
                }
                let wait = waits.next().unwrap_or(LONGEST_WAIT);
                tasks.ended(name);
                let how = if ended.is_err() { "panicked" } else { "returned" };
                tracing::error!(
                    task = name,
                    how,
                    wait_seconds = wait.as_secs_f64(),
                    "a task ended by itself and is begun again"
                );
                if tasks.stop.run_until_cancelled(sleep(wait)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Runs something that has an end, until it is there or all is stopped.
    pub(super) fn once(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.stop.clone().run_until_cancelled_owned(work));
    }

    /// Those that have ended by themselves, and how they are now.
    pub(super) fn failed(&self) -> BTreeMap<&'static str, Failed> {
        self.lock().clone()
    }

    fn ended(&self, name: &'static str) {
        metrics::counter!(metric::TASK_FAILURES_TOTAL, "task" => name).increment(1);
        metrics::gauge!(metric::TASK_DOWN, "task" => name).set(1.0);
        let mut failed = self.lock();
        let task = failed.entry(name).or_default();
        (task.times, task.down) = (task.times.saturating_add(1), true);
    }

    fn runs(&self, name: &'static str) {
        if let Some(task) = self.lock().get_mut(name) {
            task.down = false;
            metrics::gauge!(metric::TASK_DOWN, "task" => name).set(0.0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failed>> {
        // Whole entries only.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn waits() -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_factor(2.0).without_max_times();
    builder.with_min_delay(SHORTEST_WAIT).with_max_delay(LONGEST_WAIT).build()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{Instant, advance};

    use super::*;

    fn tasks() -> Tasks {
        Tasks::new(TaskTracker::new(), CancellationToken::new())
    }

    /// Lets everything happen that is due by then.
    async fn later(time: Duration) {
        sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_begun_again_after_a_growing_pause_and_counts_as_down_until_it_runs_on() {
        let tasks = tasks();
        let begun = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&begun);
        let started = Instant::now();
        tasks.keep("test", move |stop| {
            let count = {
                let mut log = log.lock().unwrap();
                log.push(started.elapsed());
                log.len()
            };
            async move {
                assert!(count > 3, "on purpose");
                stop.cancelled().await;
            }
        });
        later(Duration::from_millis(1)).await;
        assert_eq!(tasks.failed()["test"], Failed { times: 1, down: true });
        later(Duration::from_secs(8)).await;
        assert_eq!(*begun.lock().unwrap(), [0, 1, 3, 7].map(Duration::from_secs));
        assert_eq!(tasks.failed()["test"], Failed { times: 3, down: true });
        later(STEADY).await;
        assert_eq!(tasks.failed()["test"], Failed { times: 3, down: false });
        tasks.stop.cancel();
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert_eq!(begun.lock().unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_returns_too_early_is_begun_again_and_one_that_was_told_to_stop_is_not() {
        let tasks = tasks();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        tasks.keep("test", move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        });
        later(Duration::from_millis(3500)).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
        tasks.stop.cancel();
        advance(LONGEST_WAIT).await;
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_while_it_is_made_is_seen_as_well() {
        let tasks = tasks();
        tasks.keep("test", |_| -> std::future::Ready<()> { panic!("on purpose") });
        later(Duration::from_millis(1)).await;
        assert!(tasks.failed()["test"].down);
    }
}
