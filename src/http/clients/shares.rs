//! Places of which no client gets all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::address::ClientKey;
use crate::metric;

/// How many places each client holds. Clones share the count.
#[derive(Clone)]
pub(super) struct Shares(Arc<Inner>);

struct Inner {
    /// The setting's name, for the count of refusals.
    limit: &'static str,
    most: usize,
    /// Only clients that hold some, so there are no more than places.
    held: Mutex<HashMap<ClientKey, usize>>,
}

/// A client's place, until it is dropped.
pub(in crate::http) struct Share {
    shares: Shares,
    client: ClientKey,
}

impl Shares {
    /// `limit`: the setting that says how many one client may hold.
    pub(super) fn new(limit: &'static str, most: usize) -> Self {
        Self(Arc::new(Inner { limit, most, held: Mutex::default() }))
    }

    /// How many one client may hold.
    pub(super) fn most(&self) -> usize {
        self.0.most
    }

    /// One more place for a client; `None`, and counted, if it has its share.
    pub(super) fn take(&self, client: ClientKey) -> Option<Share> {
        let mut held = self.lock();
        let count = held.get(&client).copied().unwrap_or_default();
        if count >= self.0.most {
            drop(held);
            count_refusal(self.0.limit);
            return None;
        }
        held.insert(client, count + 1);
        drop(held);
        Some(Share { shares: self.clone(), client })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientKey, usize>> {
        // Whole entries only.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(count) = held.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.client);
            }
        }
    }
}

/// Counts a refusal by a limit.
pub(super) fn count_refusal(limit: &'static str) {
    metrics::counter!(metric::CLIENT_REFUSALS_TOTAL, "limit" => limit).increment(1);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_client_has_its_share_by_network_and_gets_a_place_back_when_one_ends() {
        let shares = Shares::new("feeds_at_once", 2);
        let take = |peer: &str| shares.take(peer.parse::<IpAddr>().unwrap().into());
        let first = take("192.0.2.1").unwrap();
        let _second = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        let six = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(six.iter().all(Option::is_some) && take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        drop(six);
        assert_eq!(shares.lock().len(), 1);
    }
}
