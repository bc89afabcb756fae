//! Questions that the journal cannot answer yet: asked of whoever follows upstream, each once however many ask it. The
//! clients take turns, each with its newest question first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::model::Serial;
use crate::requester::{Requester, Requesters};

/// Questions that may wait. Upstream answers one a second, so the 65th would wait over a minute, and no client
/// does: the oldest of the client that has most goes instead, and whoever still waits for it is told to come back.
const MOST_WAITING: usize = 64;

/// Something to ask upstream for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its last serial.
    LastSerial,
    /// Its listing of all projects.
    Projects,
    /// The events after this serial.
    Since(Serial),
}

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WantError {
    /// For people.
    pub reason: String,
    /// When asking again makes sense; `None` if it never does.
    pub retry: Option<Duration>,
}

/// What a want ends with.
type Outcome = Option<Result<(), WantError>>;

/// Waits for the answer to a question that upstream is asked. Whether anybody waits does not matter to the
/// question.
#[derive(Debug, Clone)]
pub struct Wanted(watch::Receiver<Outcome>);

/// A question taken to be asked; dropped without [`TakenWant::finish`] it counts as given up.
pub struct TakenWant {
    /// The question.
    pub want: Want,
    /// Who asked it.
    pub requesters: Arc<Requesters>,
    outcome: watch::Sender<Outcome>,
    wants: Arc<Wants>,
}

/// The questions of one journal.
#[derive(Default)]
pub(super) struct Wants {
    inside: Mutex<Questions>,
    news: Notify,
}

#[derive(Default)]
struct Questions {
    /// The newest is last.
    waiting: Vec<Waiting>,
    /// Being asked now.
    taken: Vec<(Want, watch::Receiver<Outcome>)>,
    /// Whose questions were taken, the last one last.
    served: Vec<Requester>,
}

struct Waiting {
    want: Want,
    outcome: watch::Sender<Outcome>,
    requesters: Arc<Requesters>,
}

impl Wanted {
    /// Waits until upstream answered and the journal knows more, or until the question failed. The caller brings
    /// its own deadline.
    pub async fn done(mut self) -> Result<(), WantError> {
        let outcome = match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        let given_up = || WantError {
            reason: "the question was given up".to_owned(),
            retry: Some(Duration::from_secs(1)),
        };
        outcome.unwrap_or_else(|| Err(given_up()))
    }
}

impl TakenWant {
    /// Tells everybody who waits.
    pub fn finish(self, outcome: Result<(), WantError>) {
        // Out of the list first: who asks from here on starts a new question.
        self.leave();
        self.outcome.send_replace(Some(outcome));
    }

    fn leave(&self) {
        self.wants.lock().taken.retain(|(want, _)| *want != self.want);
    }
}

impl Drop for TakenWant {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Wants {
    pub(super) fn want(&self, want: Want) -> Wanted {
        let mut inside = self.lock();
        if let Some((_, outcome)) = inside.taken.iter().find(|(taken, _)| *taken == want) {
            return Wanted(outcome.clone());
        }
        let asked_before = inside.waiting.iter().position(|waiting| waiting.want == want);
        let entry = match asked_before {
            Some(at) => inside.waiting.remove(at),
            None => Waiting { want, outcome: watch::Sender::new(None), requesters: Arc::default() },
        };
        // Whether anybody waits does not matter.
        drop(entry.requesters.join());
        let wanted = Wanted(entry.outcome.subscribe());
        inside.waiting.push(entry);
        if inside.waiting.len() > MOST_WAITING {
            let oldest = inside.oldest_of_the_heaviest();
            inside.waiting.remove(oldest);
        }
        drop(inside);
        self.news.notify_one();
        wanted
    }

    /// Waits for a question and takes the next; safe to drop.
    pub(super) async fn next(self: &Arc<Self>) -> TakenWant {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            // A note that came since is kept for this wait.
            self.news.notified().await;
        }
    }

    fn take(self: &Arc<Self>) -> Option<TakenWant> {
        let mut inside = self.lock();
        let Waiting { want, outcome, requesters } = inside.next()?;
        inside.taken.push((want, outcome.subscribe()));
        Some(TakenWant { want, requesters, outcome, wants: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        // Lists are changed by whole entries only.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Questions {
    /// The newest question of the one that was served longest ago.
    fn next(&mut self) -> Option<Waiting> {
        // 0 is never, or long ago.
        let served = |cause: &Requester| {
            self.served.iter().position(|served| served == cause).map_or(0, |position| position + 1)
        };
        let turn = |waiting: &Waiting| {
            let causes = waiting.requesters.causes();
            causes.into_iter().map(|cause| (served(&cause), cause)).min_by_key(|(served, _)| *served)
        };
        let turns = self.waiting.iter().enumerate().filter_map(|(at, waiting)| Some((turn(waiting)?, at)));
        let ((_, cause), at) = turns.min_by_key(|((served, _), at)| (*served, std::cmp::Reverse(*at)))?;
        self.served.retain(|served| *served != cause);
        self.served.push(cause);
        if self.served.len() > MOST_WAITING {
            self.served.remove(0);
        }
        Some(self.waiting.remove(at))
    }

    fn oldest_of_the_heaviest(&self) -> usize {
        let mut counts: HashMap<Requester, (usize, std::cmp::Reverse<usize>)> = HashMap::new();
        for (at, waiting) in self.waiting.iter().enumerate().rev() {
            if let Some(cause) = waiting.requesters.causes().first() {
                let (count, oldest) = counts.entry(*cause).or_insert((0, std::cmp::Reverse(at)));
                (*count, *oldest) = (*count + 1, std::cmp::Reverse(at));
            }
        }
        counts.into_values().max().map_or(0, |(_, oldest)| oldest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(wants: &Arc<Wants>, last: u8, since: i64) -> Wanted {
        let client = Requester::Client([192, 0, 2, last].into());
        client.run(async { wants.want(Want::Since(Serial(since))) }).await
    }

    fn taken(wants: &Arc<Wants>) -> i64 {
        match wants.take().unwrap().want {
            Want::Since(Serial(since)) => since,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn clients_take_turns_each_with_its_newest_question_and_one_that_is_joined_has_both_turns() {
        let wants = Arc::new(Wants::default());
        for since in 0..50 {
            ask(&wants, 1, since).await;
        }
        ask(&wants, 2, 100).await;
        ask(&wants, 2, 101).await;
        // Asked before by the greedy one, and now its newest.
        ask(&wants, 3, 7).await;
        let order: Vec<i64> = (0..6).map(|_| taken(&wants)).collect();
        assert_eq!(order, [7, 101, 49, 100, 48, 47]);
    }

    #[tokio::test]
    async fn the_place_that_lacks_is_one_of_who_has_most() {
        let wants = Arc::new(Wants::default());
        ask(&wants, 2, 1000).await;
        let mut greedy = Vec::new();
        for since in 0..100 {
            greedy.push(ask(&wants, 1, since).await);
        }
        assert!(greedy.remove(0).done().await.is_err());
        assert_eq!(wants.lock().waiting.len(), MOST_WAITING);
        assert_eq!((taken(&wants), taken(&wants)), (99, 1000));
    }
}
