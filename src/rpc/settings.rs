//! The methods' limits.

use std::time::Duration;

use crate::journal::TimeRules;
use crate::model::settings;

settings! {
    /// The limits of the methods.
    #[derive(Debug, Clone)]
    pub struct RpcSettings in "rpc" {
        /// The time within which a call is answered, if need be with a fault that says when to come back. The oldest clients
        /// wait for 5 s.
        deadline: Duration = Duration::from_secs(4),
        /// The longest that a caller may ask for with ?deadline=SECONDS after the path.
        ///
        /// Proxies on the way rarely wait longer, and each waiting call holds a connection.
        longest_deadline: Duration = Duration::from_mins(1),
        /// Deepest nesting of a call's elements.
        depth: usize as Count = 64,
        /// Most events in one answer by serial or with a limit. PyPI gives 50,000.
        ///
        /// Also the most that a limit may ask for.
        changelog_rows: usize as Count = 50_000,
        /// Most events in one answer of changelog(since) without a limit, which is not cut; beyond it is a fault.
        ///
        /// Two months of upstream's. It bounds the time to count them (some 0.2 s) and to write them, not memory.
        uncut_rows: usize as Count = 1_000_000,
        /// A question by time without a limit first has upstream polled if the last poll began longer ago.
        ///
        /// That is how often upstream may be called.
        poll_age: Duration = Duration::from_secs(1),
        /// Most events that one changelog_page with a filter looks through.
        ///
        /// Some 0.4 s; a page may be empty then, and its cursor goes on.
        page_rows: usize = 250_000,
        /// Most events that one changed_packages or updated_releases looks through; beyond it they refuse.
        ///
        /// Two months of upstream's. It bounds time (some 1.5 s) and memory (some 20 MB).
        changed_rows: usize = 1_000_000,
        /// What is assumed of events' times.
        times: TimeRules as Group = TimeRules::default(),
        /// Most calls of one system.multicall.
        ///
        /// docs/wire.md section 3.
        multicall_calls: usize as Count = 100,
        /// How many calls of a system.multicall are prepared at once.
        ///
        /// Enough for some hundred documents from upstream within the deadline, and of each no more than a piece is in memory.
        multicall_at_once: usize as Count = 8,
        /// How long upstream's answer to browse, user_packages or package_roles is current.
        ///
        /// As documents of the JSON API, and upstream takes about a call a second.
        relayed_max_age: Duration = Duration::from_mins(15),
        /// How old such an answer may be that is given out because upstream is limited, down or slow.
        ///
        /// Who owns what changes seldom, and upstream's limit lasts minutes.
        relayed_stale: Duration = Duration::from_hours(7 * 24),
        /// Such answers in memory; all are in the journal.
        ///
        /// Compressed.
        relayed_bytes: u64 as Bytes = 8 << 20,
        /// Bulk answers kept in memory.
        ///
        /// The list of all names (12 MB, coded) and some twenty pages, coded, or three plain ones. As much again may be on its way.
        memo_bytes: usize as Bytes = 40 << 20,
        /// The largest of them.
        ///
        /// A plain page of 50,000 events has 13.5 MB. Larger answers are written anew for each caller.
        memo_entry: usize as Bytes = 24 << 20,
        /// The limits of search, which have a section of their own.
        search: SearchSettings as Internal = SearchSettings::default(),
    }
}

settings! {
    /// The limits of a search.
    #[derive(Debug, Clone)]
    pub struct SearchSettings in "search" {
        /// Of how many unknown hits, from the first, a search has the documents read; 0 for none. It waits for them, within its
        /// deadline.
        ///
        /// What a terminal shows; those below come with the next search.
        learn_hits: usize = 20,
        /// Most words of one search; more are refused.
        ///
        /// Of all fields and values. Each costs a look into the index, and people type a few.
        words: usize as Count = 100,
        /// Most projects that are looked at where one condition finds them and another decides.
        ///
        /// A common word in names and another in summaries, or versions: some 0.1 s with versions, mostly below 0.05 s with
        /// summaries. What is not found: matches beyond the best of these by name, and of a word that is in more than a
        /// hundred times as many summaries (a million) those that changed before the last so many.
        looked_at: usize as Count = 10_000,
    }
}
