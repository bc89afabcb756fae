//! The journal's limits.

use crate::model::{Clock, UpstreamIdentity, settings};

settings! {
    /// The limits of a journal.
    #[derive(Debug, Clone)]
    pub struct JournalSettings in "journal" {
        /// Most bytes of kept index pages and JSON documents, compressed. Past it the least recently checked go.
        ///
        /// With their lists of files. Pages compress to about 4 KB in the mean, so this is room for some hundred thousand
        /// projects.
        documents_bytes: u64 as Bytes = 2 << 30,
        /// Removed, quarantined and absent files that are remembered; past it the oldest go.
        ///
        /// Some 30 MB, a few months of all that PyPI removes. No page names the files of those that go either.
        tombstones: u64 as Count = 100_000,
        /// Most bytes of kept answers to relayed calls, compressed. Past it the least recently checked go.
        ///
        /// Most have some hundred bytes, the list of a common classifier some megabytes.
        answers_bytes: u64 as Bytes = 64 << 20,
        /// Most bytes of names in memory, as events spell them, with what finds them. Those beyond are looked up for each row.
        ///
        /// PyPI's take some 24 MB, and 5 to 10 to be found by.
        names_bytes: usize as Bytes = 48 << 20,
        /// Threads that read at once.
        ///
        /// Each has a connection of its own. SQLite reads scale with cores, and each connection holds a cache of 4 MiB.
        readers: usize as Count = 4,
        /// Writes that may wait for the writer.
        ///
        /// Some four batches; who comes later waits outside.
        queue: usize as Count = 256,
        /// How far beyond the one before a last serial of upstream's is not doubted, and again for each day without a word of
        /// upstream's.
        ///
        /// PyPI gives out 10 to 25 thousand a day, and one answer of its changelog has 50,000 at most.
        leap_floor: u64 = 100_000,
        /// How many times faster than before it may rise meanwhile without being doubted.
        ///
        /// An index into which much is imported at once is not held up.
        leap_factor: u32 = 10,
        /// Whose folder it has to be: another's is refused, and nobody's becomes its own. `None`, the default, opens any.
        upstream: Option<UpstreamIdentity> as Internal = None,
        /// What time it is for all that the journal keeps, and for whoever works on it.
        clock: Clock as Internal = Clock::system(),
    }
}
