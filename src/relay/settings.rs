//! The limits of the relay of files.

use std::time::Duration;

/// How files are fetched and handed on.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// Bytes at the end of a file that no client gets before size and digest are right.
    pub holdback: u64,
    /// Bytes read for a client at a time. Each body holds at most one such buffer of its own.
    pub chunk: usize,
    /// Bytes that all bodies together may read ahead of their sockets, beyond that one buffer.
    pub read_ahead: usize,
    /// Bytes of an arriving file that are hashed and written in one go.
    pub batch: usize,
    /// Files that are transferred from upstream at once; further ones wait.
    pub transfers: usize,
    /// Files that are passed straight through at once, at their clients' pace; further ones wait.
    pub directs: usize,
    /// Flights at once, waiting ones included; a client that would start one more is told to come back.
    pub flights: usize,
    /// How often one transfer that breaks off is taken up again.
    pub resumes: u32,
    /// The pause before the first resumption; it doubles each time.
    pub resume_pause: Duration,
    /// The largest file taken from upstream, in bytes: the end of an answer that never ends.
    pub max_file: u64,
}

impl Default for RelaySettings {
    /// 64 KiB held back and 64 KiB a read, so that a thousand followers hold 64 MB; 16 MiB ahead of
    /// sockets; batches of 256 KiB (a hop to a blocking thread costs about as much as hashing 20 KB);
    /// 32 transfers, 64 straight through, 1,024 flights; 3 resumptions from 200 ms on; 8 GiB, a multiple of the largest known.
    fn default() -> Self {
        Self {
            holdback: 64 << 10,
            chunk: 64 << 10,
            read_ahead: 16 << 20,
            batch: 256 << 10,
            transfers: 32,
            directs: 64,
            flights: 1024,
            resumes: 3,
            resume_pause: Duration::from_millis(200),
            max_file: 8 << 30,
        }
    }
}
