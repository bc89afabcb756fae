//! Whom to ask, how often, and how much of an answer to take.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::AllowedHosts;
use super::pace::LeastRate;
use super::turns::Turns;
use crate::model::Clock;

/// Settings of the upstream door. [`UpstreamSettings::new`] has the defaults.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// The index as the user names it: `https://index.test/`, or its simple index `https://index.test/simple/`, or an
    /// address with the projects directly below it, `https://index.test/whl/cpu/`.
    /// User and password in it become Basic authentication and appear nowhere.
    pub base: Url,
    /// The simple index, if it cannot be found: neither `base` itself nor `simple/` below it. Default none: the first answers
    /// tell which of the two it is.
    pub simple: Option<Url>,
    /// Where links and redirects of the index may lead besides its own host and port and the public internet. Default
    /// nowhere: whoever may write a page could otherwise read what is beside the relay.
    pub allowed_hosts: AllowedHosts,
    /// Whom upstream may write to about us; part of `User-Agent`.
    pub contact: Option<String>,
    /// XML-RPC calls a second, all callers together. Default 1: what upstream calls polite.
    pub calls_per_second: f64,
    /// XML-RPC calls that may wait for their turn, the follower's polls not counted; one more is refused, or one of the client
    /// that has most of them. Default 64: at one call a second the last of them waits a minute, longer than any caller
    /// does.
    pub waiting_calls: usize,
    /// Pages and documents fetched at once; more wait for a turn, no host has more than three quarters of them, and no client
    /// more than half. Default 16: as many as a mirror client has workers, and far from what an index would call a flood.
    pub fetches_at_once: usize,
    /// Fetches that may wait for a turn; one more is refused, or one of the client that has most of them. Default 1024: at
    /// ten a second and turn the last of them waits 6 s, about as long as clients do.
    pub waiting_fetches: usize,
    /// Longest wait for a turn of a page, a document or a file. Default 10 s: a client that waits longer for its first
    /// byte than 15 s asks again, and is better told when to.
    pub turn_timeout: Duration,
    /// Bytes a second below which a transfer is slow; with 0 none is. A slow one is dropped if nobody waits for it, or if
    /// others need its turn. Default 4 KiB: a modem had as much.
    pub least_rate: u64,
    /// The time over which that rate is taken. Default 10 s: no pause of a server that is well lasts as long.
    pub rate_window: Duration,
    /// How long a transfer that somebody waits for may be slow before others get its turn, though its host and its client
    /// have no more than their share; and a listing or call, though nobody needs it. Default 30 s.
    pub longest_slow: Duration,
    /// Longest wait for a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest silence between bytes, and before the first. Default 30 s: the slowest call upstream has
    /// takes 10 to 15 s before its first byte.
    pub read_timeout: Duration,
    /// Longest time for a whole answer that is not a file. Default 300 s: the listing of 60 MB over a slow line.
    pub answer_timeout: Duration,
    /// Most bytes of a project page or JSON document, decoded. Default 64 MiB; the largest known have 30 MB.
    pub page_limit: usize,
    /// Most bytes of pages and documents above 1 MiB that are read at once, all of them together; more wait. Those of up to a
    /// sixteenth have a quarter as much besides, so that none of them waits for a larger one. Default 64 MiB, and never less
    /// than one of them may have: to read one takes some five times as much for a moment.
    pub reading_bytes: usize,
    /// Most bytes of memory that a page or document may take once it was read; one that would take more is refused before it
    /// does. Default 256 MiB: the largest known page takes 60, and one of a hundred thousand files 200. Without it 60 MB of a
    /// hostile page take gigabytes.
    pub document_memory: usize,
    /// Most projects of the listing. Default 4,000,000: four times what the largest index has. One takes some 60 bytes here, and
    /// as few as three on the wire.
    pub listing_projects: usize,
    /// Most bytes of the listing of all projects, decoded. Default 256 MiB; today it has 40 to 60 MB.
    pub listing_limit: usize,
    /// Most bytes of an XML-RPC answer, decoded. Default 64 MiB; a full changelog page has 13.5 MB.
    pub call_limit: usize,
    /// How often a GET that failed on the way or with a 5xx is asked again. Default 2: a third failure is
    /// an outage, and the caller has something kept or a deadline.
    pub retries: usize,
    /// What time it is where upstream does not say.
    pub clock: Clock,
}

impl UpstreamSettings {
    /// The defaults, for an index at `base`.
    pub fn new(base: Url) -> Self {
        Self {
            base,
            simple: None,
            allowed_hosts: AllowedHosts::default(),
            contact: None,
            calls_per_second: 1.0,
            waiting_calls: 64,
            fetches_at_once: 16,
            waiting_fetches: 1024,
            turn_timeout: Duration::from_secs(10),
            least_rate: 4096,
            rate_window: Duration::from_secs(10),
            longest_slow: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_mins(5),
            page_limit: 64 << 20,
            reading_bytes: 64 << 20,
            document_memory: 256 << 20,
            listing_projects: 4_000_000,
            listing_limit: 256 << 20,
            call_limit: 64 << 20,
            retries: 2,
            clock: Clock::system(),
        }
    }
}

impl UpstreamSettings {
    /// What is a slow transfer.
    pub(super) fn least(&self) -> LeastRate {
        LeastRate { bytes: self.least_rate, window: self.rate_window, longest_slow: self.longest_slow }
    }

    /// Turns of one kind of transfer.
    pub(super) fn turns(&self, pool: &'static str, at_once: usize, waiting: usize) -> Turns {
        Turns::new(pool, at_once, waiting, self.turn_timeout, self.least())
    }
}

impl fmt::Debug for UpstreamSettings {
    /// Without the address: it may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("host", &self.base.host_str())
            .field("contact", &self.contact)
            .field("calls_per_second", &self.calls_per_second)
            .finish_non_exhaustive()
    }
}
