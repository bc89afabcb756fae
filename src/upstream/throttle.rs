//! One budget for all XML-RPC calls (promise 8): so many a second, and silence for as long as upstream asks.
//!
//! Polls come first and have places of their own; what clients cause goes round among the clients (promise 5); history
//! takes what is left.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::watch;
use tokio::time::Instant;

use super::UpstreamError;
use super::order::{Order, Rank};
use crate::metric;
use crate::requester::Requesters;
use crate::xmlrpc::Fault;

/// The longest silence that is believed. PyPI's windows are minutes; a typing error should not be days.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_hours(1);
/// The silence when a rate-limit fault does not say how long: PyPI's window for XML-RPC.
const UNSAID_SILENCE: Duration = Duration::from_mins(1);
/// Calls of the follower's in a row before one of another's that waits: while it catches up, it always has a next one.
const FOLLOWER_IN_A_ROW: u32 = 3;

/// Tokio's clock, so that tests can pause it.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets calls through one by one.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: TokioClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    /// What one call takes of the budget.
    period: Duration,
    /// How many calls may wait, the follower's not counted.
    most: usize,
    queue: Mutex<Queue>,
    /// Calls that wait, those of history not counted. A change tells that somebody else may be next.
    waiting: watch::Sender<usize>,
    silent_until: watch::Sender<Instant>,
}

/// The calls that wait.
#[derive(Debug, Default)]
struct Queue {
    calls: BTreeMap<u64, Call>,
    order: Order,
    next: u64,
    follower_in_a_row: u32,
}

#[derive(Debug)]
struct Call {
    requesters: Arc<Requesters>,
    rank: Rank,
}

/// What one that waits finds.
enum Standing {
    Next,
    Later,
    /// Its place was needed for a client that has fewer.
    Dropped,
}

impl Throttle {
    /// `waiting`: how many calls may wait for their turn.
    pub(super) fn new(calls_per_second: f64, waiting: usize) -> Result<Self, UpstreamError> {
        let period = Duration::try_from_secs_f64(1.0 / calls_per_second).ok();
        let quota = period.and_then(|period| Some((period, Quota::with_period(period)?)));
        let (period, quota) = quota.ok_or(UpstreamError::Settings("calls a second: a number above zero"))?;
        let now = Instant::now();
        let clock = TokioClock(now);
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(NonZeroU32::MIN), clock.clone());
        Ok(Self {
            clock,
            limiter,
            period,
            most: waiting,
            queue: Mutex::default(),
            waiting: watch::Sender::new(0),
            silent_until: watch::Sender::new(now),
        })
    }

    /// Waits for the turn of one call, on behalf of the task's requesters.
    pub(super) async fn turn(&self) -> Result<(), UpstreamError> {
        let mut waiting = self.waiting.subscribe();
        let place = QueuePlace { throttle: self, id: self.enter()? };
        loop {
            waiting.borrow_and_update();
            let standing = self.lock().standing(place.id);
            let wait = match standing {
                Standing::Dropped => return Err(self.full(self.most)),
                Standing::Next => match self.wait() {
                    None => {
                        self.lock().served(place.id);
                        return Ok(());
                    }
                    wait => wait,
                },
                Standing::Later => None,
            };
            let passes = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passes => {}
                // Its sender is ours.
                _ = waiting.changed() => {}
            }
        }
    }

    /// A place among those who wait, at the cost of the client that has most of them if there is none.
    fn enter(&self) -> Result<u64, UpstreamError> {
        let requesters = Requesters::current();
        let mut guard = self.lock();
        let queue = &mut *guard;
        let rank = queue.order.enter(&requesters.causes());
        let others = queue.calls.values().filter(|call| !call.rank.is_follower()).count();
        if !rank.is_follower() && others >= self.most && !queue.drop_heaviest(&rank) {
            queue.order.left(&rank);
            drop(guard);
            return Err(self.full(others));
        }
        let id = queue.next;
        queue.next += 1;
        queue.calls.insert(id, Call { requesters, rank });
        drop(guard);
        metrics::gauge!(metric::UPSTREAM_WAITING, "pool" => "calls").increment(1.0);
        self.waiting.send_modify(|waiting| *waiting += 1);
        Ok(id)
    }

    /// Too many wait: when those before will have had their turns.
    fn full(&self, before: usize) -> UpstreamError {
        metrics::counter!(metric::UPSTREAM_REFUSED_TOTAL, "pool" => "calls", "reason" => "full").increment(1);
        let before = self.period.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        UpstreamError::Limited { retry: (self.silence() + before).max(Duration::from_secs(1)) }
    }

    /// Waits for a turn that nobody else wants: history gives way to polls and to what callers ask.
    pub(super) async fn idle_turn(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            // Its sender is ours.
            let _ = waiting.wait_for(|waiting| *waiting == 0).await;
            let Some(wait) = self.wait() else { return };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = waiting.wait_for(|waiting| *waiting > 0) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Queue {
    /// Who is next may have changed since it last looked: others joined, or left.
    fn standing(&mut self, id: u64) -> Standing {
        let Self { calls, order, follower_in_a_row, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return Standing::Dropped };
        order.join(&mut call.rank, &call.requesters.causes());
        let first = |follower: Option<bool>| {
            let among = calls
                .iter()
                .filter(|(_, call)| follower.is_none_or(|follower| call.rank.is_follower() == follower));
            among.min_by_key(|(_, call)| call.rank.key()).map(|(id, _)| *id)
        };
        let other = if *follower_in_a_row >= FOLLOWER_IN_A_ROW { first(Some(false)) } else { None };
        if other.or_else(|| first(None)) == Some(id) { Standing::Next } else { Standing::Later }
    }

    /// It has its turn.
    fn served(&mut self, id: u64) {
        if let Some(call) = self.calls.remove(&id) {
            self.order.served(&call.rank);
            self.follower_in_a_row = if call.rank.is_follower() { self.follower_in_a_row + 1 } else { 0 };
        }
        if self.calls.is_empty() {
            self.order.clear();
        }
    }

    /// Drops the newest call of the client that has most, if that is more than the newcomer would have.
    fn drop_heaviest(&mut self, newcomer: &Rank) -> bool {
        let others = self.calls.iter().filter(|(_, call)| !call.rank.is_follower());
        let heaviest = Order::heaviest(others.map(|(id, call)| (*id, &call.rank)), newcomer);
        let dropped = heaviest.and_then(|id| self.calls.remove(&id));
        dropped.inspect(|call| self.order.left(&call.rank)).is_some()
    }
}

/// One that waits, as long as it does.
struct QueuePlace<'a> {
    throttle: &'a Throttle,
    id: u64,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut guard = self.throttle.lock();
        let queue = &mut *guard;
        if let Some(call) = queue.calls.remove(&self.id) {
            queue.order.left(&call.rank);
        }
        drop(guard);
        metrics::gauge!(metric::UPSTREAM_WAITING, "pool" => "calls").decrement(1.0);
        self.throttle.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
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
    use crate::requester::Requester;

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
        // After the silence, one call is before this one.
        assert_eq!(refused, Err(UpstreamError::Limited { retry: Duration::from_secs(10) }));
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

    fn client(last: u8) -> Requester {
        Requester::Client([192, 0, 2, last].into())
    }

    /// Calls that wait on behalf of one requester; each tells its number when it has its turn.
    fn call(
        throttle: &Arc<Throttle>,
        who: Requester,
        name: &'static str,
        turns: &tokio::sync::mpsc::UnboundedSender<(&'static str, Result<(), UpstreamError>)>,
    ) {
        let (throttle, turns) = (throttle.clone(), turns.clone());
        tokio::spawn(who.run(async move {
            let turn = throttle.turn().await;
            turns.send((name, turn)).unwrap();
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn polls_go_first_and_are_never_refused_and_clients_take_turns() {
        let throttle = Arc::new(Throttle::new(1.0, 64).unwrap());
        throttle.turn().await.unwrap();
        let (sender, mut turns) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..64 {
            call(&throttle, client(1), "greedy", &sender);
        }
        tokio::task::yield_now().await;
        call(&throttle, client(1), "too many", &sender);
        let (name, refused) = turns.recv().await.unwrap();
        assert_eq!(name, "too many");
        assert_eq!(refused, Err(UpstreamError::Limited { retry: Duration::from_secs(64) }));
        call(&throttle, client(2), "modest", &sender);
        call(&throttle, Requester::Follower, "poll", &sender);
        // The place of the modest one was one of the greedy ones'.
        let mut order = Vec::new();
        while order.len() < 4 {
            order.push(turns.recv().await.unwrap());
        }
        assert!(matches!(order[0], ("greedy", Err(UpstreamError::Limited { .. }))), "{order:?}");
        let names: Vec<_> = order[1..].iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["poll", "greedy", "modest"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_catches_up_leaves_every_fourth_call_to_others() {
        let throttle = Arc::new(Throttle::new(1.0, 64).unwrap());
        throttle.turn().await.unwrap();
        let (sender, mut turns) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..9 {
            call(&throttle, Requester::Follower, "poll", &sender);
            call(&throttle, client(1), "call", &sender);
        }
        let mut order = Vec::new();
        while order.len() < 8 {
            order.push(turns.recv().await.unwrap().0);
        }
        assert_eq!(order, ["poll", "poll", "poll", "call", "poll", "poll", "poll", "call"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_leaves_no_place_behind() {
        let throttle = Throttle::new(1.0, 1).unwrap();
        throttle.turn().await.unwrap();
        let mut left = Box::pin(throttle.turn());
        assert!(futures_util::poll!(left.as_mut()).is_pending());
        assert!(throttle.turn().await.is_err());
        drop(left);
        throttle.turn().await.unwrap();
        assert!(throttle.lock().calls.is_empty() && *throttle.waiting.borrow() == 0);
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
