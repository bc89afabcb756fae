//! The limits of the relay of files.

use std::time::Duration;

use crate::model::settings;

settings! {
    /// How files are fetched and handed on.
    #[derive(Debug, Clone)]
    pub struct RelaySettings in "relay" {
        /// Bytes at the end of a file that no client gets before size and digest are right.
        holdback: u64 as Bytes = 64 << 10,
        /// Bytes that each answer may always read ahead of its socket.
        ///
        /// A thousand followers hold 32 MB.
        own_buffer: usize as Room = 32 << 10,
        /// Bytes that all answers together may read ahead beyond that.
        ///
        /// For those who are first.
        pool: usize as Bytes = 16 << 20,
        /// Bytes of one read into that pool.
        pool_buffer: usize as Room = 128 << 10,
        /// Bytes of a large kept file that are looked for in memory, and handed to a socket, in one go.
        ///
        /// A socket takes less than this at once.
        window: u64 as Room = 2 << 20,
        /// Bytes of an arriving file that are hashed and written in one go.
        ///
        /// A hop to a blocking thread costs about as much as hashing 20 KB.
        batch: usize as Room = 256 << 10,
        /// Files transferred from upstream at once; further ones wait. No host has more than three quarters of these turns, and
        /// no client more than half.
        transfers: usize as Count = 32,
        /// Files without a known digest that are passed straight through at once; further ones wait, and the same shares hold.
        ///
        /// They go at their clients' pace.
        directs: usize as Count = 64,
        /// Files wanted from upstream at once, waiting ones included; who would start one more is told to come back.
        ///
        /// As many may wait to be passed straight through.
        flights: usize as Count = 1024,
        /// A file of fewer bytes is fetched to its end though all clients leave: it is seconds away, and the next client comes.
        finish_below: u64 as Internal = 100_000_000,
        /// A larger one only once so much of it is here, in percent.
        finish_percent: u64 as Internal = 50,
        /// How often in a row a transfer that breaks off is taken up again without progress.
        ///
        /// With the pauses together 6 s, and so within the 15 s that pip waits for a byte.
        resumes: u32 = 5,
        /// Bytes that count as progress: after as many the resumptions are counted anew.
        ///
        /// Some 40,000 resumptions for the largest wheels.
        resume_progress: u64 as Bytes = 64 << 10,
        /// The pause before that; it doubles, to 10 s at most.
        resume_pause: Duration = Duration::from_millis(200),
        /// How long upstream's 404 to a file that its index names is remembered.
        ///
        /// As the index's are.
        absent_max_age: Duration = Duration::from_mins(1),
        /// The same of a 410.
        ///
        /// Upstream means it for good.
        gone_max_age: Duration = Duration::from_hours(24),
        /// The largest file that is taken from upstream.
        ///
        /// The end of an answer that never ends; a multiple of the largest known file.
        max_file: u64 as Bytes = 8 << 30,
    }
}
