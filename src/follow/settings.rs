//! How upstream is followed.

use std::time::Duration;

use crate::model::{setting_by_word, settings};

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

setting_by_word! {
    Source: "auto, changelog or listings", "auto" => Auto, "changelog" => Changelog, "listings" => Listings
}

setting_by_word! { History: "none or all", "none" => None, "all" => All }

settings! {
    /// When to ask upstream what.
    #[derive(Debug, Clone)]
    pub struct FollowSettings in "follow" {
        /// Whether upstream's changelog is polled. If not, upstream is asked only what clients need.
        enabled: bool = true,
        /// From one poll to the next.
        ///
        /// Upstream gets some ten events a minute, and mirrors ask for them every few minutes. If nothing is polled: how long
        /// upstream's last serial is believed.
        interval: Duration = Duration::from_mins(1),
        /// How long after a poll without more news an empty changelog is given out; then upstream is asked first.
        ///
        /// One poll may fail or be slow without every client's question going upstream. Where listings are compared it counts
        /// from when the next comparison is due.
        head_lifetime: Duration = Duration::from_mins(3),
        /// Where events come from: changelog, listings (compared with each other), or auto: the changelog, and listings as long
        /// as upstream has no XML-RPC.
        source: Source = Source::Auto,
        /// What happened before the first start: none, or all to fetch it in the background, some 12 minutes of PyPI's.
        ///
        /// All of it is 720 calls, and most mirrors never ask.
        history: History = History::None,
        /// How long an upstream without XML-RPC is believed to have none.
        ///
        /// Asked so seldom, a call that will fail costs nothing.
        calls_retry: Duration = Duration::from_hours(24),
        /// How long calls that were answered before must fail as if there were no XML-RPC until that is believed; and how long
        /// upstream's last serial must be lower than it was until upstream is taken for restored from an older copy.
        ///
        /// Longer than a proxy is misconfigured or restarted, shorter than mirrors mind. So long an empty answer below upstream's
        /// own last serial is doubted, too. The last serial must be lower in each answer.
        calls_doubt: Duration = Duration::from_mins(10),
        /// How long after a last serial far beyond the pace of before upstream is asked again (see journal.leap_floor).
        ///
        /// What was wrong in one answer is right in the next.
        leap_pause: Duration = Duration::from_secs(5),
        /// From one comparison of listings to the next.
        ///
        /// A new listing is 40 MB and upstream makes one in up to 30 min; one that did not change costs a 304.
        listing_interval: Duration = Duration::from_mins(10),
        /// If listings are compared and have at most so many projects, each page is looked at once in advance; where serials say
        /// nothing, by each comparison. If there are more such projects, the changelog is refused.
        ///
        /// Two minutes of a polite client. So changes are told exactly; of a larger index a project's first change is told by
        /// upload times.
        small_index: usize = 500,
        /// Pages of changed projects that a comparison fetches at once.
        ///
        /// A quarter of what the index may fetch for clients.
        pages_at_once: usize = 4,
        /// How often a page is asked for that is older than its listing says, or fails.
        ///
        /// The wait between doubles: with [`FollowSettings::shortest_wait`] that is 15 s, and then the others go on.
        page_attempts: usize = 5,
        /// Without polling, how long a listing of all projects is believed.
        ///
        /// Upstream's own may be as old, and it has 40 MB.
        listing_lifetime: Duration = Duration::from_mins(30),
        /// The first wait after a failure; it doubles.
        ///
        /// With each further one, give or take.
        shortest_wait: Duration = Duration::from_secs(1),
        /// The longest wait after failures.
        ///
        /// Unless upstream asks for a longer one. After an outage of hours the journal is current within that.
        longest_wait: Duration = Duration::from_mins(5),
    }
}
