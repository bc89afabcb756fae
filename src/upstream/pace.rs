//! How fast one transfer is: its bytes in each window of time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::metric;

tokio::task_local! {
    static PACE: Arc<Pace>;
}

/// What is slow, and how long a slow transfer may go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeastRate {
    /// Bytes a second; with 0 nothing is slow.
    pub(super) bytes: u64,
    /// The time over which they are counted.
    pub(super) window: Duration,
    /// How long a transfer may be slow without a pause where others need its turn.
    pub(super) longest_slow: Duration,
}

/// The pace of one transfer.
#[derive(Debug)]
pub(super) struct Pace {
    pool: &'static str,
    least: LeastRate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The start of the window, and its bytes so far.
    since: Instant,
    bytes: u64,
    /// The start of the first of the windows in a row that had too few bytes.
    slow_since: Option<Instant>,
    /// Upstream's answer has begun.
    answered: bool,
}

impl Pace {
    pub(super) fn new(pool: &'static str, least: LeastRate) -> Self {
        Self { pool, least, state: Mutex::new(State::new(false)) }
    }

    /// The head of the answer has come: only now its bytes can be expected.
    pub(super) fn answered(&self) {
        *self.lock() = State::new(true);
    }

    /// So many bytes have come.
    pub(super) fn brought(&self, bytes: usize) {
        let mut state = self.lock();
        if state.answered {
            self.roll(&mut state);
        } else {
            *state = State::new(true);
        }
        state.bytes += bytes as u64;
    }

    /// For how long the transfer has been too slow, if it is.
    pub(super) fn slow_for(&self) -> Option<Duration> {
        let mut state = self.lock();
        self.roll(&mut state);
        state.slow_since.map(|since| since.elapsed())
    }

    /// Waits until the answer has begun and is too slow, and `dropped` says so of one that has been for this long.
    pub(super) async fn slow(&self, mut dropped: impl FnMut(Duration) -> bool) {
        loop {
            tokio::time::sleep(self.least.window).await;
            let answered = self.lock().answered;
            if let (true, Some(slow)) = (answered, self.slow_for())
                && dropped(slow)
            {
                return;
            }
        }
    }

    /// Ends the window if its time has passed.
    fn roll(&self, state: &mut State) {
        let elapsed = state.since.elapsed();
        if elapsed < self.least.window {
            return;
        }
        let expected = elapsed.as_millis().saturating_mul(u128::from(self.least.bytes)) / 1000;
        if u128::from(state.bytes) >= expected {
            state.slow_since = None;
        } else if state.slow_since.is_none() {
            state.slow_since = Some(state.since);
            metrics::counter!(metric::UPSTREAM_SLOW_TOTAL, "pool" => self.pool).increment(1);
        }
        (state.since, state.bytes) = (Instant::now(), 0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(answered: bool) -> Self {
        Self { since: Instant::now(), bytes: 0, slow_since: None, answered }
    }
}

/// Runs what reads one answer, so that [`brought`] knows whose bytes they are.
pub(super) async fn measured<F: Future>(pace: Arc<Pace>, answer: F) -> F::Output {
    PACE.scope(pace, answer).await
}

/// The answer that this task reads has begun.
pub(super) fn answered() {
    let _ = PACE.try_with(|pace| pace.answered());
}

/// Bytes have come of the answer that this task reads.
pub(super) fn brought(bytes: usize) {
    // What is read by nobody who is timed has no pace.
    let _ = PACE.try_with(|pace| pace.brought(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: LeastRate =
        LeastRate { bytes: 1000, window: Duration::from_secs(10), longest_slow: Duration::from_secs(30) };

    async fn seconds(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_is_slow_from_the_first_window_with_too_few_bytes_to_the_first_with_enough() {
        let pace = Pace::new("test", LEAST);
        pace.brought(9_000);
        seconds(9).await;
        assert_eq!(pace.slow_for(), None, "the window is not over");
        seconds(1).await;
        assert_eq!(pace.slow_for(), Some(Duration::from_secs(10)));
        pace.brought(10_000);
        seconds(7).await;
        assert_eq!(pace.slow_for(), Some(Duration::from_secs(17)));
        seconds(3).await;
        assert_eq!(pace.slow_for(), None);
        seconds(10).await;
        assert_eq!(pace.slow_for(), Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_before_an_answer_begins_is_no_slow_transfer_and_without_a_least_rate_nothing_is() {
        let pace = Pace::new("test", LEAST);
        assert!(tokio::time::timeout(Duration::from_secs(100), pace.slow(|_| true)).await.is_err());
        pace.answered();
        assert_eq!(pace.slow_for(), None);
        let started = Instant::now();
        pace.slow(|slow| slow >= LEAST.longest_slow).await;
        assert_eq!(started.elapsed(), LEAST.longest_slow);
        let any = Pace::new("test", LeastRate { bytes: 0, ..LEAST });
        any.answered();
        assert!(tokio::time::timeout(Duration::from_secs(100), any.slow(|_| true)).await.is_err());
    }
}
