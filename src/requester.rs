//! On whose behalf upstream is asked: carried beside the work itself, also into tasks that outlive their callers.
//!
//! The edge names the client of a request, whoever spawns shared work gives it a set of [`Requesters`], and what rations
//! upstream reads both.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requesters of one piece of work that are remembered: it is queued on behalf of these.
const MOST_CAUSES: usize = 8;

tokio::task_local! {
    static REQUESTER: Requester;
    static REQUESTERS: Arc<Requesters>;
}

/// One for whom work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Requester {
    /// A client by its address; of IPv6 the network.
    Client(IpAddr),
    /// The task that keeps the journal current.
    Follower,
    /// The relay itself: prefetching, what search learns, commands.
    #[default]
    Relay,
}

impl Requester {
    /// For whom this task works.
    pub fn current() -> Self {
        REQUESTER.try_with(|requester| *requester).unwrap_or_default()
    }

    /// Runs `work` on behalf of this one.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        REQUESTER.scope(self, work).await
    }
}

/// All for whom one piece of shared work is done: the callers that began or joined it.
#[derive(Debug, Default)]
pub struct Requesters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, Waiter>,
    /// The first of those who began or joined it, also of those who left.
    causes: Vec<Requester>,
}

#[derive(Debug)]
enum Waiter {
    Requester,
    /// Other shared work that needs this one.
    Work(Arc<Requesters>),
}

/// A caller that waits, as long as it does.
#[derive(Debug)]
pub struct Waiting {
    requesters: Arc<Requesters>,
    id: u64,
}

impl Requesters {
    /// Those of the shared work that this task does; of other work, its one requester, who waits to its end.
    pub fn current() -> Arc<Self> {
        REQUESTERS.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::of(Requester::current())))
    }

    /// One who waits as long as the work lasts: if it leaves, the work ends.
    pub fn of(requester: Requester) -> Self {
        let waiting = HashMap::from([(0, Waiter::Requester)]);
        Self(Mutex::new(State { next: 1, waiting, causes: vec![requester] }))
    }

    /// Runs shared work on behalf of these.
    pub async fn run<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        REQUESTERS.scope(self, work).await
    }

    /// The caller waits for this work from now on, and it is done on its behalf as well.
    pub fn join(self: &Arc<Self>) -> Waiting {
        let above = REQUESTERS.try_with(Arc::clone).ok();
        // Not under our lock: those above never look down.
        let causes = above.as_ref().map_or_else(|| vec![Requester::current()], |above| above.causes());
        let waiter = above.map_or(Waiter::Requester, Waiter::Work);
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.waiting.insert(id, waiter);
        for cause in causes {
            state.add(cause);
        }
        drop(state);
        Waiting { requesters: Arc::clone(self), id }
    }

    /// Whether anybody still waits.
    pub fn wait(&self) -> bool {
        self.lock().waiting.values().any(|waiter| match waiter {
            Waiter::Requester => true,
            Waiter::Work(above) => above.wait(),
        })
    }

    /// On whose behalf the work is done: some of those who began or joined it.
    pub fn causes(&self) -> Vec<Requester> {
        let state = self.lock();
        let mut all = State { causes: state.causes.clone(), ..State::default() };
        for waiter in state.waiting.values() {
            if let Waiter::Work(above) = waiter {
                for cause in above.causes() {
                    all.add(cause);
                }
            }
        }
        all.causes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole entries only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, cause: Requester) {
        if self.causes.len() < MOST_CAUSES && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let gone = self.requesters.lock().waiting.remove(&self.id);
        // What it holds is dropped without our lock.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Requester {
        Requester::Client([192, 0, 2, last].into())
    }

    #[tokio::test]
    async fn who_began_shared_work_and_who_joined_it_are_known_inside_it() {
        let work = Arc::new(Requesters::default());
        let first = client(1).run(async { work.join() }).await;
        let second = client(2).run(async { work.join() }).await;
        let inside = work.clone().run(async { Requesters::current().causes() }).await;
        assert_eq!(inside, [client(1), client(2)]);
        assert_eq!(client(3).run(async { Requesters::current().causes() }).await, [client(3)]);
        assert!(work.wait());
        drop(first);
        assert!(work.wait());
        drop(second);
        assert!(!work.wait() && work.causes().len() == 2, "who left is still whose doing it was");
    }

    #[tokio::test]
    async fn work_for_other_work_is_waited_for_as_long_as_that_is_and_on_behalf_of_all_who_join_that() {
        let (above, below) = (Arc::new(Requesters::default()), Arc::new(Requesters::default()));
        let first = client(1).run(async { above.join() }).await;
        let _inner = above.clone().run(async { below.join() }).await;
        let later = client(2).run(async { above.join() }).await;
        assert_eq!(below.causes(), [client(1), client(2)]);
        assert!(below.wait());
        drop((first, later));
        assert!(!below.wait());
    }

    #[tokio::test]
    async fn without_a_requester_the_relay_asks_and_no_more_than_a_few_are_remembered() {
        assert_eq!(Requesters::current().causes(), [Requester::Relay]);
        let work = Arc::new(Requesters::default());
        for n in 0..100 {
            drop(client(n).run(async { work.join() }).await);
        }
        assert_eq!(work.causes().len(), MOST_CAUSES);
    }
}
