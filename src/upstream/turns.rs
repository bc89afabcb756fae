//! Turns of transfers: a bounded number at once, of which no host and no requester gets all (promise 5).
//!
//! | who holds a turn | what becomes of it |
//! |---|---|
//! | a transfer that is fast enough | it keeps its turn to the end |
//! | one that is slow, and nobody waits for it | it is dropped: whoever reads the transfer watches [`Turn::overdue`] |
//! | one that is slow, and another needs the turn whose host or requester holds clearly fewer | it is dropped |
//! | one that is slow otherwise | it keeps its turn while nobody needs it, and for [`LeastRate::longest_slow`] |

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::UpstreamError;
use super::order::{Order, Rank};
use super::pace::{LeastRate, Pace};
use crate::metric;
use crate::requester::{Requester, Requesters};

/// How many times as many turns as it leaves free one host may hold: three quarters of all, and another host three quarters
/// of what that leaves.
const OF_HOST: usize = 3;
/// The same of one requester: half of all, so that it does not take all that its host may have, and others half of the rest.
const OF_REQUESTER: usize = 1;
/// From one look for slow transfers to the next, while somebody waits.
const LOOK: Duration = Duration::from_millis(250);
/// When to come back if the queue is full.
const FULL: Duration = Duration::from_secs(2);
/// When to come back if no turn came in time.
const LATE: Duration = Duration::from_secs(5);

/// The turns of one kind of transfer. Clones are the same.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Inner>);

/// Leave for one transfer, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    id: u64,
    pace: Arc<Pace>,
    /// The turn was given to another.
    withdrawn: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    /// The word in metrics.
    pool: &'static str,
    at_once: usize,
    waiting: usize,
    /// The longest wait for a turn.
    patience: Duration,
    least: LeastRate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: HashMap<u64, Holder>,
    hosts: HashMap<Arc<str>, usize>,
    requesters: HashMap<Requester, usize>,
    waiting: BTreeMap<u64, Ticket>,
    order: Order,
    next: u64,
    looked: Instant,
}

/// A transfer that has its turn.
#[derive(Debug)]
struct Holder {
    host: Arc<str>,
    /// Whose share the turn is of.
    requester: Requester,
    pace: Arc<Pace>,
    withdrawn: CancellationToken,
}

/// One that waits for it.
#[derive(Debug)]
struct Ticket {
    host: Arc<str>,
    requesters: Arc<Requesters>,
    rank: Rank,
    grant: oneshot::Sender<Turn>,
}

/// A turn that was given, and to whom; handed over once the state is free again.
type Grant = (oneshot::Sender<Turn>, Turn);

impl Turns {
    /// `at_once`: turns; `waiting`: transfers that may wait for one, each for `patience`.
    pub(super) fn new(
        pool: &'static str,
        at_once: usize,
        waiting: usize,
        patience: Duration,
        least: LeastRate,
    ) -> Self {
        let state = State {
            held: HashMap::new(),
            hosts: HashMap::new(),
            requesters: HashMap::new(),
            waiting: BTreeMap::new(),
            order: Order::default(),
            next: 0,
            looked: Instant::now(),
        };
        let at_once = at_once.max(1);
        Self(Arc::new(Inner { pool, at_once, waiting, patience, least, state: Mutex::new(state) }))
    }

    /// Waits for the turn of a transfer from that address. Fails if too many wait, or it does not come in time.
    pub async fn take(&self, url: &Url, requesters: &Arc<Requesters>) -> Result<Turn, UpstreamError> {
        let (id, mut granted) = match self.enter(host_of(url).into(), requesters)? {
            Entered::Granted(turn) => return Ok(turn),
            Entered::Waits(id, granted) => (id, granted),
        };
        let _waiting = Left { turns: self, id };
        let late = tokio::time::sleep(self.0.patience);
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                turn = &mut granted => return turn.map_err(|_| self.refused("full", FULL)),
                () = &mut late => return Err(self.refused("late", LATE)),
                () = tokio::time::sleep(LOOK) => self.look(),
            }
        }
    }

    fn refused(&self, reason: &'static str, retry: Duration) -> UpstreamError {
        metrics::counter!(metric::UPSTREAM_REFUSED_TOTAL, "pool" => self.0.pool, "reason" => reason)
            .increment(1);
        UpstreamError::Limited { retry }
    }

    fn enter(&self, host: Arc<str>, requesters: &Arc<Requesters>) -> Result<Entered, UpstreamError> {
        let causes = requesters.causes();
        let mut guard = self.lock();
        let state = &mut *guard;
        let (grant, granted) = oneshot::channel();
        let rank = state.order.enter(&causes);
        let ticket = Ticket { host, requesters: Arc::clone(requesters), rank, grant };
        if let Some(turn) = self.grant(state, &ticket).or_else(|| self.make_way(state, &ticket)) {
            state.order.served(&ticket.rank);
            return Ok(Entered::Granted(turn));
        }
        let mut dropped = None;
        if state.waiting.len() >= self.0.waiting {
            dropped = state.heaviest(&ticket.rank);
            if dropped.is_none() {
                state.order.left(&ticket.rank);
                drop(guard);
                return Err(self.refused("full", FULL));
            }
        }
        let id = state.next;
        state.next += 1;
        state.waiting.insert(id, ticket);
        drop(guard);
        // Its taker hears of it without our lock.
        drop(dropped);
        self.waiting(1.0);
        Ok(Entered::Waits(id, granted))
    }

    /// Looks for slow transfers whose turns others need, unless somebody did a moment ago.
    fn look(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.looked.elapsed() < LOOK {
            return;
        }
        state.looked = Instant::now();
        for ticket in state.waiting.values_mut() {
            state.order.join(&mut ticket.rank, &ticket.requesters.causes());
        }
        let mut grants = self.serve(state);
        let mut ids: Vec<_> = state.waiting.iter().map(|(id, ticket)| (ticket.rank.key(), *id)).collect();
        ids.sort_unstable();
        for (_, id) in ids {
            let Some(ticket) = state.waiting.remove(&id) else { continue };
            match self.make_way(state, &ticket) {
                Some(turn) => {
                    state.order.served(&ticket.rank);
                    grants.push((ticket.grant, turn));
                }
                None => {
                    state.waiting.insert(id, ticket);
                }
            }
        }
        drop(guard);
        hand_over(grants);
    }

    /// Gives free turns to those who wait, in their order.
    fn serve(&self, state: &mut State) -> Vec<Grant> {
        let mut grants = Vec::new();
        while state.held.len() < self.0.at_once {
            let may = |ticket: &&Ticket| state.requester_for(ticket, self.0.at_once).is_some();
            let next = state.waiting.iter().filter(|(_, ticket)| may(ticket));
            let next = next.min_by_key(|(_, ticket)| ticket.rank.key()).map(|(id, _)| *id);
            let Some(ticket) = next.and_then(|id| state.waiting.remove(&id)) else { break };
            let Some(turn) = self.grant(state, &ticket) else { break };
            state.order.served(&ticket.rank);
            grants.push((ticket.grant, turn));
        }
        if state.waiting.is_empty() {
            state.order.clear();
        }
        grants
    }

    /// A turn for this one, if its host and one of its requesters may have one more.
    fn grant(&self, state: &mut State, ticket: &Ticket) -> Option<Turn> {
        let requester = state.requester_for(ticket, self.0.at_once)?;
        let id = state.next;
        state.next += 1;
        let pace = Arc::new(Pace::new(self.0.pool, self.0.least));
        let withdrawn = CancellationToken::new();
        let turn = Turn { turns: self.clone(), id, pace: Arc::clone(&pace), withdrawn: withdrawn.clone() };
        *state.hosts.entry(Arc::clone(&ticket.host)).or_default() += 1;
        *state.requesters.entry(requester).or_default() += 1;
        let host = Arc::clone(&ticket.host);
        state.held.insert(id, Holder { host, requester, pace, withdrawn });
        Some(turn)
    }

    /// The same at the cost of a slow transfer, if there is one that has had its share, or its time.
    fn make_way(&self, state: &mut State, ticket: &Ticket) -> Option<Turn> {
        let slow = state.held.iter().filter_map(|(id, holder)| Some((holder.pace.slow_for()?, *id)));
        let mut slow: Vec<_> = slow.collect();
        slow.sort_unstable();
        while let Some((slow_for, id)) = slow.pop() {
            let Some(holder) = state.held.get(&id) else { continue };
            let unfair = state.holds_clearly_more(holder, ticket);
            if !(unfair || slow_for >= self.0.least.longest_slow)
                || !state.helps(holder, ticket, self.0.at_once)
            {
                continue;
            }
            if let Some(holder) = state.leave(id) {
                holder.withdrawn.cancel();
                self.dropped("needed");
            }
            return self.grant(state, ticket);
        }
        None
    }

    fn dropped(&self, reason: &'static str) {
        metrics::counter!(metric::UPSTREAM_DROPPED_TOTAL, "pool" => self.0.pool, "reason" => reason)
            .increment(1);
    }

    fn waiting(&self, change: f64) {
        metrics::gauge!(metric::UPSTREAM_WAITING, "pool" => self.0.pool).increment(change);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Entered {
    Granted(Turn),
    Waits(u64, oneshot::Receiver<Turn>),
}

/// Takes one that waits off the queue, if it is still on it.
struct Left<'a> {
    turns: &'a Turns,
    id: u64,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let mut guard = self.turns.lock();
        let state = &mut *guard;
        let ticket = state.waiting.remove(&self.id);
        if let Some(ticket) = &ticket {
            state.order.left(&ticket.rank);
        }
        drop(guard);
        self.turns.waiting(-1.0);
    }
}

impl State {
    /// Whose share a turn would be of, if its host and one of its requesters may have one more.
    fn requester_for(&self, ticket: &Ticket, at_once: usize) -> Option<Requester> {
        let free = at_once.checked_sub(self.held.len()).filter(|free| *free > 0)?;
        if !may_have(self.of_host(&ticket.host), free, OF_HOST) {
            return None;
        }
        let held = |cause: &Requester| self.of_requester(*cause);
        let may = ticket.rank.causes().filter(|cause| may_have(held(cause), free, OF_REQUESTER));
        may.min_by_key(held)
    }

    /// Whether one may have a turn if this holder's were free.
    fn helps(&self, holder: &Holder, ticket: &Ticket, at_once: usize) -> bool {
        let Some(free) = (at_once + 1).checked_sub(self.held.len()) else { return false };
        let less = |held: usize, same: bool| held - usize::from(same && held > 0);
        let host = less(self.of_host(&ticket.host), holder.host == ticket.host);
        let may = |cause: Requester| {
            may_have(less(self.of_requester(cause), holder.requester == cause), free, OF_REQUESTER)
        };
        may_have(host, free, OF_HOST) && ticket.rank.causes().any(may)
    }

    /// Its host or its requester would still hold no fewer than the other's if it gave its turn to that.
    fn holds_clearly_more(&self, holder: &Holder, ticket: &Ticket) -> bool {
        let fewest = ticket.rank.causes().map(|cause| self.of_requester(cause)).min().unwrap_or(0);
        self.of_requester(holder.requester) > fewest + 1
            || self.of_host(&holder.host) > self.of_host(&ticket.host) + 1
    }

    fn of_host(&self, host: &str) -> usize {
        self.hosts.get(host).copied().unwrap_or(0)
    }

    fn of_requester(&self, requester: Requester) -> usize {
        self.requesters.get(&requester).copied().unwrap_or(0)
    }

    fn leave(&mut self, id: u64) -> Option<Holder> {
        let holder = self.held.remove(&id)?;
        less(&mut self.hosts, &holder.host);
        less(&mut self.requesters, &holder.requester);
        Some(holder)
    }

    /// The newest of the requester that has the most in the queue, if that is more than the newcomer would have.
    fn heaviest(&mut self, newcomer: &Rank) -> Option<Ticket> {
        let waiting = self.waiting.iter().map(|(id, ticket)| (*id, &ticket.rank));
        let ticket = Order::heaviest(waiting, newcomer).and_then(|id| self.waiting.remove(&id));
        ticket.inspect(|ticket| self.order.left(&ticket.rank))
    }
}

/// Whether one that holds so many may have one more of those that are free, if it may have `share` times what it leaves.
fn may_have(held: usize, free: usize, share: usize) -> bool {
    free > 0 && (held == 0 || held < share * (free - 1))
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn hand_over(grants: Vec<Grant>) {
    for (grant, turn) in grants {
        // Of one that left meanwhile it is free again.
        drop(grant.send(turn));
    }
}

/// What shares are counted by.
pub(super) fn host_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl Turn {
    /// The transfer has brought so many bytes.
    pub fn brought(&self, bytes: u64) {
        self.pace.brought(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Waits until the turn is given to another, because the transfer is slow.
    pub async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
    }

    /// The same, and until the transfer is slow and `is_left` says that nobody waits for it. The transfer is to end then.
    pub async fn overdue(&self, mut is_left: impl FnMut() -> bool) {
        tokio::select! {
            () = self.withdrawn() => {}
            () = self.pace.slow(|_| is_left()) => self.turns.dropped("nobody_waits"),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut guard = self.turns.lock();
        let grants = if guard.leave(self.id).is_some() { self.turns.serve(&mut guard) } else { Vec::new() };
        drop(guard);
        hand_over(grants);
    }
}

#[cfg(test)]
mod tests;
