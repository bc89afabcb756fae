//! The journal's limits.

/// What bounds a journal.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// The most bytes that kept documents take, compressed, with their lists of files. 2 GiB by default: pages
    /// compress to about 4 KB in the mean, so this is room for some hundred thousand projects. Past it the least
    /// recently checked go.
    pub documents_bytes: u64,
    /// The most bytes that kept answers to relayed calls take, compressed. 64 MiB by default: most have some hundred
    /// bytes, the list of a common classifier some megabytes. Past it the least recently checked go.
    pub answers_bytes: u64,
    /// Connections that read at once. 4 by default: SQLite reads scale with cores, and each holds a cache of 4 MiB.
    pub readers: usize,
    /// Writes that may wait for the writer. 256 by default, some four batches; who comes later waits outside.
    pub queue: usize,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { documents_bytes: 2 << 30, answers_bytes: 64 << 20, readers: 4, queue: 256 }
    }
}
