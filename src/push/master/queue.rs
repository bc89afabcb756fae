//! What one mirror has asked for: a few transfers at once, some that wait, and which questions were asked before.

use std::collections::{HashSet, VecDeque};

/// Questions of a mirror that are remembered besides those that wait, each with some 200 bytes: who asks the same again has asked
/// once.
const REMEMBERED: usize = 1024;

/// A mirror's questions.
#[derive(Debug, Default)]
pub(super) struct Queue {
    running: usize,
    waiting: VecDeque<String>,
    seen: HashSet<String>,
    /// In the order in which they came.
    order: VecDeque<String>,
}

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// Its transfer runs now.
    Run,
    /// It waits.
    Waits,
    /// It was asked before.
    Repeated,
    /// Too many wait.
    Full,
}

impl Queue {
    /// Takes a question.
    pub(super) fn enter(&mut self, secret: &str, at_once: usize, most: usize) -> Entered {
        if self.seen.contains(secret) {
            return Entered::Repeated;
        }
        let runs = self.running < at_once;
        if !runs && self.waiting.len() >= most {
            return Entered::Full;
        }
        self.seen.insert(secret.to_owned());
        self.order.push_back(secret.to_owned());
        // Those that wait are among them, and are not forgotten.
        while self.order.len() > REMEMBERED + most
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        if runs {
            self.running += 1;
            Entered::Run
        } else {
            self.waiting.push_back(secret.to_owned());
            Entered::Waits
        }
    }

    /// The next that waits, in the place of one that is over.
    pub(super) fn next(&mut self) -> Option<String> {
        self.waiting.pop_front()
    }

    /// A place is free.
    pub(super) fn left(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_so_many_transfers_so_many_wait_and_ten_thousand_questions_take_no_more_room() {
        let mut queue = Queue::default();
        let entered: Vec<_> = (0..10_000).map(|n| queue.enter(&n.to_string(), 4, 64)).collect();
        let count = |what| entered.iter().filter(|one| **one == what).count();
        assert_eq!((count(Entered::Run), count(Entered::Waits), count(Entered::Full)), (4, 64, 9932));
        assert_eq!((queue.seen.len(), queue.order.len(), queue.waiting.len()), (68, 68, 64));
        assert_eq!(queue.enter("70", 4, 64), Entered::Full, "what was not taken may ask again");
        assert_eq!(queue.enter("5", 4, 64), Entered::Repeated);
        assert_eq!(queue.next().as_deref(), Some("4"));
        assert_eq!(queue.enter("70", 4, 64), Entered::Waits);
    }

    #[test]
    fn what_was_asked_is_remembered_for_long_and_not_for_ever() {
        let mut queue = Queue::default();
        for n in 0..5000 {
            assert_eq!(queue.enter(&n.to_string(), 1, 2), Entered::Run);
            queue.left();
        }
        assert_eq!((queue.seen.len(), queue.order.len()), (1026, 1026));
        assert_eq!(queue.enter("4000", 1, 2), Entered::Repeated);
        assert_eq!(queue.enter("1", 1, 2), Entered::Run);
    }
}
