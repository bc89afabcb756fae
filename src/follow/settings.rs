//! How upstream is followed.

use std::time::Duration;

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The changelog; from comparing listings as long as upstream has no XML-RPC.
    Auto,
    /// The changelog, whatever upstream says.
    Changelog,
    /// Comparing listings: XML-RPC is never tried.
    Listings,
}

/// How much of what happened before the first listing is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// What callers turn out to need.
    None,
    /// Everything, in the background.
    All,
}

/// When to ask upstream what.
#[derive(Debug, Clone)]
pub struct FollowSettings {
    /// Whether to poll. If not, upstream is asked only what callers need.
    pub follow: bool,
    /// From one poll to the next; if nothing is polled, how long upstream's last serial is believed. 60 s by
    /// default: upstream gets some ten events a minute, and mirrors ask for them every few minutes.
    pub interval: Duration,
    /// How long after a poll that found nothing more "nothing happened" is still said; then upstream is asked first.
    /// 3 min by default: one poll may fail or be slow without every client's question going upstream. Where
    /// listings are compared it counts from when the next comparison is due.
    pub head_lifetime: Duration,
    /// Where events come from. By default the changelog, or listings where upstream has none.
    pub source: Source,
    /// How much history is fetched without being asked for. By default none: all of it is 720 calls, and most
    /// mirrors never ask.
    pub history: History,
    /// How long an upstream without XML-RPC is believed to have none. A day by default: that is when a call that
    /// will fail costs nothing.
    pub calls_retry: Duration,
    /// How long calls that were answered before must fail as if there were no XML-RPC until that is believed. 10
    /// min by default: longer than a proxy is misconfigured or restarted, shorter than mirrors mind. So long an empty
    /// answer below upstream's own last serial is doubted, too; and so long its last serial must be lower than it was, in
    /// each answer, until it is taken for restored from an older copy.
    pub calls_doubt: Duration,
    /// How long after a last serial far beyond the pace of before upstream is asked again, until that is believed. 5 s by
    /// default: what was wrong in one answer is right in the next.
    pub leap_pause: Duration,
    /// From one comparison of listings to the next. 10 min by default: a new listing is 40 MB and upstream makes
    /// one in up to 30 min; one that did not change costs a 304.
    pub listing_interval: Duration,
    /// If listings are compared and have at most so many projects, each page is looked at once in advance, so that
    /// changes are told exactly. 500 by default: two minutes of a polite client. Of a larger index a project's
    /// first change is told by upload times. Of projects whose serials say nothing as many pages are asked for by each
    /// comparison; if there are more, the changelog is refused.
    pub small_index: usize,
    /// Pages of changed projects that a comparison fetches at once. 4 by default: a quarter of what the index may
    /// fetch for clients.
    pub pages_at_once: usize,
    /// How often a page is asked for that is older than its listing says, or fails; the wait between doubles. 5 by
    /// default: with [`FollowSettings::shortest_wait`] that is 15 s, and then the others go on.
    pub page_attempts: usize,
    /// If nothing is polled, how long a listing of all projects is believed. 30 min by default: upstream's own may
    /// be as old, and it has 40 MB.
    pub listing_lifetime: Duration,
    /// The first wait after a failure; it doubles with each further one, give or take. 1 s by default.
    pub shortest_wait: Duration,
    /// The longest wait after failures, unless upstream asks for a longer one. 5 min by default: after an outage of
    /// hours the journal is current within that.
    pub longest_wait: Duration,
}

impl Default for FollowSettings {
    fn default() -> Self {
        Self {
            follow: true,
            interval: Duration::from_mins(1),
            head_lifetime: Duration::from_mins(3),
            source: Source::Auto,
            history: History::None,
            calls_retry: Duration::from_hours(24),
            calls_doubt: Duration::from_mins(10),
            leap_pause: Duration::from_secs(5),
            listing_interval: Duration::from_mins(10),
            small_index: 500,
            pages_at_once: 4,
            page_attempts: 5,
            listing_lifetime: Duration::from_mins(30),
            shortest_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(5),
        }
    }
}
