//! The limits of a store.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Clock;

/// Where the store is and how much it may hold.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The folder; made if missing. Temporary files are in the same file system, so that a rename is atomic.
    pub folder: PathBuf,
    /// The most bytes kept, files in arrival included.
    pub max_bytes: u64,
    /// Bytes of the file system left free for others.
    pub free_floor: u64,
    /// The most bytes of small files held in memory.
    pub hot_bytes: u64,
    /// The largest file that is held in memory.
    pub hot_file: u64,
    /// Larger files whose mapping is kept between requests. Each takes a file descriptor.
    pub maps: u64,
    /// The bytes of a mapped file that may count as this process's memory. Before there are more the kernel takes them out,
    /// and back in where they are sent again, for a minor fault.
    pub mapped_bytes: usize,
    /// Threads that read at once. Reads are short and mostly from the page cache; a thousand followers
    /// with a thread each would cost more memory than their buffers.
    pub readers: usize,
    /// After so long a use counts half as much for an entry's place among the others: a file that was used
    /// 2^n times is kept about n half-lives longer than one that was used once, and one that is twice as large about a sixth
    /// of a half-life shorter. Less than two turnovers of the cache at most.
    pub half_life: Duration,
    /// How often recency is written back, and the floor is looked at.
    pub tending: Duration,
    /// What time it is when an entry is used.
    pub clock: Clock,
}

impl StoreSettings {
    /// The defaults: 10 GiB on disk (some 20,000 files of the mean size), 1 GiB left free, 64 MiB in
    /// memory for files up to 1 MiB (most wheels are smaller), 256 mappings (a quarter of the descriptors that
    /// a process commonly may have), 16 MiB of each in memory, 16 readers, tended every minute. A day's half-life: an installer comes back
    /// daily or not at all.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            max_bytes: 10 << 30,
            free_floor: 1 << 30,
            hot_bytes: 64 << 20,
            hot_file: 1 << 20,
            maps: 256,
            mapped_bytes: 16 << 20,
            readers: 16,
            half_life: Duration::from_hours(24),
            tending: Duration::from_mins(1),
            clock: Clock::system(),
        }
    }
}
