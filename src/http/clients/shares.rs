//! Places of which no client gets all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;

use super::address::{self, ClientKey};
use super::{ClientLimits, Proxies};
use crate::metric;

/// How many places each client holds. Clones share the count.
#[derive(Clone)]
pub(in crate::http) struct Shares(Arc<Inner>);

struct Inner {
    most: usize,
    proxies: Proxies,
    /// Only clients that hold some, so there are no more than places.
    held: Mutex<HashMap<ClientKey, usize>>,
}

/// A client's place, until it is dropped.
pub(in crate::http) struct Share {
    shares: Shares,
    client: ClientKey,
}

impl Shares {
    /// Shares of the feed.
    pub(in crate::http) fn of_feeds(limits: &ClientLimits) -> Self {
        let proxies = limits.trusted_proxies.clone();
        Self(Arc::new(Inner { most: limits.feeds_at_once, proxies, held: Mutex::default() }))
    }

    /// How many one client may hold.
    pub(in crate::http) fn most(&self) -> usize {
        self.0.most
    }

    /// One more place for whoever is behind a request; `None` if that client has its share.
    pub(in crate::http) fn take(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Share> {
        let client = address::of(peer.map(|peer| peer.ip()), headers, &self.0.proxies);
        let mut held = self.lock();
        let count = held.get(&client).copied().unwrap_or_default();
        if count >= self.0.most {
            metrics::counter!(metric::CLIENT_REFUSALS_TOTAL, "limit" => "feeds_at_once").increment(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_by_network_and_gets_a_place_back_when_one_ends() {
        let shares = Shares::of_feeds(&ClientLimits { feeds_at_once: 2, ..ClientLimits::default() });
        let take = |peer: &str| shares.take(Some(peer.parse().unwrap()), &HeaderMap::new());
        let first = take("192.0.2.1:1").unwrap();
        let _second = take("192.0.2.1:2").unwrap();
        assert!(take("192.0.2.1:3").is_none());
        let six = [take("[2001:db8::1]:1"), take("[2001:db8::2]:1")];
        assert!(six.iter().all(Option::is_some) && take("[2001:db8::3]:1").is_none());
        assert!(take("[2001:db8:0:1::3]:1").is_some());
        drop(first);
        assert!(take("192.0.2.1:4").is_some());
        drop(six);
        assert_eq!(shares.lock().len(), 1);
    }
}
