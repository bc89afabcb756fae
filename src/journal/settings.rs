//! The journal's limits.

use crate::model::{Clock, UpstreamIdentity};

/// What bounds a journal.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// The most bytes that kept documents take, compressed, with their lists of files. 2 GiB by default: pages
    /// compress to about 4 KB in the mean, so this is room for some hundred thousand projects. Past it the least
    /// recently checked go.
    pub documents_bytes: u64,
    /// Tombstones of files that are kept, 100,000 by default: some 30 MB, a few months of all that PyPI removes.
    /// Past it the oldest go; no page names their files either.
    pub tombstones: u64,
    /// The most bytes that kept answers to relayed calls take, compressed. 64 MiB by default: most have some hundred
    /// bytes, the list of a common classifier some megabytes. Past it the least recently checked go.
    pub answers_bytes: u64,
    /// The most bytes of names in memory, as events spell them, with what finds them. 32 MiB by default: PyPI's take some 18,
    /// and 6 to 10 to be found by. Those beyond are looked up for each row.
    pub names_bytes: usize,
    /// Threads that read at once, each with a connection of its own. 4 by default: SQLite reads scale with cores, and each
    /// connection holds a cache of 4 MiB.
    pub readers: usize,
    /// Writes that may wait for the writer. 256 by default, some four batches; who comes later waits outside.
    pub queue: usize,
    /// Whose folder it has to be: another's is refused, and nobody's becomes its own. `None`, the default, opens any.
    pub upstream: Option<UpstreamIdentity>,
    /// How far beyond the one before a last serial of upstream's may be without being doubted, and so far again for each
    /// day in which upstream was not heard. 100,000 by default: PyPI gives out 10 to 25 thousand a day, and one
    /// answer of its changelog has 50,000 at most.
    pub leap_floor: u64,
    /// How many times faster than before it may rise meanwhile without being doubted. 10 by default: an index into which
    /// much is imported at once is not held up.
    pub leap_factor: u32,
    /// What time it is for all that the journal keeps, and for whoever works on it.
    pub clock: Clock,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            documents_bytes: 2 << 30,
            tombstones: 100_000,
            answers_bytes: 64 << 20,
            names_bytes: 32 << 20,
            readers: 4,
            queue: 256,
            upstream: None,
            leap_floor: 100_000,
            leap_factor: 10,
            clock: Clock::system(),
        }
    }
}
