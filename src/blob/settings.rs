//! The limits of a store.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Clock, settings};

settings! {
    /// Where the store is and how much it may hold.
    #[derive(Debug, Clone)]
    pub struct StoreSettings(folder: PathBuf) in "cache" {
        /// The folder for package files.
        ///
        /// Made if missing. Temporary files are in the same file system, so that a rename is atomic.
        folder: PathBuf = folder,
        /// Most bytes of kept files. Past it those go that were used least and longest ago.
        ///
        /// Some 20,000 files of the mean size. Files in arrival are included.
        max_bytes: u64 as Bytes = 10 << 30,
        /// Bytes of the file system that are left free.
        free_floor: u64 as Bytes = 1 << 30,
        /// Most bytes of small files in memory.
        hot_bytes: u64 as Bytes = 64 << 20,
        /// The largest file that is held in memory.
        ///
        /// Most wheels are smaller.
        hot_file: u64 as Bytes = 1 << 20,
        /// Larger files that stay mapped between requests; each takes a descriptor.
        ///
        /// A quarter of the descriptors that a process commonly may have.
        maps: u64 as Count = 256,
        /// Bytes of a mapped file that may count as memory of this process.
        ///
        /// Before there are more the kernel takes them out, and back in where they are sent again, for a minor fault.
        mapped_bytes: usize as Bytes = 16 << 20,
        /// Threads that read kept files at once.
        ///
        /// Reads are short and mostly from the page cache; a thousand followers with a thread each would cost more memory than
        /// their buffers.
        readers: usize as Count = 16,
        /// After so long a use counts half: a file used 2^n times is kept n half-lives longer than one used once. It counts
        /// less long where all bytes are exchanged twice in a shorter time.
        ///
        /// An installer comes back daily or not at all. A file that is twice as large is kept about a sixth of a half-life
        /// shorter.
        half_life: Duration = Duration::from_hours(24),
        /// How often recency is written back and the floor is looked at.
        tending: Duration = Duration::from_mins(1),
        /// What time it is when an entry is used.
        clock: Clock as Internal = Clock::system(),
    }
}
