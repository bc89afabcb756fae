//! Who calls, and whether he may now: limits for each client, off by default.

mod address;
mod proxies;
mod shares;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metric;
use crate::model::settings;
use crate::requester::Requester;
use crate::xmlrpc::{Call, Fault, Value};
use address::ClientKey;
pub(super) use address::trusted_hops;
pub use proxies::Proxies;
pub(super) use shares::Shares;

/// When to come back for a place among one's own calls: most take less.
const PLACE: Duration = Duration::from_secs(1);

settings! {
    /// Limits of each client.
    #[derive(Debug, Clone)]
    pub struct ClientLimits in "clients" {
        /// XML-RPC calls a second that one client may make; further ones get the fault HTTPTooManyRequests. Unset: no limit.
        calls_per_second: Option<f64> = None,
        /// Calls that one client may make at once after a rest. A multicall counts as its calls, and as this many at most.
        ///
        /// Tools ask some questions in a row about what they install.
        burst: u32 as Count = 20,
        /// Calls of one client that may be answered at the same time; further ones get the fault HTTPTooManyRequests. Unset: no
        /// limit.
        ///
        /// Until the last byte of each has left.
        calls_at_once: Option<usize> as Count = None,
        /// Subscribers of the feed (feed.subscribers) that one client may have at once; one more is told to come back.
        ///
        /// A quarter of all places: the mirrors of a site behind one address, and no client keeps the others out.
        feeds_at_once: usize as Count = 16,
        /// Proxies whose X-Forwarded-For tells who the client is, such as 127.0.0.1, 10.0.0.0/8, and whose X-Forwarded-Proto,
        /// -Host, -Port and -Prefix tell which address it asked. Empty: the client is who connects. Of an IPv6 client the first
        /// 64 bits count.
        trusted_proxies: Proxies = Proxies::default(),
        /// Clients whose calls are counted; past it the one not seen for longest is forgotten.
        ///
        /// It is new when it comes again. Some 400 bytes each.
        remembered: u64 as Count = 10_000,
    }
}

/// The clients that were seen lately. Clones share everything.
#[derive(Clone)]
pub(super) struct Clients(Option<Arc<Inner>>);

struct Inner {
    quota: Option<Quota>,
    burst: u32,
    places: Option<usize>,
    proxies: Proxies,
    seen: Cache<ClientKey, Arc<Client>>,
    clock: DefaultClock,
}

struct Client {
    rate: Option<DefaultDirectRateLimiter>,
    places: Option<Arc<Semaphore>>,
}

/// Leave to answer a call; held until its answer is gone.
pub(super) struct Admission(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Clients {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let burst = NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN);
        let period = limits.calls_per_second.map(|rate| Duration::try_from_secs_f64(1.0 / rate));
        // The configuration bounds the rate; a period of nothing would be no limit.
        let quota = period.and_then(Result::ok).and_then(Quota::with_period);
        let quota = quota.map(|quota| quota.allow_burst(burst));
        if quota.is_none() && limits.calls_at_once.is_none() {
            return Self(None);
        }
        // By recency alone: a policy that prefers who comes often would not remember newcomers at all.
        let seen =
            Cache::builder().max_capacity(limits.remembered).eviction_policy(EvictionPolicy::lru()).build();
        let places = limits.calls_at_once.map(|places| places.min(Semaphore::MAX_PERMITS));
        let proxies = limits.trusted_proxies.clone();
        Self(Some(Arc::new(Inner {
            quota,
            burst: burst.get(),
            places,
            proxies,
            seen,
            clock: DefaultClock::default(),
        })))
    }

    /// Whether there are limits at all.
    pub(super) fn judge(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the caller may have this call answered now; if not, the fault that says when (docs/wire.md section 3).
    pub(super) fn admit(&self, request: &Parts, calls: u32) -> Result<Admission, Fault> {
        let Some(inner) = &self.0 else { return Ok(Admission(None)) };
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let key = address::of(peer, &request.headers, &inner.proxies);
        let client = inner.seen.get_with(key, || Arc::new(inner.newcomer()));
        let place = client.places.as_ref().map(|places| places.clone().try_acquire_owned());
        let place = place.transpose().map_err(|_| refused("calls_at_once", PLACE))?;
        if let Some(rate) = &client.rate {
            let calls = NonZeroU32::new(calls.min(inner.burst)).unwrap_or(NonZeroU32::MIN);
            // No more than the burst is asked for, so it is never too many for ever.
            if let Ok(Err(until)) = rate.check_n(calls) {
                return Err(refused("calls_per_second", until.wait_time_from(inner.clock.now())));
            }
        }
        Ok(Admission(place))
    }
}

impl Inner {
    fn newcomer(&self) -> Client {
        Client {
            rate: self.quota.map(RateLimiter::direct),
            places: self.places.map(|places| Arc::new(Semaphore::new(places))),
        }
    }
}

fn refused(limit: &'static str, retry: Duration) -> Fault {
    metrics::counter!(metric::CLIENT_REFUSALS_TOTAL, "limit" => limit).increment(1);
    Fault::too_many_requests(retry)
}

/// On whose behalf a request is answered.
pub(super) fn requester(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> Requester {
    address::of(Some(peer), headers, proxies).requester()
}

/// How many calls a call is: those of a multicall, else one.
pub(super) fn calls_in(call: &Call) -> u32 {
    let calls = (call.method == "system.multicall").then(|| call.params.first().and_then(Value::as_array));
    calls.flatten().map_or(1, |calls| u32::try_from(calls.len()).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn from(peer: &str) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        parts
    }

    #[test]
    fn each_client_has_a_rate_of_its_own_and_multicalls_count_as_their_calls() {
        let limits = ClientLimits { calls_per_second: Some(0.001), burst: 3, ..ClientLimits::default() };
        let clients = Clients::new(&limits);
        let (first, second) = (from("192.0.2.1"), from("192.0.2.2"));
        assert!(clients.admit(&first, 1).is_ok() && clients.admit(&first, 2).is_ok());
        let fault = clients.admit(&first, 1).err().unwrap();
        assert!(fault.string.starts_with("HTTPTooManyRequests: "), "{fault}");
        assert!(fault.string.ends_with("Limit may reset in 1000 seconds."), "{fault}");
        // A multicall past the burst is as much as the burst.
        assert!(clients.admit(&second, 100).is_ok());
        assert!(clients.admit(&second, 1).is_err());
    }

    #[test]
    fn a_place_is_taken_until_the_answer_is_gone() {
        let limits = ClientLimits { calls_at_once: Some(2), ..ClientLimits::default() };
        let clients = Clients::new(&limits);
        let client = from("192.0.2.1");
        let held = (clients.admit(&client, 1).unwrap(), clients.admit(&client, 1).unwrap());
        assert!(clients.admit(&client, 1).is_err());
        assert!(clients.admit(&from("192.0.2.2"), 1).is_ok());
        drop(held);
        assert!(clients.admit(&client, 1).is_ok());
    }

    #[test]
    fn no_more_clients_are_remembered_than_may_be_and_newcomers_are() {
        let limits = ClientLimits {
            calls_per_second: Some(0.001),
            burst: 1,
            remembered: 10,
            ..ClientLimits::default()
        };
        let clients = Clients::new(&limits);
        let seen = &clients.0.as_ref().unwrap().seen;
        for n in 0..1000_u32 {
            let client = from(&std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string());
            assert!(clients.admit(&client, 1).is_ok());
            seen.run_pending_tasks();
            assert!(clients.admit(&client, 1).is_err(), "{n} was not remembered");
        }
        assert!(seen.entry_count() <= 10, "{}", seen.entry_count());
    }

    #[test]
    fn without_limits_nobody_is_counted() {
        assert!(Clients::new(&ClientLimits::default()).0.is_none());
    }
}
