//! The methods' limits.

use std::time::Duration;

use crate::journal::TimeRules;

/// Bounds of the methods.
#[derive(Debug, Clone)]
pub struct RpcSettings {
    /// The time within which a call is answered: in full, with a correct slice, or with a fault that says
    /// when to come back. Default 4 s: the oldest clients wait for 5.
    pub deadline: Duration,
    /// The longest time that a caller may ask for with `?deadline=SECONDS`. Default 1 min: proxies on the way rarely
    /// wait longer, and each waiting call holds a connection.
    pub longest_deadline: Duration,
    /// The deepest nesting of a call's elements. Default 64.
    pub depth: usize,
    /// The most rows in an answer by serial or with a limit, and the most that a limit may ask for. Default 50,000, as
    /// upstream's.
    pub changelog_rows: usize,
    /// The most rows in an answer of `changelog` without a limit, which is never cut. Default 1,000,000, two months of
    /// upstream's: it bounds the time to count them (some 0.2 s) and to write them, not memory.
    pub uncut_rows: usize,
    /// A question by time without a limit first has upstream polled if the last poll began longer ago. Default 1 s: that is
    /// how often upstream may be called.
    pub poll_age: Duration,
    /// The most events that a page with a filter looks through. Default 250,000, some 0.4 s; a page may be empty then,
    /// and its cursor goes on.
    pub page_rows: usize,
    /// The most events that `changed_packages` and `updated_releases` look through. Default 1,000,000, two months of
    /// upstream's: it bounds time (some 1.5 s) and memory (some 20 MB).
    pub changed_rows: usize,
    /// What is assumed of events' times. Defaults: they step back by a day at most, which costs up to a page of history
    /// more (minutes are seen in upstream's, where a serial is taken before a commit; hours in the oldest, from its
    /// clocks); a second is closed after 2 s (commits take less); 100,000 events of one second (some 27 MB) go out at
    /// once; callers' clocks differ by 5 s (those that are set over the network do by less).
    pub times: TimeRules,
    /// The most bytes of bulk answers that are kept in memory; half of it again may be on its way. Default 48 MiB: the
    /// list of all names (12 MB, coded) and some thirty pages, coded.
    pub memo_bytes: usize,
    /// The most bytes of one of them. Default 24 MiB: a plain page of 50,000 events has 13.5 MB. Larger answers are
    /// written anew for each caller.
    pub memo_entry: usize,
    /// The limits of search.
    pub search: SearchSettings,
    /// The most calls of a multicall. Default 100 (docs/wire.md section 3).
    pub multicall_calls: usize,
    /// How many calls of a multicall are prepared at once. Default 8: enough for some hundred documents from upstream
    /// within the deadline, and of each no more than a piece is in memory.
    pub multicall_at_once: usize,
    /// How long an answer to `browse`, `user_packages` or `package_roles` is current. Default 15 min: as documents of
    /// the JSON API, and upstream takes about a call a second.
    pub relayed_max_age: Duration,
    /// How old one may be that is given out because upstream is limited, down or slow. Default 7 days: who owns what
    /// changes seldom, and upstream's limit lasts minutes.
    pub relayed_stale: Duration,
    /// The most bytes of them in memory, compressed. Default 8 MiB; all of them are in the journal.
    pub relayed_bytes: u64,
}

/// Bounds of a search.
#[derive(Debug, Clone)]
pub struct SearchSettings {
    /// The most words that one may look for, of all fields and values. Default 100: each costs a look into the index, and
    /// people type a few.
    pub words: usize,
    /// The most projects that are looked at where one condition finds them and another decides: a common word in names
    /// and another in summaries, or versions. Default 10,000, some 0.1 s with versions, mostly below 0.05 s with
    /// summaries. What is not found: matches beyond the best of these by name, and of a word that is in more than a
    /// hundred times as many summaries (a million) those that changed before the last so many.
    pub looked_at: usize,
    /// Of how many hits that no document told, from the first, one is read, and waited for. Default 20: what a terminal
    /// shows; those below come with the next search.
    pub learn_hits: usize,
}

impl Default for RpcSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(4),
            longest_deadline: Duration::from_mins(1),
            depth: 64,
            changelog_rows: 50_000,
            uncut_rows: 1_000_000,
            poll_age: Duration::from_secs(1),
            page_rows: 250_000,
            changed_rows: 1_000_000,
            times: TimeRules {
                step_back: Duration::from_hours(24),
                settle: Duration::from_secs(2),
                second_rows: 100_000,
                slack: Duration::from_secs(5),
            },
            memo_bytes: 48 << 20,
            memo_entry: 24 << 20,
            search: SearchSettings { words: 100, looked_at: 10_000, learn_hits: 20 },
            multicall_calls: 100,
            multicall_at_once: 8,
            relayed_max_age: Duration::from_mins(15),
            relayed_stale: Duration::from_hours(7 * 24),
            relayed_bytes: 8 << 20,
        }
    }
}
