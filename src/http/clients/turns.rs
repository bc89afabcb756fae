//! Places of which each client has so many, and waits for its next one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::ClientKey;

/// How many places each client has. Clones share them.
#[derive(Clone)]
pub(in crate::http) struct Turns(Arc<Inner>);

struct Inner {
    most: usize,
    /// Only clients that hold or wait.
    places: Mutex<HashMap<ClientKey, Arc<Semaphore>>>,
}

/// A client's place, until it is dropped.
pub(in crate::http) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    // Dropped after the permit, which holds the places too.
    _leave: Leave,
}

/// Forgets a client's places when nobody holds or waits for one.
struct Leave {
    turns: Turns,
    client: ClientKey,
}

impl Turns {
    /// So many for each client.
    pub(in crate::http) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, places: Mutex::default() }))
    }

    /// A place for a client, when one is free. Who comes first has it first.
    pub(in crate::http) async fn take(&self, address: IpAddr) -> Turn {
        let client = ClientKey::from(address);
        let places =
            self.lock().entry(client).or_insert_with(|| Arc::new(Semaphore::new(self.0.most))).clone();
        // Also if nobody waits to the end.
        let leave = Leave { turns: self.clone(), client };
        // The semaphore is never closed.
        Turn { _permit: places.acquire_owned().await.ok(), _leave: leave }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientKey, Arc<Semaphore>>> {
        // Whole entries only.
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut places = self.turns.lock();
        if places.get(&self.client).is_some_and(|places| Arc::strong_count(places) == 1) {
            places.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_client_waits_for_its_own_places_and_is_forgotten_behind_the_last() {
        let turns = Turns::new(2);
        let take = |address: &str| turns.take(address.parse().unwrap()).now_or_never();
        let first = take("192.0.2.1").unwrap();
        let second = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        assert_eq!(turns.lock().len(), 1);
        let mut third = Box::pin(turns.take([192, 0, 2, 1].into()));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = third.now_or_never().unwrap();
        drop((third, second));
        assert!(turns.lock().is_empty());
    }
}
