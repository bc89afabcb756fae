//! Who asks, and whether that client is answered now: limits for each client.

mod address;
mod limits;
mod proxies;
mod rates;
mod shares;
mod turns;

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;

use crate::model::settings;
use crate::xmlrpc::{Call, Value};
use address::ClientKey;
pub(super) use address::{Client, Role};
pub use limits::Limits;
pub use proxies::Proxies;
pub(super) use rates::{Rate, Rates};
use shares::{Share, Shares, count_refusal};
pub(super) use turns::Turns;

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
        /// Each from its head until the last byte of its answer has left.
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

/// Decides who is answered: the same in front of calls, files and all other routes.
pub(super) struct Admission {
    proxies: Proxies,
    calls: Option<Shares>,
    feeds: Shares,
    rates: Option<Rates<ClientKey>>,
}

/// What a request is admitted to, by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An XML-RPC call.
    Call,
    /// A search by a page for people: a call that needs no body to be known.
    Search,
    /// A subscription to the feed.
    Feed,
    /// What no limit on clients bounds.
    Other,
}

/// Whoever was admitted with one request, until its answer is gone.
pub(super) struct Caller {
    /// Where the request came from.
    pub(super) client: Client,
    /// `None` where no limit bounds the request. In a box: it is moved with each answer.
    bounds: Option<Box<Bounds>>,
}

/// What a caller is bound by, and holds.
pub(super) struct Bounds {
    rate: Option<Rate>,
    /// Held only.
    place: Option<Share>,
}

/// Why a client is not answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many calls; the time after which it is worth coming back.
    Calls(Duration),
    /// It has so many feeds open, which is its share.
    Feeds(usize),
    /// Too many requests with its token, likewise.
    Requests(Duration),
    /// Reading needs a token, and there is none, or a wrong one.
    Unauthorized,
    /// Too many wrong tokens, likewise.
    Guesses(Duration),
}

impl Admission {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        Self {
            proxies: limits.trusted_proxies.clone(),
            calls: limits.calls_at_once.map(|most| Shares::new("calls_at_once", most)),
            feeds: Shares::new("feeds_at_once", limits.feeds_at_once),
            rates: limits.calls_per_second.and_then(|rate| Rates::new(rate, limits.burst, limits.remembered)),
        }
    }

    /// Who is behind a request, by its connection and its head.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        address::of(peer, headers, &self.proxies)
    }

    /// Whether a client may have an answer now. What the answer costs besides is charged once the body is read
    /// ([`Caller::charge`]).
    pub(super) fn admit(&self, client: Client, purpose: Purpose) -> Result<Caller, Refusal> {
        let (place, rate) = match purpose {
            Purpose::Other => return Ok(Caller { client, bounds: None }),
            Purpose::Call | Purpose::Search if self.calls.is_none() && self.rates.is_none() => {
                return Ok(Caller { client, bounds: None });
            }
            Purpose::Feed => {
                let place = self.feeds.take(client.key()).ok_or(Refusal::Feeds(self.feeds.most()))?;
                (Some(place), None)
            }
            Purpose::Call | Purpose::Search => {
                let place =
                    self.calls.as_ref().map(|calls| calls.take(client.key()).ok_or(Refusal::Calls(PLACE)));
                (place.transpose()?, self.rates.as_ref().map(|rates| rates.of(&client.key())))
            }
        };
        let caller = Caller { client, bounds: Some(Box::new(Bounds { rate, place })) };
        if purpose == Purpose::Search {
            caller.charge(1)?;
        }
        Ok(caller)
    }
}

impl Caller {
    /// Whether it matters how many calls a body holds.
    pub(super) fn is_charged(&self) -> bool {
        self.rate().is_some()
    }

    /// Charges the caller for so many calls (docs/wire.md section 3).
    pub(super) fn charge(&self, calls: u32) -> Result<(), Refusal> {
        let Some(rate) = self.rate() else { return Ok(()) };
        rate.charge(calls).map_err(|retry| {
            count_refusal("calls_per_second");
            Refusal::Calls(retry)
        })
    }

    /// Bounds the caller by a rate of its own in place of its address's.
    pub(super) fn bounded_by(self, rate: Rate) -> Self {
        let place = self.bounds.and_then(|bounds| bounds.place);
        Self { client: self.client, bounds: Some(Box::new(Bounds { rate: Some(rate), place })) }
    }

    /// What it holds until its answer is gone.
    pub(super) fn into_bounds(self) -> Option<Box<Bounds>> {
        self.bounds
    }

    fn rate(&self) -> Option<&Rate> {
        self.bounds.as_ref()?.rate.as_ref()
    }
}

/// How many calls a call is: those of a multicall, else one.
pub(super) fn calls_in(call: &Call) -> u32 {
    let calls = (call.method == "system.multicall").then(|| call.params.first().and_then(Value::as_array));
    calls.flatten().map_or(1, |calls| u32::try_from(calls.len()).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(admission: &Admission, peer: &str) -> Result<Caller, Refusal> {
        let client = admission.client(peer.parse().unwrap(), &HeaderMap::new());
        admission.admit(client, Purpose::Call)
    }

    fn charged(admission: &Admission, peer: &str, calls: u32) -> Result<(), Refusal> {
        admitted(admission, peer).unwrap().charge(calls)
    }

    #[test]
    fn each_client_has_a_rate_of_its_own_and_multicalls_count_as_their_calls() {
        let limits = ClientLimits { calls_per_second: Some(0.001), burst: 3, ..ClientLimits::default() };
        let admission = Admission::new(&limits);
        let (first, second) = ("192.0.2.1", "192.0.2.2");
        assert!(charged(&admission, first, 1).is_ok() && charged(&admission, first, 2).is_ok());
        let Err(Refusal::Calls(retry)) = charged(&admission, first, 1) else { panic!("not refused") };
        assert_eq!(retry.as_secs_f64().round().to_string(), "1000");
        // A multicall past the burst is as much as the burst.
        assert!(charged(&admission, second, 100).is_ok());
        assert!(charged(&admission, second, 1).is_err());
    }

    #[test]
    fn a_place_is_taken_until_the_answer_is_gone() {
        let limits = ClientLimits { calls_at_once: Some(2), ..ClientLimits::default() };
        let admission = Admission::new(&limits);
        let client = "192.0.2.1";
        let held = [admitted(&admission, client).unwrap(), admitted(&admission, client).unwrap()];
        assert_eq!(admitted(&admission, client).err(), Some(Refusal::Calls(PLACE)));
        assert!(admitted(&admission, "192.0.2.2").is_ok());
        // The caller is gone, its answer is not.
        let places = held.map(Caller::into_bounds);
        assert!(admitted(&admission, client).is_err());
        drop(places);
        assert!(admitted(&admission, client).is_ok());
    }

    #[test]
    fn a_search_is_a_call_that_is_charged_by_its_head() {
        let limits = ClientLimits {
            calls_per_second: Some(0.001),
            burst: 2,
            calls_at_once: Some(1),
            ..ClientLimits::default()
        };
        let admission = Admission::new(&limits);
        let client = admission.client("192.0.2.1".parse().unwrap(), &HeaderMap::new());
        let search = || admission.admit(client, Purpose::Search);
        let held = search().unwrap();
        assert_eq!(search().err(), Some(Refusal::Calls(PLACE)), "it has no place of its own");
        drop(held);
        assert!(search().is_ok());
        let Err(Refusal::Calls(retry)) = search() else { panic!("it is not charged") };
        assert!(retry > PLACE, "{retry:?}");
    }

    #[test]
    fn no_more_clients_are_remembered_than_may_be_and_newcomers_are() {
        let limits = ClientLimits {
            calls_per_second: Some(0.001),
            burst: 1,
            remembered: 10,
            ..ClientLimits::default()
        };
        let admission = Admission::new(&limits);
        let rates = admission.rates.as_ref().unwrap();
        for n in 0..1000_u32 {
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
            assert!(charged(&admission, &client, 1).is_ok());
            assert!(charged(&admission, &client, 1).is_err(), "{n} was not remembered");
        }
        assert!(rates.remembered() <= 10, "{}", rates.remembered());
    }

    #[test]
    fn without_limits_nobody_is_counted() {
        let admission = Admission::new(&ClientLimits::default());
        assert!(!admitted(&admission, "192.0.2.1").unwrap().is_charged() && admission.calls.is_none());
    }
}
