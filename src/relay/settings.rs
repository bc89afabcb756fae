//! The limits of the relay of files.

use std::time::Duration;

/// How files are fetched and handed on.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// Bytes at the end of a file that no client gets before size and digest are right.
    pub holdback: u64,
    /// Bytes that each body may always read ahead of its socket.
    pub own_buffer: usize,
    /// Bytes that all bodies together may read ahead beyond that.
    pub pool: usize,
    /// Bytes of one read into the pool.
    pub pool_buffer: usize,
    /// Bytes of a mapped file that are looked for in memory, and handed to a socket, in one go.
    pub window: u64,
    /// Bytes of an arriving file that are hashed and written in one go.
    pub batch: usize,
    /// Files that are transferred from upstream at once; further ones wait. No host has more than three quarters of
    /// these turns, and of those of `directs`, and no client more than half.
    pub transfers: usize,
    /// Files that are passed straight through at once, at their clients' pace; further ones wait.
    pub directs: usize,
    /// Flights at once, waiting ones included; a client that would start one more is told to come back. As many may wait to be
    /// passed straight through.
    pub flights: usize,
    /// A file of fewer bytes is fetched to its end though all clients leave.
    pub finish_below: u64,
    /// A larger one only once so much of it is here, in percent.
    pub finish_percent: u64,
    /// How often in a row a transfer that breaks off is taken up again without progress.
    pub resumes: u32,
    /// Bytes that count as progress: after as many the resumptions are counted anew.
    pub resume_progress: u64,
    /// The pause before the first resumption without progress; it doubles each time, to 10 s at most.
    pub resume_pause: Duration,
    /// How long upstream's 404 to a file that its index names is remembered.
    pub absent_max_age: Duration,
    /// The same of a 410, which upstream means for good.
    pub gone_max_age: Duration,
    /// The largest file taken from upstream, in bytes: the end of an answer that never ends.
    pub max_file: u64,
}

impl Default for RelaySettings {
    /// 64 KiB held back; 32 KiB a body, so that a thousand followers hold 32 MB, and 16 MiB in reads of
    /// 128 KiB for those who are first; windows of 2 MiB, less than which a socket takes at once; batches of 256 KiB
    /// (a hop to a blocking thread costs about as much as hashing 20 KB); 32 transfers, 64 straight through, 1,024
    /// flights; files under 100 MB, or half here, are always finished: they are seconds away, and the next client
    /// comes; 5 resumptions from 200 ms on, together 6 s and so within the 15 s that pip waits for a byte, and 64 KiB as
    /// progress, some 40,000 resumptions for the largest wheels; 404s remembered for a minute, as the index's are, and 410s for a day;
    /// 8 GiB, a multiple of the largest known.
    fn default() -> Self {
        Self {
            holdback: 64 << 10,
            own_buffer: 32 << 10,
            pool: 16 << 20,
            pool_buffer: 128 << 10,
            window: 2 << 20,
            batch: 256 << 10,
            transfers: 32,
            directs: 64,
            flights: 1024,
            finish_below: 100_000_000,
            finish_percent: 50,
            resumes: 5,
            resume_progress: 64 << 10,
            resume_pause: Duration::from_millis(200),
            absent_max_age: Duration::from_mins(1),
            gone_max_age: Duration::from_hours(24),
            max_file: 8 << 30,
        }
    }
}
