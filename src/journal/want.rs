//! Questions that the journal cannot answer yet: asked of whoever follows upstream, newest first, each once
//! however many ask it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Journal;
use crate::model::Serial;

/// Questions that may wait. Upstream answers one a second, so the 65th would wait over a minute, and no client
/// does: the oldest goes instead, and whoever still waits for it is told to come back.
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
    outcome: watch::Sender<Outcome>,
    wants: Arc<Wants>,
}

/// The questions of one journal.
#[derive(Default)]
pub(super) struct Wants {
    inside: Mutex<Inside>,
    news: Notify,
}

#[derive(Default)]
struct Inside {
    /// The newest is last.
    waiting: Vec<(Want, watch::Sender<Outcome>)>,
    /// Being asked now.
    taken: Vec<(Want, watch::Receiver<Outcome>)>,
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
        let asked_before = inside.waiting.iter().position(|(waiting, _)| *waiting == want);
        let entry = match asked_before {
            Some(at) => inside.waiting.remove(at),
            None => (want, watch::Sender::new(None)),
        };
        let wanted = Wanted(entry.1.subscribe());
        inside.waiting.push(entry);
        if inside.waiting.len() > MOST_WAITING {
            inside.waiting.remove(0);
        }
        drop(inside);
        self.news.notify_one();
        wanted
    }

    fn take(self: &Arc<Self>) -> Option<TakenWant> {
        let mut inside = self.lock();
        let (want, outcome) = inside.waiting.pop()?;
        inside.taken.push((want, outcome.subscribe()));
        Some(TakenWant { want, outcome, wants: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Lists are changed by whole entries only.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Asks whoever follows upstream for something, joins the question if it is asked already.
    pub fn want(&self, want: Want) -> Wanted {
        self.wants().want(want)
    }

    /// Waits for a question and takes the newest. For the one who asks upstream; safe to drop.
    pub async fn next_want(&self) -> TakenWant {
        loop {
            if let Some(taken) = self.wants().take() {
                return taken;
            }
            // A note that came since is kept for this wait.
            self.wants().news.notified().await;
        }
    }
}
