//! How long what is kept counts as current, and how much of it stays in memory.

use std::num::NonZeroU32;
use std::time::Duration;

/// Settings of the index; [`Default`] has the values that the fields' comments give.
#[derive(Debug, Clone)]
pub struct IndexSettings {
    /// How long a project page is current without asking. 600 s: upstream's own `max-age` (docs/wire.md section 8).
    pub page_max_age: Duration,
    /// The same for a JSON document. 900 s: upstream's own.
    pub json_max_age: Duration,
    /// How old a page or document may be that is given out because upstream fails. 86400 s: upstream's own
    /// `stale-if-error`.
    pub stale_if_error: Duration,
    /// How long a client waits for upstream when there is something kept; then it gets that, and the fetch goes on.
    /// 4 s: the shortest limit of a known client is 5 s (docs/wire.md section 6).
    pub patience: Duration,
    /// How long a client waits for upstream when nothing is kept, or for the first list of projects; then it is told
    /// when to come back, and the fetch goes on (promise 7). 10 s: pip gives up after 15 s, and upstream's list takes
    /// a few seconds.
    pub deadline: Duration,
    /// After a failure of upstream's nothing is asked again for the same page for so long. 10 s: a page that
    /// many want does not make each of them wait for a connection that fails.
    pub failure_pause: Duration,
    /// The pauses before a page is asked for again that is older than the journal says it must be. 0.5 s and 1 s:
    /// a purge takes about a second to reach everywhere, and clients wait meanwhile.
    pub behind_pauses: Vec<Duration>,
    /// A page that stayed behind the journal all the same is believed for so long. 60 s.
    pub behind_pause: Duration,
    /// How long after a page upstream must go on giving a copy with a lower serial until that is no older one from a cache.
    /// 30 min: upstream's caches keep a copy for 15 and 5 more (docs/wire.md section 8).
    pub older_after: Duration,
    /// How long upstream's "no such project" is remembered. 60 s: 404s count towards its rate limit.
    pub absent_max_age: Duration,
    /// How many absences are remembered. 10,000, some 200 bytes each.
    pub absent_entries: u64,
    /// How long metadata that upstream advertises and does not have is not advertised again. 1 h: an installer can do without,
    /// and an index that makes it later has it for years.
    pub absent_metadata_max_age: Duration,
    /// How many files of a page without their size or time are asked for it at their server, if a document is made of the
    /// page; of a page with more of them these stay unknown. 1,000: half a minute's requests without a byte of a file.
    pub asked_files: usize,
    /// Where upstream's changelog is followed, a name that is not in the project table is not there if a poll that began at most
    /// so long ago did not tell of it. 5 s: a project that was published a moment ago is there within seconds, and unknown
    /// names cost upstream one small call in that time, however many they are.
    pub unknown_poll_age: Duration,
    /// How long such names wait for one poll, together. 2 s: a poll takes a fraction of that, and the oldest clients wait
    /// for 5 s.
    pub unknown_wait: Duration,
    /// Names that upstream's listing lacks and that are asked for all the same, a second: listings are compared, or upstream
    /// was not heard lately. 20: a few per cent of what an index's cache gives one client.
    pub unknown_per_second: f64,
    /// How many of them may be asked for at once after a rest. 200: private names in one large set of requirements.
    pub unknown_burst: u32,
    /// How many may wait for their turn; one more is told to come back. 200: those of the 10 s that clients wait.
    pub unknown_waiting: usize,
    /// Bytes of parsed pages and documents in memory, half of them for each. 96 MiB: a thousand pages of the usual 20 KB, or one
    /// of the largest, which would be read again for each request otherwise; with the rendered ones the whole process stays
    /// under 200 MB.
    pub parsed_bytes: u64,
    /// Bytes of rendered pages and documents in memory, compressed forms included. 64 MiB.
    pub rendered_bytes: u64,
    /// What is learned for search.
    pub learn: LearnSettings,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            page_max_age: Duration::from_mins(10),
            json_max_age: Duration::from_mins(15),
            stale_if_error: Duration::from_hours(24),
            patience: Duration::from_secs(4),
            deadline: Duration::from_secs(10),
            failure_pause: Duration::from_secs(10),
            behind_pauses: vec![Duration::from_millis(500), Duration::from_secs(1)],
            behind_pause: Duration::from_mins(1),
            older_after: Duration::from_mins(30),
            absent_max_age: Duration::from_mins(1),
            absent_entries: 10_000,
            absent_metadata_max_age: Duration::from_hours(1),
            asked_files: 1_000,
            unknown_poll_age: Duration::from_secs(5),
            unknown_wait: Duration::from_secs(2),
            unknown_per_second: 20.0,
            unknown_burst: 200,
            unknown_waiting: 200,
            parsed_bytes: 96 << 20,
            rendered_bytes: 64 << 20,
            learn: LearnSettings::default(),
        }
    }
}

/// What is learned for search, and how fast.
#[derive(Debug, Clone)]
pub struct LearnSettings {
    /// Whether the documents of all projects are read. Off by default: all of an index of 886 thousand is some GB of
    /// traffic, and 5 days at the default rate.
    pub crawl: bool,
    /// Documents a second that are read for search alone; a crawl and searches that wait have as many each. Default 2: far
    /// below what an index's cache would notice.
    pub documents_per_second: f64,
    /// How many of them searches may have read without a pause, if none were read for a while. Default 20: those of one
    /// search.
    pub burst: NonZeroU32,
    /// How many of them are read at once for searches that wait. Default 4: the hits of a search are there within a second,
    /// and most of upstream's places are left to others.
    pub at_once: usize,
    /// Hits that may wait for their documents; further ones are left until they are found again. Default 200, some ten
    /// searches' or two minutes.
    pub waiting: usize,
    /// From the end of a crawl to the next, which reads what has changed. Default 1 h: a day of upstream's has some 15
    /// thousand changed projects.
    pub pause: Duration,
    /// The most bytes of a text that are learned. Default 2 KiB: the longest summaries and author lists have less.
    pub text_bytes: usize,
    /// The same for descriptions. Default 4 KiB, the beginning that says what it is: whole ones of an index of 886
    /// thousand would be some 5 GB.
    pub description_bytes: usize,
}

impl Default for LearnSettings {
    fn default() -> Self {
        Self {
            crawl: false,
            documents_per_second: 2.0,
            burst: NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN),
            at_once: 4,
            waiting: 200,
            pause: Duration::from_hours(1),
            text_bytes: 2 << 10,
            description_bytes: 4 << 10,
        }
    }
}
