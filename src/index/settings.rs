//! How long what is kept counts as current, and how much of it stays in memory.

use std::time::Duration;

use super::Agents;
use crate::model::settings;

settings! {
    /// How long what is kept counts as current, how long clients wait, and what is asked for in vain.
    #[derive(Debug, Clone)]
    pub struct IndexSettings in "index" {
        /// How long a project page is current without asking.
        ///
        /// Upstream's own `max-age` (docs/wire.md section 8).
        page_max_age: Duration = Duration::from_mins(10),
        /// The same for a document of the JSON API.
        ///
        /// Upstream's own.
        json_max_age: Duration = Duration::from_mins(15),
        /// How old a page or document may be that is given out because upstream fails.
        ///
        /// Upstream's own `stale-if-error`.
        stale_if_error: Duration = Duration::from_hours(24),
        /// How long a client waits for upstream before it gets a page that is kept; the fetch goes on.
        ///
        /// The shortest limit of a known client is 5 s (docs/wire.md section 6).
        patience: Duration = Duration::from_secs(4),
        /// How long it waits if none is kept, also for the list of projects, before it is told to come back.
        ///
        /// The fetch goes on (promise 7). pip gives up after 15 s, and upstream's list takes a few seconds.
        deadline: Duration = Duration::from_secs(10),
        /// After a failure of upstream's the same page is not asked for again for so long.
        ///
        /// A page that many want does not make each of them wait for a connection that fails.
        failure_pause: Duration = Duration::from_secs(10),
        /// The pauses before a page is asked for again that is older than the journal says it must be. A purge takes about a
        /// second to reach everywhere, and clients wait meanwhile.
        behind_pauses: Vec<Duration> as Internal = vec![Duration::from_millis(500), Duration::from_secs(1)],
        /// How long a page is believed that upstream serves older than its own changelog says.
        ///
        /// Because it stayed behind the journal after all [`IndexSettings::behind_pauses`].
        behind_pause: Duration = Duration::from_mins(1),
        /// How long after a page upstream must go on giving one with a lower serial until that is believed.
        ///
        /// Before, it is taken for an older copy from a cache: upstream's caches keep one for 15 min and 5 more
        /// (docs/wire.md section 8).
        older_after: Duration = Duration::from_mins(30),
        /// How long upstream's "no such project" is remembered; its 404s count towards its rate limit.
        absent_max_age: Duration = Duration::from_mins(1),
        /// How many absences are remembered.
        ///
        /// Some 200 bytes each.
        absent_entries: u64 = 10_000,
        /// How long metadata (PEP 658) that upstream advertises and answers 404 to is not asked for or advertised again.
        ///
        /// An installer can do without, and an index that makes it later has it for years.
        absent_metadata_max_age: Duration = Duration::from_hours(1),
        /// If a JSON document is made of a page: up to how many of its files that have no size or time there are asked for it at
        /// their server.
        ///
        /// Half a minute's requests without a byte of a file. Of a page with more of them these stay unknown.
        asked_files: usize = 1_000,
        /// Where upstream's changelog is followed, an unknown name is not there if a poll that began at most so long ago did not
        /// tell of it; else it first has upstream polled.
        ///
        /// A project that was published a moment ago is there within seconds, and unknown names cost upstream one small call in
        /// that time, however many they are.
        unknown_poll_age: Duration = Duration::from_secs(5),
        /// How long unknown names wait for one poll, together.
        ///
        /// A poll takes a fraction of that, and the oldest clients wait for 5 s.
        unknown_wait: Duration = Duration::from_secs(2),
        /// Names that upstream's listing lacks and that it is asked for all the same, a second: where listings are compared, or
        /// upstream was not heard lately.
        ///
        /// A few per cent of what an index's cache gives one client.
        unknown_per_second: f64 = 20.0,
        /// How many of them may be asked for at once after a rest.
        ///
        /// Private names in one large set of requirements.
        unknown_burst: u32 as Count = 200,
        /// How many of them may wait for their turn; one more is told to come back.
        ///
        /// Those of the 10 s that clients wait.
        unknown_waiting: usize = 200,
        /// Programs whose HTML pages have `#md5=` in their links, by the first product of their User-Agent, with commas between.
        ///
        /// Mirrors of PyPI's first days that know no other digest.
        md5_agents: Agents = Agents::default(),
        /// Parsed pages and documents in memory.
        ///
        /// Half of the bytes for each: a thousand pages of the usual 20 KB, or one of the largest, which would be read again for
        /// each request otherwise; with the rendered ones the whole process stays under 200 MB.
        parsed_bytes: u64 as Bytes = 96 << 20,
        /// Rendered pages and documents in memory.
        ///
        /// Compressed forms are included.
        rendered_bytes: u64 as Bytes = 64 << 20,
        /// What is learned for search, in the section of search.
        learn: LearnSettings as Internal = LearnSettings::default(),
    }
}

settings! {
    /// What is learned for search, and how fast.
    #[derive(Debug, Clone)]
    pub struct LearnSettings in "search" {
        /// Whether the JSON documents of all projects are read for search, in the background.
        ///
        /// All of an index of 886 thousand is some GB of traffic, and 5 days at the default rate.
        crawl: bool = false,
        /// Documents a second that are read for search alone: by a crawl, only while nothing else is asked of upstream, and as
        /// many for searches.
        ///
        /// Far below what an index's cache would notice.
        documents_per_second: f64 = 2.0,
        /// How many documents are read at once for searches that wait.
        ///
        /// The hits of a search are there within a second, and most of upstream's places are left to others.
        documents_at_once: usize as Count = 4,
        /// How many they may have read without a pause, before search.documents_per_second counts; others are read afterwards.
        ///
        /// Those of one search.
        documents_burst: u32 as Count = 20,
        /// Hits that may wait for their documents; further ones are left until they are found again.
        ///
        /// Some ten searches' or two minutes.
        waiting: usize as Count = 200,
        /// From the end of a crawl to the next, which reads what has changed.
        ///
        /// A day of upstream's has some 15 thousand changed projects.
        crawl_pause: Duration = Duration::from_hours(1),
        /// Most bytes of a text that are learned.
        ///
        /// The longest summaries and author lists have less.
        text_bytes: usize as Bytes = 2 << 10,
        /// Most bytes of a description that are learned, from its beginning.
        ///
        /// That is where it says what it is: whole ones of an index of 886 thousand would be some 5 GB.
        description_bytes: usize as Bytes = 4 << 10,
    }
}
