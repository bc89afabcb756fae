//! Who is next: an order that is fair by requester, however many turns each wants.
//!
//! Start-time fair queueing: each turn that a requester wants starts one unit after its turn before, or now if that has
//! passed; the lowest start is next. So one that wants a single turn comes right after those that are served now, and one
//! that wants hundreds has its share of them.

use std::collections::HashMap;

use crate::requester::Requester;

/// The order of one queue.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The start of the turn that was served last.
    now: u64,
    /// Where the next turn of each requester starts, if that is after `now`.
    next: HashMap<Requester, u64>,
    arrivals: u64,
}

/// A turn's rank; the lowest is next.
#[derive(Debug)]
pub(super) struct Rank {
    /// Where it starts on behalf of each of its requesters.
    starts: Vec<(Requester, u64)>,
    arrival: u64,
}

impl Order {
    /// The rank of a turn that is wanted now.
    pub(super) fn enter(&mut self, causes: &[Requester]) -> Rank {
        self.arrivals += 1;
        let mut rank = Rank { starts: Vec::new(), arrival: self.arrivals };
        self.join(&mut rank, if causes.is_empty() { &[Requester::Relay] } else { causes });
        rank
    }

    /// The same turn is wanted by others as well.
    pub(super) fn join(&mut self, rank: &mut Rank, causes: &[Requester]) {
        for cause in causes {
            if rank.starts.iter().all(|(known, _)| known != cause) {
                let next = self.next.entry(*cause).or_insert(self.now);
                let start = (*next).max(self.now);
                *next = start + 1;
                rank.starts.push((*cause, start));
            }
        }
    }

    /// It was its turn.
    pub(super) fn served(&mut self, rank: &Rank) {
        self.now = self.now.max(rank.start());
        let now = self.now;
        self.next.retain(|_, next| *next > now);
    }

    /// It leaves without its turn.
    pub(super) fn left(&mut self, rank: &Rank) {
        for (cause, start) in &rank.starts {
            if self.next.get(cause) == Some(&(start + 1)) {
                self.next.insert(*cause, *start);
            }
        }
        let now = self.now;
        self.next.retain(|_, next| *next > now);
    }

    /// Of those that wait, by number: the newest of the requester that has most, if that is more than the newcomer would have.
    pub(super) fn heaviest<'a>(
        waiting: impl Iterator<Item = (u64, &'a Rank)>,
        newcomer: &Rank,
    ) -> Option<u64> {
        let mut counts: HashMap<Requester, (usize, u64)> = HashMap::new();
        for (id, rank) in waiting {
            if let Some(first) = rank.causes().next() {
                let (count, newest) = counts.entry(first).or_default();
                (*count, *newest) = (*count + 1, id);
            }
        }
        let own =
            newcomer.causes().next().and_then(|cause| counts.get(&cause)).map_or(0, |(count, _)| *count);
        counts.into_values().max().filter(|(most, _)| *most > own + 1).map(|(_, newest)| newest)
    }

    /// Nobody waits any more: nothing is remembered.
    pub(super) fn clear(&mut self) {
        self.next.clear();
    }
}

impl Rank {
    /// The follower's turns come first.
    pub(super) fn is_follower(&self) -> bool {
        self.starts.iter().any(|(cause, _)| *cause == Requester::Follower)
    }

    fn start(&self) -> u64 {
        self.starts.iter().map(|(_, start)| *start).min().unwrap_or(0)
    }

    /// What ranks are compared by.
    pub(super) fn key(&self) -> (bool, u64, u64) {
        (!self.is_follower(), self.start(), self.arrival)
    }

    /// On whose behalf it is wanted, as far as it was entered.
    pub(super) fn causes(&self) -> impl Iterator<Item = Requester> {
        self.starts.iter().map(|(cause, _)| *cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Requester {
        Requester::Client([192, 0, 2, last].into())
    }

    /// Serves what waits, lowest rank first, and tells whose turn each was.
    fn serve(order: &mut Order, waiting: &mut Vec<Rank>, turns: usize) -> Vec<Requester> {
        let mut served = Vec::new();
        for _ in 0..turns {
            let at = (0..waiting.len()).min_by_key(|at| waiting[*at].key()).unwrap();
            let rank = waiting.remove(at);
            order.served(&rank);
            served.push(rank.causes().next().unwrap());
        }
        served
    }

    #[test]
    fn one_that_wants_many_turns_and_one_that_wants_few_take_turns() {
        let mut order = Order::default();
        let mut waiting: Vec<Rank> = (0..50).map(|_| order.enter(&[client(1)])).collect();
        assert_eq!(serve(&mut order, &mut waiting, 10), [client(1); 10]);
        waiting.extend((0..3).map(|_| order.enter(&[client(2)])));
        let served = serve(&mut order, &mut waiting, 7);
        assert_eq!(served.iter().filter(|who| **who == client(2)).count(), 3, "{served:?}");
        // One at a time is no way to more than that.
        let mut own = 0;
        for _ in 0..10 {
            waiting.push(order.enter(&[client(2)]));
            while serve(&mut order, &mut waiting, 1) != [client(2)] {
                own += 1;
            }
        }
        assert!((9..=11).contains(&own), "{own}");
    }

    #[test]
    fn the_newest_of_who_has_most_makes_way_for_who_would_still_have_fewer() {
        let mut order = Order::default();
        let mut heaviest = |having: &[u8], newcomer: u8| {
            let waiting: Vec<Rank> = having.iter().map(|of| order.enter(&[client(*of)])).collect();
            let newcomer = order.enter(&[client(newcomer)]);
            Order::heaviest((0..).zip(&waiting), &newcomer)
        };
        assert_eq!(heaviest(&[1, 2, 1, 2, 1], 3), Some(4));
        assert_eq!(heaviest(&[1, 2, 1, 1], 2), Some(3));
        // It would only change who has most.
        assert_eq!(heaviest(&[1, 2, 1], 2), None);
        assert_eq!(heaviest(&[1, 2, 1], 1), None);
        assert_eq!(heaviest(&[], 1), None);
    }

    #[test]
    fn who_joins_a_turn_that_waits_behind_many_brings_it_forward() {
        let mut order = Order::default();
        let mut waiting: Vec<Rank> = (0..50).map(|_| order.enter(&[client(1)])).collect();
        order.join(&mut waiting[49], &[client(2)]);
        let last = waiting[49].arrival;
        serve(&mut order, &mut waiting, 2);
        assert!(waiting.iter().all(|rank| rank.arrival != last));
    }

    #[test]
    fn the_follower_comes_first_and_who_was_served_is_forgotten() {
        let mut order = Order::default();
        let mut waiting: Vec<Rank> = (0..100).map(|n| order.enter(&[client(n)])).collect();
        waiting.push(order.enter(&[Requester::Follower]));
        assert_eq!(serve(&mut order, &mut waiting, 1), [Requester::Follower]);
        serve(&mut order, &mut waiting, 100);
        waiting.push(order.enter(&[client(1)]));
        waiting.push(order.enter(&[client(1)]));
        serve(&mut order, &mut waiting, 2);
        assert!(order.next.len() <= 1, "{:?}", order.next);
        let gone: Vec<Rank> = (0..100).map(|n| order.enter(&[client(n)])).collect();
        for rank in &gone {
            order.left(rank);
        }
        assert!(order.next.len() <= 1, "{:?}", order.next);
    }
}
