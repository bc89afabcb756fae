//! One budget for all XML-RPC calls (promise 8): so many a second, and silence for as long as upstream asks.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use super::UpstreamError;
use crate::xmlrpc::Fault;

/// The longest silence that is believed. PyPI's windows are minutes; a typing error should not be days.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_hours(1);
/// The silence when a rate-limit fault does not say how long: PyPI's window for XML-RPC.
const UNSAID_SILENCE: Duration = Duration::from_mins(1);

/// Tokio's clock, so that tests can pause it.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets calls through one by one, in the order in which they came.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: TokioClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    /// Whoever holds it is next.
    turn: Mutex<()>,
    waiting: Semaphore,
    /// Calls in `waiting` that somebody waits for.
    urgent: watch::Sender<usize>,
    silent_until: watch::Sender<Instant>,
}

impl Throttle {
    /// `waiting`: how many calls may wait for their turn.
    pub(super) fn new(calls_per_second: f64, waiting: usize) -> Result<Self, UpstreamError> {
        let quota = Duration::try_from_secs_f64(1.0 / calls_per_second)
            .ok()
            .and_then(Quota::with_period)
            .ok_or(UpstreamError::Settings("calls a second: a number above zero"))?;
        let now = Instant::now();
        let clock = TokioClock(now);
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(NonZeroU32::MIN), clock.clone());
        let waiting = Semaphore::new(waiting.min(Semaphore::MAX_PERMITS));
        let urgent = watch::Sender::new(0);
        Ok(Self {
            clock,
            limiter,
            turn: Mutex::new(()),
            waiting,
            urgent,
            silent_until: watch::Sender::new(now),
        })
    }

    /// Waits for the turn of one call.
    pub(super) async fn turn(&self) -> Result<(), UpstreamError> {
        let Ok(_place) = self.waiting.try_acquire() else {
            let retry = self.silence().max(Duration::from_secs(1));
            return Err(UpstreamError::Limited { retry });
        };
        let _urgent = Urgent::new(&self.urgent);
        let _turn = self.turn.lock().await;
        while let Some(wait) = self.wait() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Waits for a turn that nobody else wants: history gives way to polls and to what callers ask.
    pub(super) async fn idle_turn(&self) {
        let mut urgent = self.urgent.subscribe();
        loop {
            // Its sender is ours.
            let _ = urgent.wait_for(|waiting| *waiting == 0).await;
            let turn = self.turn.lock().await;
            let Some(wait) = self.wait() else { return };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = urgent.wait_for(|waiting| *waiting > 0) => {}
            }
            drop(turn);
        }
    }

    /// How long the next call has to wait; `None` if it may leave now, and then its place is taken.
    fn wait(&self) -> Option<Duration> {
        let silence = self.silence();
        if !silence.is_zero() {
            return Some(silence);
        }
        self.limiter.check().err().map(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Upstream asked for silence. A shorter one than already promised changes nothing.
    pub(super) fn hush(&self, silence: Duration) {
        let until = Instant::now() + silence.min(LONGEST_SILENCE);
        self.silent_until.send_if_modified(|known| {
            let longer = until > *known;
            if longer {
                *known = until;
            }
            longer
        });
    }

    /// Waits until upstream asks for silence, if it does not already.
    pub(super) async fn hushed(&self) {
        // Its sender is ours.
        let _ = self.silent_until.subscribe().wait_for(|until| *until > Instant::now()).await;
    }

    /// Waits until upstream has asked for silence up to `moment` at least, and tells how long that is from now. Never ends if
    /// it does not.
    pub(super) async fn silent_at(&self, moment: Instant) -> Duration {
        let mut silent_until = self.silent_until.subscribe();
        // Its sender is ours.
        let _ = silent_until.wait_for(|until| *until >= moment).await;
        self.silence()
    }

    /// How long it is until upstream may be called again, as far as upstream said.
    pub(super) fn silence(&self) -> Duration {
        self.silent_until.borrow().saturating_duration_since(Instant::now())
    }
}

/// Counts one urgent call as long as it waits, also if it is given up.
struct Urgent<'a>(&'a watch::Sender<usize>);

impl<'a> Urgent<'a> {
    fn new(urgent: &'a watch::Sender<usize>) -> Self {
        urgent.send_modify(|waiting| *waiting += 1);
        Self(urgent)
    }
}

impl Drop for Urgent<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}

/// The silence that a rate-limit fault asks for; `None` if the fault is another (docs/wire.md section 8).
pub(super) fn silence_of(fault: &Fault) -> Option<Duration> {
    let rest = fault.string.strip_prefix("HTTPTooManyRequests")?;
    let said = rest.split_once("reset in ").and_then(|(_, rest)| rest.split(' ').next());
    let seconds = said.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    Some(seconds.unwrap_or(UNSAID_SILENCE).min(LONGEST_SILENCE))
}

/// The silence that a `RateLimit: "xmlrpc.client";r=0;t=7` header asks for: none while `r`, what is left, is not 0.
pub(super) fn silence_of_header(value: &str) -> Option<Duration> {
    let parameter = |key: &str| {
        let found = value.split(';').find_map(|part| part.trim().strip_prefix(key));
        found.and_then(|number| number.trim().parse::<u64>().ok())
    };
    let (left, reset) = (parameter("r=")?, parameter("t=")?);
    (left == 0).then(|| Duration::from_secs(reset).min(LONGEST_SILENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_leave_one_a_second() {
        let throttle = Throttle::new(1.0, 8).unwrap();
        let start = Instant::now();
        for second in 0..4 {
            throttle.turn().await.unwrap();
            assert_eq!(start.elapsed().as_secs(), second);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_while_upstream_asked_for_silence() {
        let throttle = Throttle::new(100.0, 8).unwrap();
        let start = Instant::now();
        throttle.hush(Duration::from_secs(42));
        throttle.hush(Duration::from_secs(3));
        throttle.turn().await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(42), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_that_outlasts_a_moment_is_told_at_once_also_if_it_begins_later() {
        let throttle = Throttle::new(1.0, 8).unwrap();
        let moment = Instant::now() + Duration::from_secs(4);
        let mut told = Box::pin(throttle.silent_at(moment));
        assert!(futures_util::poll!(told.as_mut()).is_pending());
        throttle.hush(Duration::from_secs(3));
        assert!(futures_util::poll!(told.as_mut()).is_pending(), "it ends in time");
        tokio::time::advance(Duration::from_secs(2)).await;
        throttle.hush(Duration::from_secs(42));
        assert_eq!(told.await, Duration::from_secs(42));
        assert_eq!(throttle.silent_at(moment).await, Duration::from_secs(42));
    }

    #[tokio::test(start_paused = true)]
    async fn more_waiting_calls_than_places_are_refused() {
        let throttle = std::sync::Arc::new(Throttle::new(1.0, 1).unwrap());
        throttle.hush(Duration::from_secs(9));
        let waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.turn().await }
        });
        tokio::task::yield_now().await;
        let refused = throttle.turn().await;
        assert_eq!(refused, Err(UpstreamError::Limited { retry: Duration::from_secs(9) }));
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn history_gives_way_to_who_is_waited_for_also_if_it_came_first() {
        let throttle = std::sync::Arc::new(Throttle::new(1.0, 8).unwrap());
        let start = Instant::now();
        throttle.turn().await.unwrap();
        let idle = tokio::spawn({
            let throttle = throttle.clone();
            async move {
                throttle.idle_turn().await;
                start.elapsed().as_secs()
            }
        });
        tokio::task::yield_now().await;
        let turns = (0..3).map(|_| throttle.turn());
        futures_util::future::try_join_all(turns).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(idle.await.unwrap(), 4);
    }

    #[test]
    fn the_fault_and_the_header_say_how_long() {
        let fault = |text: &str| silence_of(&Fault { code: -32500, string: text.to_owned() });
        let text = "HTTPTooManyRequests: The action could not be performed. Limit may reset in 17 seconds.";
        assert_eq!(fault(text), Some(Duration::from_secs(17)));
        assert_eq!(fault("HTTPTooManyRequests: later"), Some(UNSAID_SILENCE));
        assert_eq!(fault("HTTPTooManyRequests: reset in 99999999 seconds"), Some(LONGEST_SILENCE));
        assert_eq!(fault("RuntimeError: no"), None);
        assert_eq!(silence_of_header("\"xmlrpc.client\";r=0;t=7"), Some(Duration::from_secs(7)));
        assert_eq!(silence_of_header("\"xmlrpc.client\";r=3;t=7"), None);
        assert_eq!(silence_of_header("nonsense"), None);
    }
}
