//! Whom to ask, how often, and how much of an answer to take.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::AllowedHosts;
use super::pace::LeastRate;
use super::turns::Turns;
use crate::model::{Clock, settings};

settings! {
    /// Whom to ask, how often, and how much of an answer to take.
    #[derive(Clone)]
    pub struct UpstreamSettings(base: Url) in "upstream" {
        /// The index as the user names it: `https://index.test/`, or its simple index `https://index.test/simple/`, or an
        /// address with the projects directly below it, `https://index.test/whl/cpu/`.
        /// User and password in it become Basic authentication and appear nowhere.
        base: Url as Internal = base,
        /// There is no index: what the relay has comes in bundles, and nobody is asked anything.
        bundled: bool as Internal = false,
        /// The simple index, where neither /simple/ below upstream.url nor that address itself is one; which of the two it is,
        /// the first answers tell.
        simple: Option<Url> = None,
        /// Where links and redirects of the index may lead besides its own host and port and the public internet: hosts, each
        /// with or without a port, and networks, such as files.corp.test:8080, 10.1.0.0/16. None, so that nobody who may write a
        /// page can read what is beside the relay.
        allowed_hosts: AllowedHosts = AllowedHosts::default(),
        /// Whom upstream may write to about this relay, such as an e-mail address; part of User-Agent.
        contact: Option<String> = None,
        /// XML-RPC calls a second, all callers together. PyPI calls one polite and refuses many more.
        calls_per_second: f64 = 1.0,
        /// XML-RPC calls that may wait for their turn, polls not counted; one more is refused, or one of the client that has
        /// most of them.
        ///
        /// At one call a second the last of them waits a minute, longer than any caller does.
        waiting_calls: usize as Count = 64,
        /// Pages and documents that are fetched at once, package files not counted; no host has more than three quarters of
        /// them, and no client more than half.
        ///
        /// As many as a mirror client has workers, and far from what an index would call a flood.
        fetches_at_once: usize as Count = 16,
        /// Such fetches that may wait for their turn; one more is refused, or one of the client that has most of them.
        ///
        /// At ten a second and turn the last of them waits 6 s, about as long as clients do.
        waiting_fetches: usize = 1024,
        /// Longest wait for the turn of a page, a document or a file; then the client is told to come back.
        ///
        /// A client that waits longer for its first byte than 15 s asks again, and is better told when to.
        turn_timeout: Duration = Duration::from_secs(10),
        /// Bytes a second below which a transfer is slow: it is dropped if nobody waits for it, or if others need its turn. 0:
        /// none is.
        ///
        /// A modem had as much.
        least_rate: u64 = 4096,
        /// The time over which that rate is taken.
        ///
        /// No pause of a server that is well lasts as long.
        rate_window: Duration = Duration::from_secs(10),
        /// How long a transfer that somebody waits for may be slow before others get its turn, though its host and its client
        /// have no more than their share; and a listing or a call, though nobody needs its turn.
        longest_slow: Duration = Duration::from_secs(30),
        /// Longest wait for a connection.
        connect_timeout: Duration = Duration::from_secs(10),
        /// Longest silence between bytes. PyPI's slowest call takes 10 to 15 s before its first.
        ///
        /// Also before the first byte.
        read_timeout: Duration = Duration::from_secs(30),
        /// Longest time for a whole answer that is not a file.
        ///
        /// The listing of 60 MB over a slow line.
        answer_timeout: Duration = Duration::from_mins(5),
        /// Most bytes of a project page or JSON document.
        ///
        /// Decoded; the largest known have 30 MB.
        page_limit: usize as Bytes = 64 << 20,
        /// Most bytes of large pages and documents that are read at once.
        ///
        /// All above 1 MiB together; more wait. Those of up to a sixteenth have a quarter as much besides, so that none of them
        /// waits for a larger one. Never less than one of them may have: to read one takes some five times as much for a moment.
        reading_bytes: usize as Bytes = 64 << 20,
        /// Most memory that a page or document may take once it was read.
        ///
        /// One that would take more is refused before it does. The largest known page takes 60 MiB, and one of a hundred thousand
        /// files 200. Without it 60 MB of a hostile page take gigabytes.
        document_memory: usize as Bytes = 256 << 20,
        /// Most projects of the listing.
        ///
        /// Four times what the largest index has. One takes some 60 bytes here, and as few as three on the wire.
        listing_projects: usize as Count = 4_000_000,
        /// Most bytes of the listing of all projects.
        ///
        /// Decoded; today it has 40 to 60 MB.
        listing_limit: usize as Bytes = 256 << 20,
        /// Most bytes of an XML-RPC answer.
        ///
        /// Decoded; a full changelog page has 13.5 MB.
        call_limit: usize as Bytes = 64 << 20,
        /// How often a GET that failed on the way or with a 5xx is asked again.
        ///
        /// A third failure is an outage, and the caller has something kept or a deadline.
        retries: usize = 2,
        /// What time it is where upstream does not say.
        clock: Clock as Internal = Clock::system(),
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
