//! Answers kept in memory, and one flight for each that is missing: however many wait, one fills (promise 3).

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt, TryFutureExt};

use crate::bounded::{Bounded, ByWeight, Weighed, by_weight};
use crate::requester::Requesters;

/// A cache, bounded by weight, whose missing values are filled by spawned tasks: a caller that leaves breaks
/// nothing. Clones share everything.
pub struct Memo<K, V, E> {
    inner: Arc<Inner<K, V, E>>,
}

struct Inner<K, V, E> {
    values: Bounded<K, Weighed<V>, ByWeight>,
    weigh: fn(&K, &V) -> u32,
    /// Fills under way, by key; each leaves when it ends, however it ends.
    flights: Mutex<HashMap<K, Fill<V, E>>>,
}

/// A fill under way, and on whose behalf.
struct Fill<V, E> {
    outcome: Shared<BoxFuture<'static, Result<V, FillError<E>>>>,
    requesters: Arc<Requesters>,
}

impl<V, E> Fill<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Its outcome, for one who waits for it from now on.
    fn join(&self) -> BoxFuture<'static, Result<V, FillError<E>>> {
        let (outcome, waiting) = (self.outcome.clone(), self.requesters.join());
        async move {
            let _waiting = waiting;
            outcome.await
        }
        .boxed()
    }
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError<E> {
    /// What the fill said.
    #[error("{0}")]
    Failed(E),
    /// The fill's task died. Asking again starts another.
    #[error("the task that was to answer has died")]
    Lost,
}

impl<K, V, E> Clone for Memo<K, V, E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K, V, E> fmt::Debug for Memo<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

impl<K, V, E> Memo<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// `bytes`: the most that all values may weigh together, by `weigh`. A value heavier than that is handed
    /// out and not kept.
    pub fn new(bytes: u64, weigh: fn(&K, &V) -> u32) -> Self {
        let values = by_weight(bytes, bytes);
        Self { inner: Arc::new(Inner { values, weigh, flights: Mutex::new(HashMap::new()) }) }
    }

    /// The value, if it is kept.
    pub fn get(&self, key: &K) -> Option<V> {
        self.inner.values.get(key).map(|weighed| weighed.value)
    }

    /// Keeps a value that came by another way than a fill.
    pub fn put(&self, key: &K, value: V) {
        self.inner.keep(key.clone(), value);
    }

    /// Drops a value. A fill under way is not stopped; what it brings is kept.
    pub fn forget(&self, key: &K) {
        self.inner.values.remove(key);
    }

    /// How many values are kept, and what they weigh together.
    pub fn kept(&self) -> (u64, u64) {
        (self.inner.values.len() as u64, self.inner.values.weight())
    }

    /// Joins the fill of this key that is under way, if there is one.
    pub fn join(&self, key: &K) -> Option<BoxFuture<'static, Result<V, FillError<E>>>> {
        self.inner.flights().get(key).map(Fill::join)
    }

    /// Joins the fill of this key that is under way, or starts `fill`. What it brings replaces what is kept; what
    /// fails is told to all who waited, and changes nothing.
    pub async fn fill<F>(&self, key: &K, fill: F) -> Result<V, FillError<E>>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        let joined = {
            let mut flights = self.inner.flights();
            flights.entry(key.clone()).or_insert_with(|| self.start(key.clone(), fill)).join()
        };
        joined.await
    }

    fn start<F>(&self, key: K, fill: F) -> Fill<V, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        let landing = Landing { inner: self.inner.clone(), key };
        let requesters = Arc::new(Requesters::default());
        // Before it runs: it is done on behalf of who began it, from its first moment on.
        let _begun = requesters.join();
        let task = tokio::spawn(requesters.clone().run(async move {
            let result = fill.await;
            if let Ok(value) = &result {
                landing.inner.keep(landing.key.clone(), value.clone());
            }
            // Kept before the flight ends: who comes now finds either the flight or the value.
            drop(landing);
            result
        }));
        let outcome = task.map_err(|_| FillError::Lost);
        let outcome = outcome.map(|joined| joined.and_then(|result| result.map_err(FillError::Failed)));
        Fill { outcome: outcome.boxed().shared(), requesters }
    }
}

impl<K: Hash + Eq, V: Clone, E> Inner<K, V, E> {
    fn keep(&self, key: K, value: V) {
        let weight = (self.weigh)(&key, &value);
        self.values.insert(key, Weighed::new(value, weight));
    }
}

impl<K, V, E> Inner<K, V, E> {
    fn flights(&self) -> MutexGuard<'_, HashMap<K, Fill<V, E>>> {
        // Nothing panics while it is held; a map that somebody did leave is still a map.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight when its task ends, also by a panic.
struct Landing<K: Hash + Eq, V, E> {
    inner: Arc<Inner<K, V, E>>,
    key: K,
}

impl<K: Hash + Eq, V, E> Drop for Landing<K, V, E> {
    fn drop(&mut self) {
        self.inner.flights().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::requester::Requester;

    fn memo() -> Memo<&'static str, u32, &'static str> {
        Memo::new(100, |_, _| 10)
    }

    #[tokio::test]
    async fn many_waiters_make_one_fill() {
        let (memo, filled) = (memo(), Arc::new(AtomicUsize::new(0)));
        let (open, gate) = oneshot::channel::<()>();
        let mut gate = Some(gate);
        let waiters: Vec<_> = (0..50)
            .map(|_| {
                let (filled, gate) = (filled.clone(), gate.take());
                let fill = async move {
                    filled.fetch_add(1, Ordering::SeqCst);
                    if let Some(gate) = gate {
                        gate.await.unwrap();
                    }
                    Ok(7)
                };
                let memo = memo.clone();
                async move { memo.fill(&"a", fill).await }
            })
            .collect();
        let mut waiting = Box::pin(futures_util::future::join_all(waiters));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        open.send(()).unwrap();
        assert!(waiting.await.iter().all(|result| *result == Ok(7)));
        assert_eq!(filled.load(Ordering::SeqCst), 1);
        assert_eq!(memo.get(&"a"), Some(7));
    }

    #[tokio::test]
    async fn a_fill_outlives_the_caller_that_began_it() {
        let memo = memo();
        let (open, gate) = oneshot::channel();
        let fill = async move { gate.await.map_err(|_| "closed") };
        let mut first = Box::pin(memo.fill(&"a", fill));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        drop(first);
        assert!(memo.join(&"b").is_none());
        let joined = memo.join(&"a").unwrap();
        let mut second = Box::pin(memo.fill(&"a", async { Err("a second fill") }));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        open.send(3).unwrap();
        assert_eq!((second.await, joined.await), (Ok(3), Ok(3)));
        assert!(memo.join(&"a").is_none());
    }

    #[tokio::test]
    async fn what_has_no_room_or_is_forgotten_is_dropped_at_once() {
        let values = [(); 4].map(|()| Arc::new(()));
        let is_held = |at: usize| Arc::strong_count(&values[at]) > 1;
        let memo = Memo::<_, _, &str>::new(100, |key, _| if *key == 3 { 101 } else { 60 });
        memo.put(&0, values[0].clone());
        memo.put(&1, values[1].clone());
        assert_eq!([0, 1].map(is_held), [false, true]);
        memo.put(&2, values[2].clone());
        assert_eq!([1, 2].map(is_held), [false, true]);
        memo.forget(&2);
        assert!(!is_held(2));
        let heavy = values[3].clone();
        assert!(memo.fill(&3, async { Ok(heavy) }).await.is_ok());
        assert!(!is_held(3));
    }

    #[tokio::test]
    async fn a_value_that_grew_gives_back_the_room_that_it_took() {
        let memo = Memo::<_, Arc<AtomicU32>, &str>::new(100, |_, value| value.load(Ordering::SeqCst));
        let value = Arc::new(AtomicU32::new(10));
        memo.put(&0, value.clone());
        value.store(90, Ordering::SeqCst);
        assert_eq!(memo.kept(), (1, 10));
        memo.put(&0, value);
        assert_eq!(memo.kept(), (1, 90));
        memo.forget(&0);
        assert_eq!(memo.kept(), (0, 0));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let memo = memo();
        assert_eq!(memo.fill(&"a", async { Ok(1) }).await, Ok(1));
        assert_eq!(memo.fill(&"a", async { Err("no") }).await, Err(FillError::Failed("no")));
        assert_eq!(memo.get(&"a"), Some(1));
        memo.forget(&"a");
        assert_eq!(memo.get(&"a"), None);
    }

    #[tokio::test]
    async fn a_fill_works_on_behalf_of_who_began_and_who_joined_it_and_knows_when_all_have_left() {
        let client = |last: u8| Requester::Client([192, 0, 2, last].into());
        let (memo, (open, gate)) = (Memo::<_, _, &str>::new(100, |_, _| 10), oneshot::channel::<()>());
        let fill = async {
            gate.await.unwrap();
            let requesters = Requesters::current();
            Ok((requesters.causes(), requesters.wait()))
        };
        let mut first = Box::pin(client(1).run(memo.fill(&"a", fill)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(client(2).run(memo.fill(&"a", async { Err("a second fill") })));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop((first, second));
        open.send(()).unwrap();
        while memo.get(&"a").is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(memo.get(&"a"), Some((vec![client(1), client(2)], false)));
    }

    #[tokio::test]
    async fn a_fill_that_dies_ends_its_flight() {
        let memo = memo();
        let dead = memo.fill(&"a", async { panic!("on purpose") }).await;
        assert_eq!(dead, Err(FillError::Lost));
        assert_eq!(memo.fill(&"a", async { Ok(2) }).await, Ok(2));
    }
}
