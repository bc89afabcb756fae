//! How upstream is followed.

use std::time::Duration;

/// When to ask upstream what.
#[derive(Debug, Clone)]
pub struct FollowSettings {
    /// Whether to poll. If not, upstream is asked only what callers need.
    pub follow: bool,
    /// From one poll to the next; if nothing is polled, how long upstream's last serial is believed. 60 s by
    /// default: upstream gets some ten events a minute, and mirrors ask for them every few minutes.
    pub interval: Duration,
    /// How long after a poll that found nothing more "nothing happened" is still said; then upstream is asked first.
    /// 3 min by default: one poll may fail or be slow without every client's question going upstream.
    pub head_lifetime: Duration,
    /// A poll that brings so many rows is followed by the next at once. 50,000 by default, which is upstream's own
    /// limit (WIRE.md section 6).
    pub full_page: usize,
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
            full_page: 50_000,
            listing_lifetime: Duration::from_mins(30),
            shortest_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(5),
        }
    }
}
